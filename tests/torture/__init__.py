"""Faults by the thousand, each followed by the right outcome: `make torture`."""
