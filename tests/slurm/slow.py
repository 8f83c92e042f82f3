"""A task whose steps take a fixed time, so that a time limit comes in mid-run anywhere."""

import time
from typing import Any

import jax

from tests.suite import toy


def quadratic(name: str = "slow", seconds: float = 0.01) -> toy.ToyTask:
    """`toy.quadratic`, asleep for some seconds at every training step of a program."""
    task = toy.quadratic(name)

    def asleep(value: Any) -> Any:
        time.sleep(seconds)
        return value

    def loss(params, state, batch, key, train):
        value, more = task.loss(params, state, batch, key, train)
        if train is False or train == 0:
            return value, more
        held = jax.lax.stop_gradient(value)
        late = jax.pure_callback(asleep, held, held, vmap_method="expand_dims")
        return value + 0.0 * late, more  # a result that nobody needs would not be waited for

    return task._replace(loss=loss)
