"""Schedules that optax does not have."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax


def inverse_power_schedule(
    init_value: Any, power: Any = 0.5, transition_steps: Any = 1
) -> optax.Schedule:
    r"""A rate that falls as a power of the step, :math:`c / (1 + t/T)^p`.

    With the default power it is the rate c/√t of online gradient descent, whose steps add up
    without end while each becomes as small as one likes.

    Args:
      init_value: c, the rate at step 0; a number or a traced scalar.
      power: p.
      transition_steps: T, the number of steps over which the rate begins to fall.

    Returns:
      A schedule, from the step number to the rate.

    Example:
      >>> import rllc
      >>> schedule = rllc.inverse_power_schedule(0.03)
      >>> [round(float(schedule(t)), 4) for t in (0, 3, 99)]
      [0.03, 0.015, 0.003]
    """

    def schedule(count: Any) -> jax.Array:
        return jnp.asarray(init_value / (1 + count / transition_steps) ** power)

    return schedule
