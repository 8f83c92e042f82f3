r"""The noisy quadratic: :math:`f(x) = \frac12 x^\top H x`, with noise on its gradient.

The model on which theories of learning rate, momentum and curvature are worked out (Zhang et al.
2019, "Which algorithmic choices matter at which batch sizes?", section 3). The optimum is the
origin and its value 0, so that float32 resolves an excess of any size.
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tasks.known import settings
from tasks.known.exact import EXCESS, of_function
from tasks.task import Metric, Task

SPACINGS = ("log", "uniform")
BASES = ("random", "axes")
METRIC = Metric(EXCESS, "min", "× start", guess=1.0)


def quadratic(
    name: str = "quadratic",
    dimension: int = 100,
    condition: float = 100.0,
    spacing: str = "log",
    noise: float = 0.0,
    curvature_noise: float = 0.0,
    basis: str = "random",
) -> Task:
    """A quadratic whose largest eigenvalue is 1, started where its value is 1.

    Every seed starts elsewhere: at a normal vector, scaled. The gradient's norm is 1 to 1.42 there,
    whatever the condition number, so the sizes of noise mean the same everywhere.

    Args:
      name: label in the records.
      dimension: number of parameters, d.
      condition: largest over smallest eigenvalue.
      spacing: of the eigenvalues, "log" or "uniform".
      noise: root mean square of the norm of isotropic normal noise on the gradient.
      curvature_noise: the same of noise with a covariance proportional to H; both add up.
      basis: eigenvectors of H: "random", the same for every seed, or the coordinate "axes", which
        suit optimizers that rescale each coordinate.

    Raises:
      ValueError: a setting makes no sense.
    """
    settings.whole("dimension", dimension, least=1)
    settings.number("condition", condition, least=1)
    settings.choice("spacing", spacing, SPACINGS)
    settings.number("noise", noise, least=0)
    settings.number("curvature_noise", curvature_noise, least=0)
    settings.choice("basis", basis, BASES)
    if dimension == 1 and condition != 1:
        raise ValueError(f"condition={condition!r} must be 1 where dimension=1")
    return assembled(name, dimension, condition, spacing, noise, curvature_noise, basis)


def assembled(
    name: str,
    dimension: int,
    condition: Any,
    spacing: str,
    noise: Any,
    curvature_noise: Any = 0.0,
    basis: str = "random",
) -> Task:
    """`quadratic` without checks: condition and sizes of noise may be traced numbers."""
    values = eigenvalues(dimension, condition, spacing)
    deviations = jnp.sqrt(noise**2 / dimension + curvature_noise**2 * values / jnp.sum(values))
    vectors = rotation(dimension) if basis == "random" else None

    def along(x: jax.Array) -> jax.Array:
        """Coordinates along the eigenvectors."""
        return x if vectors is None else jnp.matmul(x, vectors, precision="highest")

    def start(key: jax.Array) -> jax.Array:
        z = jax.random.normal(key, (dimension,))
        z = z / jnp.sqrt(0.5 * jnp.sum(values * z**2))
        return z if vectors is None else jnp.matmul(vectors, z, precision="highest")

    def excess(x: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum(values * along(x) ** 2)

    def pull(x: jax.Array, normal: jax.Array) -> jax.Array:
        return jnp.sum(deviations * normal * along(x))

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.normal(key, (dimension,))

    return of_function(name, start, excess, pull, draw, METRIC)


def eigenvalues(dimension: int, condition: Any, spacing: str) -> jax.Array:
    """From 1 down to 1 / condition, (d,).

    >>> [round(float(value), 4) for value in eigenvalues(3, 100.0, "log")]
    [1.0, 0.1, 0.01]
    """
    places = jnp.linspace(0.0, 1.0, dimension)
    if spacing == "log":
        return jnp.exp(-jnp.log(condition) * places)
    return 1 - (1 - 1 / condition) * places


@lru_cache(maxsize=4)
def rotation(dimension: int) -> np.ndarray:
    """A random orthogonal matrix, eigenvectors in its columns, float64 (d, d)."""
    normal = np.random.default_rng(0).normal(size=(dimension, dimension))
    q, r = np.linalg.qr(normal)
    return q * np.sign(np.diag(r))
