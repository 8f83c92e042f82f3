"""A strict saddle: how long an optimizer stays where the gradient nearly vanishes."""

import jax
import jax.numpy as jnp

from tasks.known import settings
from tasks.known.exact import EXCESS, of_function
from tasks.task import Metric, Task


def saddle(
    name: str = "saddle",
    dimension: int = 20,
    directions: int = 1,
    curvature: float = 0.1,
    offset: float = 1e-4,
    noise: float = 0.0,
) -> Task:
    r"""The function :math:`\frac{γ}{4} \sum_{i ≤ k} (x_i^2 - 1)^2 + \frac12 \sum_{i > k} x_i^2`.

    At the origin its Hessian has k eigenvalues -γ and the others 1; the minima, all of value 0, are
    where the first k coordinates are 1 or -1 and the others 0. A run starts at random, standard
    normal off the directions of escape and ``offset`` times that along them. Gradient descent thus
    falls onto the saddle, and leaves it after about log(1 / offset) / (γ · learning rate) steps.

    Args:
      name: label in the records.
      dimension: number of parameters.
      directions: k, of escape.
      curvature: γ.
      offset: size of the start along the directions of escape.
      noise: root mean square of the norm of isotropic normal noise on the gradient.

    Raises:
      ValueError: a setting makes no sense.
    """
    settings.whole("dimension", dimension, least=1)
    settings.whole("directions", directions, 1, dimension, f", the dimension={dimension}")
    settings.number("curvature", curvature, above=0)
    settings.number("offset", offset, above=0)
    settings.number("noise", noise, least=0)
    escaping = jnp.arange(dimension) < directions

    def start(key: jax.Array) -> jax.Array:
        return jnp.where(escaping, offset, 1.0) * jax.random.normal(key, (dimension,))

    def excess(x: jax.Array) -> jax.Array:
        wells = curvature / 4 * (x**2 - 1) ** 2
        return jnp.sum(jnp.where(escaping, wells, 0.5 * x**2))

    def pull(x: jax.Array, normal: jax.Array) -> jax.Array:
        return noise / dimension**0.5 * jnp.sum(normal * x)

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.normal(key, (dimension,))

    metric = Metric(EXCESS, "min", "", guess=curvature / 4 * directions)  # the saddle's
    return of_function(name, start, excess, pull, draw, metric)
