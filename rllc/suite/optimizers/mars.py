"""MARS-AdamW (Yuan et al. 2024): AdamW on gradients corrected for variance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.suite.optimizers.precision import at_least_f32, decayed_step


class MarsState(NamedTuple):
    """State of `scale_by_mars`.

    Attributes:
      previous: g_{t-1}, like the parameters.
      adam: state of `optax.scale_by_adam`.
    """

    previous: optax.Updates
    adam: optax.OptState


def scale_by_mars(
    gamma: jax.typing.ArrayLike = 0.025,
    b1: jax.typing.ArrayLike = 0.95,
    b2: jax.typing.ArrayLike = 0.99,
    eps: jax.typing.ArrayLike = 1e-8,
) -> optax.GradientTransformation:
    """Adam's direction of c_t in place of the gradient.

        c_t = g_t + γ β1/(1-β1) (g_t - g_{t-1}), divided by its norm where that exceeds 1; g_0 = 0

    Args:
      gamma: γ, how far the difference of gradients is believed, no unit; 0 leaves clipped Adam.
      b1: β1, decay of the mean of corrected gradients, per step.
      b2: β2, decay of the mean of their squares, per step.
      eps: added to the root of the corrected second moment.

    Returns:
      A transformation with three buffers as large as the parameters. Every number may be traced.

    Reference:
      Yuan et al., MARS: Unleashing the Power of Variance Reduction for Training Large Models,
      2024, arXiv:2411.10438, MARS-AdamW in the approximate form, whose g_{t-1} is of the batch
      before; norms array by array as in the authors' code. Their option to leave vectors to AdamW
      is not taken.
    """
    adam = optax.scale_by_adam(b1, b2, eps)

    def init(params: optax.Params) -> MarsState:
        return MarsState(optax.tree.zeros_like(params), adam.init(params))

    def corrected(g: jax.Array, old: jax.Array) -> jax.Array:
        wide = at_least_f32(g)
        c = g.astype(wide) + gamma * b1 / (1 - b1) * (g.astype(wide) - old.astype(wide))
        return (c / jnp.maximum(jnp.linalg.norm(c.ravel()), 1)).astype(g.dtype)

    def update(
        updates: optax.Updates, state: MarsState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, MarsState]:
        c = jax.tree.map(corrected, updates, state.previous)
        direction, inner = adam.update(c, state.adam, params)
        return direction, MarsState(updates, inner)

    return optax.GradientTransformation(init, update)


def mars_adamw(
    learning_rate: optax.ScalarOrSchedule,
    gamma: jax.typing.ArrayLike = 0.025,
    b1: jax.typing.ArrayLike = 0.95,
    b2: jax.typing.ArrayLike = 0.99,
    eps: jax.typing.ArrayLike = 1e-8,
    weight_decay: jax.typing.ArrayLike = 0.0,
) -> optax.GradientTransformation:
    """AdamW on variance-corrected gradients.

    Args:
      learning_rate: a number, a traced scalar or a schedule.
      gamma: see `scale_by_mars`, as are b1, b2 and eps.
      b1: see there.
      b2: see there.
      eps: see there.
      weight_decay: fraction of the parameters taken off per step and unit of learning rate.
    """
    return optax.chain(
        scale_by_mars(gamma, b1, b2, eps),
        decayed_step(learning_rate, weight_decay),
    )
