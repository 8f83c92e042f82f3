"""AdaBound: Adam whose step sizes are clipped towards SGD's (Luo et al. 2019)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class AdaBoundState(NamedTuple):
    """State of `adabound`.

    Attributes:
      steps: t, steps taken, int32 ().
      mu: m, mean of gradients, like the parameters.
      nu: v, mean of squared gradients, like the parameters.
    """

    steps: jax.Array
    mu: optax.Updates
    nu: optax.Updates


def adabound(
    learning_rate: optax.ScalarOrSchedule,
    final_learning_rate: optax.ScalarOrSchedule = 0.1,
    b1: float = 0.9,
    b2: float = 0.999,
    gamma: float = 1e-3,
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam with every coordinate's step size clipped into a band that narrows to one rate.

        η_t = clip(α √(1-β2^t) / ((1-β1^t) (√v_t + ε)), η_l(t), η_u(t)),  θ_t = θ_{t-1} - η_t m_t
        η_l(t) = α* (1 - 1/(γt + 1)),  η_u(t) = α* (1 + 1/(γt))

    α* is an absolute step size and not a multiple of α: the end of training depends on α*
    alone, its beginning on α alone, so the two are tuned together. A schedule for α leaves
    the band where it is; give α* the same schedule to move it along (the authors' code does
    that, scaling α* by α_t/α_0).

    Args:
      learning_rate: α of the Adam-like beginning; a number, a traced scalar or a schedule.
      final_learning_rate: α* of the SGD-like end, on the mean (not the sum) of gradients;
        a number, a traced scalar or a schedule.
      b1: β1, decay of the mean of gradients, per step.
      b2: β2, decay of the mean of squared gradients, per step.
      gamma: γ, speed at which the band narrows, per step; the paper has 1 - β2.
      eps: ε, added to the root of the second moment.

    Returns:
      A transformation with two buffers as large as the parameters. Every number may be traced.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = adabound(0.001, gamma=1e9)  # a closed band: plain SGD on the mean of gradients
      >>> updates, _ = tx.update(jnp.ones(1), tx.init(jnp.ones(1)))
      >>> print(f"{updates[0]:.4f}")
      -0.0100

    Reference:
      Luo et al., Adaptive Gradient Methods with Dynamic Bound of Learning Rate, ICLR 2019,
      arXiv:1902.09843, Algorithm 2. As in the authors' code: with Adam's bias correction and ε,
      and without the 1/√t of the regret proof.
    """

    def init(params: optax.Params) -> AdaBoundState:
        zeros = optax.tree.zeros_like(params)
        return AdaBoundState(jnp.zeros([], jnp.int32), zeros, optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates, state: AdaBoundState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdaBoundState]:
        del params
        rate, final = _at(learning_rate, state.steps), _at(final_learning_rate, state.steps)
        count = optax.safe_increment(state.steps)
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(updates, state.nu, b2, 2)
        adam = rate * jnp.sqrt(1 - b2**count) / (1 - b1**count)
        low, high = final * (1 - 1 / (gamma * count + 1)), final * (1 + 1 / (gamma * count))

        def step(m: jax.Array, v: jax.Array) -> jax.Array:
            return -(jnp.clip(adam / (jnp.sqrt(v) + eps), low, high) * m).astype(m.dtype)

        return jax.tree.map(step, mu, nu), AdaBoundState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def _at(value: optax.ScalarOrSchedule, count: jax.Array) -> jax.typing.ArrayLike:
    rate: jax.typing.ArrayLike = value(count) if callable(value) else value
    return rate
