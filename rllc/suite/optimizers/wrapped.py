"""`rllc.wrap` around Adam and momentum SGD: a self-correcting rate for each."""

from typing import Any

import jax
import optax

import rllc


def wrap_adam(
    learning_rate: jax.typing.ArrayLike,
    law_learning_rate: jax.typing.ArrayLike = 1.0,
    b1: jax.typing.ArrayLike = 0.9,
    b2: jax.typing.ArrayLike = 0.999,
    eps: jax.typing.ArrayLike = 1e-8,
    **settings: Any,
) -> optax.GradientTransformationExtraArgs:
    """Adam, its rate multiplied by a learning law that starts at 1.

    Args:
      learning_rate: Adam's, a number or a traced scalar.
      law_learning_rate: c₂ over `learning_rate`, in the unit 1 / gradient: a step of Adam has the
        size of the rate whatever the gradient's.
      b1: decay of the mean of gradients, per step.
      b2: decay of the mean of squared gradients, per step.
      eps: added to the root of the corrected second moment.
      **settings: of `rllc.wrap`.
    """
    inner = optax.adam(learning_rate, b1, b2, eps)
    return rllc.wrap(inner, 1.0, law_learning_rate * learning_rate, **settings)


def wrap_momentum(
    learning_rate: jax.typing.ArrayLike,
    law_learning_rate: jax.typing.ArrayLike = 0.01,
    momentum: jax.typing.ArrayLike = 0.9,
    **settings: Any,
) -> optax.GradientTransformationExtraArgs:
    """Momentum SGD, its rate multiplied by a learning law that starts at 1.

    With the law of `rllc.lm_rllc("M(0.9)", learning_rate, law_learning_rate)`, whose memory is the
    momentum itself.

    Args:
      learning_rate: of the inner SGD, a number or a traced scalar.
      law_learning_rate: c₂ over `learning_rate`, no unit.
      momentum: decay of the gradient sum, per step.
      **settings: of `rllc.wrap`.
    """
    inner = optax.sgd(learning_rate, momentum)
    return rllc.wrap(inner, 1.0, law_learning_rate * learning_rate, **settings)
