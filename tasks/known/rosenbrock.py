"""Rosenbrock's function: a curved valley with a flat floor."""

import jax
import jax.numpy as jnp

from tasks.known import settings
from tasks.known.exact import EXCESS, of_function
from tasks.task import Metric, Task


def rosenbrock(
    name: str = "rosenbrock", dimension: int = 2, steepness: float = 100.0, noise: float = 0.0
) -> Task:
    r"""The sum :math:`\sum_i a (x_{i+1} - x_i^2)^2 + (1 - x_i)^2`, lowest, 0, where all are 1.

    It starts at (-1.2, 1, -1.2, 1, …), as is usual; seeds differ in their noise alone. From four
    dimensions there is a second local minimum near (-1, 1, 1, …) (Shang & Qiu 2006, "A note on the
    extended Rosenbrock function").

    Args:
      name: label in the records.
      dimension: number of parameters.
      steepness: a, of the valley's walls.
      noise: root mean square of the norm of isotropic normal noise on the gradient.

    Raises:
      ValueError: a setting makes no sense.
    """
    settings.whole("dimension", dimension, least=2)
    settings.number("steepness", steepness, above=0)
    settings.number("noise", noise, least=0)
    first = jnp.where(jnp.arange(dimension) % 2 == 0, -1.2, 1.0)

    def excess(x: jax.Array) -> jax.Array:
        return jnp.sum(steepness * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def pull(x: jax.Array, normal: jax.Array) -> jax.Array:
        return noise / dimension**0.5 * jnp.sum(normal * x)

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.normal(key, (dimension,))

    metric = Metric(EXCESS, "min", "", guess=float(excess(first)))
    return of_function(name, lambda key: first, excess, pull, draw, metric)
