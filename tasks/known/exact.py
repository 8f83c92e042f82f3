"""Tasks from a function with a known optimum, or from a mean over examples with one.

Both score by the excess loss, f(x) - f*, without noise and over everything f is made of, so
validation and test are the same problem; what differs between seeds is the start and the noise.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tasks.task import Dataset, Metric, Task

EXCESS = "excess"


def of_function(
    name: str,
    start: Callable[[jax.Array], Any],
    excess: Callable[[Any], jax.Array],
    pull: Callable[[Any, Any], jax.Array],
    draw: Callable[[jax.Array], Any],
    metric: Metric,
) -> Task:
    """A task that trains on excess(x) + pull(x, noise).

    Args:
      name: label in the records.
      start: key -> params.
      excess: params -> f(x) - f*, a scalar.
      pull: (params, noise) -> scalar of mean zero; its gradient is the noise of the gradient.
      draw: key -> noise of one step, the same for all runs of a seed.
      metric: describes the excess.
    """

    def init(key: jax.Array) -> tuple[Any, dict[str, Any]]:
        return start(key), {}

    def loss(params: Any, state: Any, batch: Any, key: jax.Array, train: bool) -> Any:
        del key
        value = excess(params)
        noisy = value + pull(params, batch) if train else value
        return noisy, (state, {EXCESS: value})

    def made_up(key: jax.Array, step: jax.Array) -> Any:
        del step
        return draw(key)

    data = Dataset(made_up, made_up, made_up, name, evaluation_batches=1)
    return Task(name, init, loss, lambda folder: data, (metric,))


def of_examples(
    name: str,
    examples: dict[str, np.ndarray],
    start: Any,
    losses: Callable[[Any, Any], jax.Array],
    optimum: float,
    metrics: tuple[Metric, ...],
    also: Callable[[Any, jax.Array], dict[str, Any]] = lambda batch, values: {},
) -> Task:
    """A task that trains on the mean of losses over batches of examples.

    The excess is a difference of float32 numbers: what is below about 1e-7 f* is rounding.

    Args:
      name: label in the records.
      examples: arrays with the examples along their first axis; all of f.
      start: params, the same for every seed.
      losses: (params, batch) -> (b,), regularisation included in each.
      optimum: f*, the lowest mean over all examples.
      metrics: describe the excess and whatever else there is.
      also: (batch, losses) -> further metrics.
    """

    def init(key: jax.Array) -> tuple[Any, dict[str, Any]]:
        del key
        return jax.tree.map(jnp.asarray, start), {}

    def loss(params: Any, state: Any, batch: Any, key: jax.Array, train: bool) -> Any:
        del key, train
        values = losses(params, batch)
        return jnp.mean(values), (state, {EXCESS: values - optimum, **also(batch, values)})

    data = Dataset(examples, examples, examples, name)
    return Task(name, init, loss, lambda folder: data, metrics)
