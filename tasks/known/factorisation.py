"""Low-rank matrix factorisation: not convex, yet every local minimum is global."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from tasks.known import settings
from tasks.known.exact import EXCESS, of_function
from tasks.task import Metric, Task

METRIC = Metric(EXCESS, "min", "× that of zero", guess=1.0)


def factorisation(
    name: str = "factorisation",
    rows: int = 30,
    columns: int = 20,
    rank: int = 5,
    factors: int = 5,
    condition: float = 10.0,
    start: float = 0.1,
    noise: float = 0.0,
) -> Task:
    r"""The distance :math:`\frac12 |U V^\top - M|^2`, in units of what U = V = 0 is above the best.

    M has the given rank and singular values from 1 down to 1 / condition, equally far apart in
    their logarithm; the same M for every seed. Its best approximation is that of Eckart and Young:
    f* is half the sum of squares of the singular values left over, 0 where factors ≥ rank.

    Args:
      name: label in the records.
      rows, columns: of M.
      rank: of M.
      factors: columns of U and V.
      condition: largest over smallest nonzero singular value of M.
      start: standard deviation of the normal entries of U and V at the start; 0 is a saddle.
      noise: root mean square of the norm of normal noise on M, which stays unseen in evaluations.

    Raises:
      ValueError: a setting makes no sense.
    """
    settings.whole("rows", rows, least=1)
    settings.whole("columns", columns, least=1)
    smaller = min(rows, columns)
    settings.whole("rank", rank, 1, smaller, ", the smaller of rows and columns")
    settings.whole("factors", factors, 1, smaller, ", the smaller of rows and columns")
    settings.number("condition", condition, least=1)
    settings.number("start", start, above=0)
    settings.number("noise", noise, least=0)
    values = singular_values(rank, condition)
    wanted = matrix(rows, columns, rank, float(condition)).astype(np.float32)
    optimum, unit = float(0.5 * np.sum(values[factors:] ** 2)), 0.5 * np.sum(values[:factors] ** 2)

    def init(key: jax.Array) -> dict[str, jax.Array]:
        u, v = jax.random.split(key)
        shapes = {"u": (u, (rows, factors)), "v": (v, (columns, factors))}
        return {name: start * jax.random.normal(*drawn) for name, drawn in shapes.items()}

    def excess(params: dict[str, jax.Array]) -> jax.Array:
        away = params["u"] @ params["v"].T - wanted
        return (0.5 * jnp.sum(away**2) - optimum) / unit

    def pull(params: dict[str, jax.Array], normal: jax.Array) -> jax.Array:
        size = noise / (rows * columns) ** 0.5 / unit
        return -size * jnp.sum(normal * (params["u"] @ params["v"].T))

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.normal(key, (rows, columns))

    return of_function(name, init, excess, pull, draw, METRIC)


def singular_values(rank: int, condition: float) -> np.ndarray:
    """From 1 down to 1 / condition, float64 (rank,); of rank 1 just 1."""
    return float(condition) ** -np.linspace(0, 1, rank)


@lru_cache(maxsize=8)
def matrix(rows: int, columns: int, rank: int, condition: float) -> np.ndarray:
    """M, float64 (rows, columns)."""
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.normal(size=(rows, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(columns, rank)))[0]
    return (left * singular_values(rank, condition)) @ right.T
