"""One group of runs as one compiled program, and the host that drives it."""
