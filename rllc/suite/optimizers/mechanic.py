"""Mechanic (Cutkosky et al. 2023) from optax, around Adam."""

import jax
import optax


def mechanic(
    learning_rate: jax.typing.ArrayLike = 1.0,
    weight_decay: jax.typing.ArrayLike = 0.01,
    b1: jax.typing.ArrayLike = 0.9,
    b2: jax.typing.ArrayLike = 0.999,
    eps: jax.typing.ArrayLike = 1e-8,
    s_init: jax.typing.ArrayLike = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    """Adam whose scale is learned online: θ_t = θ_0 + s_t Δ_t, Δ_t the sum of Adam's steps.

    Args:
      learning_rate: Adam's; it matters through the first scale only, which is `learning_rate`
        times `s_init`.
      weight_decay: λ of Mechanic, the pull of the learned scale towards smaller parameters, no
        unit.
      b1: decay of Adam's mean of gradients, per step.
      b2: decay of Adam's mean of squared gradients, per step.
      eps: added to the root of Adam's second moment.
      s_init: the first scale.

    Returns:
      An optax optimizer with three buffers as large as the parameters. Every number may be traced.

    Reference:
      Cutkosky, Defazio, Mehta, Mechanic: A Learning Rate Tuner, NeurIPS 2023, arXiv:2306.00144,
      through `optax.contrib.mechanize`.
    """
    adam = optax.adam(learning_rate, b1, b2, eps)
    return optax.contrib.mechanize(adam, weight_decay=weight_decay, s_init=s_init)
