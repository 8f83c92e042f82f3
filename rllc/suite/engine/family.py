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
from rllc.suite.engine.batching import INIT, NOISE, ORDER, stream_key
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
      family: called with the numbers of a cell by name. Its tasks have no augmentation.
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
    many = partial(_of_all, partial(_one_run, family, dict(optimizer)))
    start, advance, end = (jax.jit(partial(many, part)) for part in ("start", "advance", "end"))
    seed_array = jnp.asarray(seeds, jnp.int32)
    carry = start(numbers, seed_array, traced, None, 0, 0)
    for first in range(0, steps, chunk):
        until = min(first + chunk, steps)
        carry = jax.block_until_ready(advance(numbers, seed_array, traced, carry, first, until))
        progress(until - first)
    return Ended(*jax.device_get(end(numbers, seed_array, traced, carry, 0, 0)))


def _of_all(one: Callable[..., Any], part: str, numbers, seeds, hyper, carry, first, until) -> Any:
    """`one` along (c, s, r); the carry has all three axes, everything else its own."""
    runs = jax.vmap(partial(one, part), (None, None, 0, 0, None, None))
    over_seeds = jax.vmap(runs, (None, 0, None, 0, None, None))
    return jax.vmap(over_seeds, (0, None, 0, 0, None, None))(
        numbers, seeds, hyper, carry, first, until
    )


def _one_run(
    family: Family, optimizer, part: str, numbers, seed, hyper, carry, first, until
) -> Any:
    task = family(**numbers)
    if part == "start":
        params, state = task.init(stream_key(seed, INIT))
        return (params, state, optimizers.build(optimizer, hyper).init(params)), jnp.bool_(False)
    if part == "end":
        return _measured(task, optimizer, carry)

    def step(i, carried):
        carry, diverged = carried
        order, noise = (jax.random.fold_in(stream_key(seed, s), i) for s in (ORDER, NOISE))
        batch = task.prepare(task.data(None).train(order, i), None)
        carry, (loss, _) = train_step(task, optimizer, carry, batch, noise, hyper)
        return carry, diverged | ~jnp.isfinite(loss)

    return jax.lax.fori_loop(first, until, step, carry)


def _measured(task: Any, optimizer, carried) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Leading metric on the validation problem, whether the run diverged, probes."""
    (params, state, opt_state), diverged = carried
    key = stream_key(0, NOISE)
    shown = optimizers.evaluation_parameters(optimizer)(opt_state, params)
    batch = task.prepare(task.data(None).validation(key, 0), None)
    _, (_, metrics) = task.loss(shown, state, batch, key, False)
    value = jnp.mean(metrics[task.metrics[0].name])
    return value, diverged, optimizers.observe(optimizer, opt_state)
