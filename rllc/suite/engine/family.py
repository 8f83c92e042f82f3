"""Problems that differ only in numbers, trained together: one program for all of them.

A `Trainer` traces an optimizer's hyperparameters, not a task's arguments; here a task is made anew
from traced numbers inside the program. The step is the Trainer's and so are the random streams: a
run ends where ``scripts/train.py`` ends with the same settings, up to rounding.

Axes: c cells (problems), s seeds, r runs (hyperparameter points), k values of a probe.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rllc.suite.engine import optimizers
from rllc.suite.engine.batching import EVALUATION, INIT, NOISE, ORDER, stream_key
from rllc.suite.engine.program import train_step

Family = Callable[..., Any]  # of traced numbers by name; returns a Task whose batches are generated


class Ended(NamedTuple):
    """What is left of the runs.

    Attributes:
      metric: the leading metric after the last step, float32 (c, s, r).
      diverged: whether any training loss was not finite, bool (c, s, r).
      probes: name -> values after the last step, float32 (c, s, r, k).
    """

    metric: np.ndarray
    diverged: np.ndarray
    probes: dict[str, np.ndarray]


def train(
    family: Family,
    cells: Mapping[str, np.ndarray],
    optimizer: Mapping[str, Any],
    hyper: Mapping[str, np.ndarray],
    seeds: Sequence[int],
    steps: int,
    chunk: int = 250,
    progress: Callable[[int], Any] = lambda count: None,
) -> Ended:
    """Trains every point on every cell with every seed.

    Args:
      family: called with the numbers of a cell by name. Its tasks have no augmentation, and one
        batch measures them exactly.
      cells: the traced arguments of the family, each (c,).
      optimizer: static config of the optimizer (see `plan.Run`).
      hyper: its traced arguments, each (c, r) or (c, r, …).
      seeds: of all cells and points.
      steps: of training.
      chunk: most steps between two looks at `progress`, which is given their number.

    Raises:
      ValueError: the arrays do not agree in their number of cells.
    """
    numbers = {name: jnp.asarray(values, jnp.float32) for name, values in cells.items()}
    traced = {name: jnp.asarray(values, jnp.float32) for name, values in hyper.items()}
    if len({len(array) for array in (*numbers.values(), *traced.values())}) != 1:
        shapes = {name: array.shape for name, array in (numbers | traced).items()}
        raise ValueError(f"first axes must all be the cells: {shapes}")
    made = partial(_made, family, dict(optimizer))
    start, advance, end = (_of_all(partial(part, made)) for part in (_start, _advance, _end))
    fixed = numbers, jnp.asarray(seeds, jnp.int32), traced
    carry = start(*fixed, None, 0, 0)
    for first in range(0, steps, chunk):
        until = min(first + chunk, steps)
        carry = jax.block_until_ready(advance(*fixed, carry, first, until))
        progress(until - first)
    return Ended(*jax.device_get(end(*fixed, carry, 0, 0)))


def _of_all(one: Callable[..., Any]) -> Callable[..., Any]:
    """`one` of (numbers, seed, hyper, carry, first, until) along (c, s, r), compiled."""
    runs = jax.vmap(one, (None, None, 0, 0, None, None))
    over_seeds = jax.vmap(runs, (None, 0, None, 0, None, None))
    return jax.jit(jax.vmap(over_seeds, (0, None, 0, 0, None, None)))


class _Made(NamedTuple):
    """A cell's task and data, and the static and the traced arguments of the optimizer."""

    task: Any
    data: Any
    optimizer: dict[str, Any]
    hyper: dict[str, jax.Array]


def _made(family: Family, optimizer: dict[str, Any], numbers: Any, hyper: Any) -> _Made:
    task = family(**numbers)
    return _Made(task, task.data(None), optimizer, hyper)


def _start(
    made: Callable[..., _Made],
    numbers: Any,
    seed: jax.Array,
    hyper: Any,
    carry: None,
    first: jax.Array,
    until: jax.Array,
) -> tuple[Any, jax.Array]:
    """((params, state, opt_state), whether it diverged) before the first step."""
    of = made(numbers, hyper)
    params, state = of.task.init(stream_key(seed, INIT))
    opt_state = optimizers.build(of.optimizer, hyper).init(params)
    return (params, state, opt_state), jnp.bool_(False)


def _advance(
    made: Callable[..., _Made],
    numbers: Any,
    seed: jax.Array,
    hyper: Any,
    carry: Any,
    first: jax.Array,
    until: jax.Array,
) -> Any:
    of = made(numbers, hyper)

    def step(i: jax.Array, carried: Any) -> tuple[Any, jax.Array]:
        carry, diverged = carried
        order, noise = (jax.random.fold_in(stream_key(seed, s), i) for s in (ORDER, NOISE))
        batch = of.task.prepare(of.data.train(order, i), None)
        carry, (loss, _) = train_step(of.task, of.optimizer, carry, batch, noise, hyper)
        return carry, diverged | ~jnp.isfinite(loss)

    return jax.lax.fori_loop(first, until, step, carry)


def _end(
    made: Callable[..., _Made],
    numbers: Any,
    seed: jax.Array,
    hyper: Any,
    carry: Any,
    first: jax.Array,
    until: jax.Array,
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Leading metric on one validation batch, whether the run diverged, probes."""
    of = made(numbers, hyper)
    (params, state, opt_state), diverged = carry
    shown = optimizers.evaluation_parameters(of.optimizer)(opt_state, params)
    key = stream_key(0, EVALUATION)
    batch = of.task.prepare(of.data.validation(key, 0), None)
    _, (_, metrics) = of.task.loss(shown, state, batch, key, False)
    value = jnp.mean(metrics[of.task.metrics[0].name])
    return value, diverged, optimizers.observe(of.optimizer, opt_state)
