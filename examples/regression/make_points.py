"""Writes points.npz: 2,000 noisy values of Friedman's function of ten numbers, five of them idle.

Reference: Friedman (1991), Multivariate adaptive regression splines.
"""

import numpy as np


def main() -> None:
    """Writes the file beside the study."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2000, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3]
    y = y + 5 * x[:, 4] + rng.normal(size=len(x))
    np.savez_compressed("points.npz", x=x.astype(np.float32), y=y.astype(np.float32))


if __name__ == "__main__":
    main()
