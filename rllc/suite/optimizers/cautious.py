"""Cautious optimizers (Liang et al. 2024): no step where the direction opposes the gradient."""

import jax
import jax.numpy as jnp
import optax

from rllc.suite.optimizers.precision import decayed_step


def cautious(direction: optax.GradientTransformation) -> optax.GradientTransformation:
    """Masks coordinates where u g ≤ 0 and scales the others up, array by array.

        φ = [u ∘ g > 0],  ū = u ∘ φ d / (|φ|₀ + 1),  d the number of coordinates

    Args:
      direction: a transformation whose output u points uphill, as `optax.scale_by_adam`'s does.

    Returns:
      A transformation with the state of `direction`.

    Reference:
      Liang et al., Cautious Optimizers: Improving Training with One Line of Code, 2024,
      arXiv:2411.16085, Algorithm 1; array by array as in the authors' code.
    """

    def masked(u: jax.Array, g: jax.Array) -> jax.Array:
        agrees = u * g > 0
        factor = u.size / (jnp.sum(agrees) + 1)
        return jnp.where(agrees, factor * u, 0).astype(g.dtype)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        uphill, state = direction.update(updates, state, params)
        return jax.tree.map(masked, uphill, updates), state

    return optax.GradientTransformation(direction.init, update)


def cautious_adamw(
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: jax.typing.ArrayLike = 0.0,
    b1: jax.typing.ArrayLike = 0.9,
    b2: jax.typing.ArrayLike = 0.999,
    eps: jax.typing.ArrayLike = 1e-8,
) -> optax.GradientTransformation:
    """AdamW with a cautious direction; the decay is not masked.

    Args:
      learning_rate: a number, a traced scalar or a schedule.
      weight_decay: fraction of the parameters taken off per step and unit of learning rate.
      b1: decay of the mean of gradients, per step.
      b2: decay of the mean of squared gradients, per step.
      eps: added to the root of the corrected second moment.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = cautious_adamw(0.1)
      >>> state = tx.init(jnp.ones(2))
      >>> _, state = tx.update(jnp.array([1.0, 1.0]), state, jnp.ones(2))
      >>> updates, _ = tx.update(jnp.array([1.0, -0.5]), state, jnp.ones(2))
      >>> print(f"{updates[0]:.2f} {abs(updates[1]):.2f}")  # the mean still opposes the second
      -0.10 0.00
    """
    return optax.chain(
        cautious(optax.scale_by_adam(b1, b2, eps)),
        decayed_step(learning_rate, weight_decay),
    )


def cautious_lion(
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: jax.typing.ArrayLike = 0.0,
    b1: jax.typing.ArrayLike = 0.9,
    b2: jax.typing.ArrayLike = 0.99,
) -> optax.GradientTransformation:
    """Lion with a cautious direction; the decay is not masked.

    Args:
      learning_rate: a number, a traced scalar or a schedule.
      weight_decay: fraction of the parameters taken off per step and unit of learning rate.
      b1: weight of the momentum in the step, per step.
      b2: decay of the momentum, per step.
    """
    return optax.chain(
        cautious(optax.scale_by_lion(b1, b2)),
        decayed_step(learning_rate, weight_decay),
    )
