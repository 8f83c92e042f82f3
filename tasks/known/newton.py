"""Minimum of a smooth strictly convex function, to float64's last digits."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve

Oracle = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]


def minimum(oracle: Oracle, start: np.ndarray, tolerance: float = 1e-12) -> np.ndarray | None:
    """Newton's method with step halving.

    Args:
      oracle: x (d,) -> value, gradient (d,), Hessian (d, d).
      start: where it begins.
      tolerance: largest entry of the gradient at the end.

    Returns:
      The minimiser (d,), or None if 100 steps do not reach it: it may lie at infinity.
    """
    x = start
    for _ in range(100):
        value, gradient, hessian = oracle(x)
        if np.abs(gradient).max() <= tolerance:
            return x
        try:
            step = cho_solve(cho_factor(hessian), -gradient)
        except np.linalg.LinAlgError:
            return None
        size = 1.0
        # Near the minimum rounding hides the decrease; a full step is right there.
        while size > 1e-6 and oracle(x + size * step)[0] > value + 1e-14 * abs(value):
            size /= 2
        x = x + size * step
    return None
