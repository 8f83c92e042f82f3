"""`rllc.lm_rllc` with a law rate that falls, and whose beginning is tuned."""

from typing import Any

import jax
import optax

import rllc


def falling_law_rate(
    propagator: rllc.Propagator | str,
    learning_rate: jax.typing.ArrayLike,
    law_learning_rate: jax.typing.ArrayLike = 0.01,
    power: float = 0.5,
    transition_steps: float = 100,
    **settings: Any,
) -> optax.GradientTransformationExtraArgs:
    """LM-RLLC with the law rate c₂ / (1 + t/T)^p.

    A config can give `rllc.lm_rllc` any schedule as its law rate, but its numbers are then fixed;
    here c₂ is a number that a grid may tune.

    Args:
      propagator: (B, a), or its notation.
      learning_rate: c₁, a number or a traced scalar.
      law_learning_rate: c₂, the law rate at the start, likewise.
      power: p.
      transition_steps: T.
      **settings: of `rllc.lm_rllc`.
    """
    schedule = rllc.inverse_power_schedule(law_learning_rate, power, transition_steps)
    return rllc.lm_rllc(propagator, learning_rate, schedule, **settings)
