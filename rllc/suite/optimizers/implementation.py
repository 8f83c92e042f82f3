"""How optimizers compute their updates, where the last bits of a number depend on it."""

from rllc import kernel


def implementation() -> str:
    """In words, empty where XLA computes all of them: what a record says beside its device."""
    return "C++ kernel" if kernel.asked() else ""
