"""DiffGrad: Adam slowed down where the gradient has stopped changing (Dubey et al. 2020)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class DiffGradState(NamedTuple):
    """State of `scale_by_diffgrad`.

    Attributes:
      steps: t, steps taken, int32 ().
      mu: m, mean of gradients, like the parameters.
      nu: v, mean of squared gradients, like the parameters.
      previous: g_{t-1}, like the parameters.
    """

    steps: jax.Array
    mu: optax.Updates
    nu: optax.Updates
    previous: optax.Updates


def scale_by_diffgrad(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam's direction times the friction ξ_t = 1 / (1 + exp(-|g_{t-1} - g_t|)) in [½, 1).

    Args:
      b1: β1, decay of the mean of gradients, per step.
      b2: β2, decay of the mean of squared gradients, per step.
      eps: ε, added to the root of the corrected second moment.

    Returns:
      A transformation with three buffers as large as the parameters. All three numbers may
      be traced.

    Reference:
      Dubey et al., diffGrad: An Optimization Method for Convolutional Neural Networks, IEEE
      TNNLS 31(11), 2020, arXiv:1909.11015, equations 7-12, with g_0 = 0.
    """

    def init(params: optax.Params) -> DiffGradState:
        zeros = [optax.tree.zeros_like(params) for _ in range(3)]
        return DiffGradState(jnp.zeros([], jnp.int32), *zeros)

    def update(
        updates: optax.Updates, state: DiffGradState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, DiffGradState]:
        del params
        count = optax.safe_increment(state.steps)
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(updates, state.nu, b2, 2)
        mu_hat = optax.tree.bias_correction(mu, b1, count)
        nu_hat = optax.tree.bias_correction(nu, b2, count)

        def step(m: jax.Array, v: jax.Array, old: jax.Array, new: jax.Array) -> jax.Array:
            return jax.nn.sigmoid(jnp.abs(old - new)) * m / (jnp.sqrt(v) + eps)

        scaled = jax.tree.map(step, mu_hat, nu_hat, state.previous, updates)
        return scaled, DiffGradState(count, mu, nu, updates)

    return optax.GradientTransformation(init, update)


def diffgrad(
    learning_rate: optax.ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """DiffGrad with a learning rate: θ_t = θ_{t-1} - α ξ_t m̂_t / (√v̂_t + ε).

    Args:
      learning_rate: α, a number, a traced scalar or a schedule.
      b1: see `scale_by_diffgrad`.
      b2: see `scale_by_diffgrad`.
      eps: see `scale_by_diffgrad`.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = diffgrad(0.1)
      >>> updates, _ = tx.update(jnp.ones(1), tx.init(jnp.ones(1)))
      >>> print(f"{updates[0]:.4f}")  # -0.1 times the sigmoid of 1
      -0.0731
    """
    return optax.chain(scale_by_diffgrad(b1, b2, eps), optax.scale_by_learning_rate(learning_rate))
