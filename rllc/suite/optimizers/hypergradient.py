"""Hypergradient descent: the learning rate follows its own gradient (Baydin et al. 2018)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.suite.optimizers.precision import dot, scalar, stepped


class HypergradientState(NamedTuple):
    """State of `hdm` and `sgd_hd`.

    Attributes:
      rate: the adapted rate (`sgd_hd`) or its factor (`hdm`), at least float32, ().
      previous: g_{t-1}, like the parameters.
    """

    rate: jax.Array
    previous: optax.Updates


def hdm(
    learning_rate: jax.typing.ArrayLike, hyper_rate: jax.typing.ArrayLike = 0.01
) -> optax.GradientTransformation:
    """SGD whose rate follows the normalised hypergradient, without line search or reset.

        L_t = L_{t-1} + c₂ ⟨g_t, g_{t-1}⟩ / |g_{t-1}|²,  θ_t = θ_{t-1} - c₁ L_t g_t,  L_0 = 1

    ⟨g_t, g_{t-1}⟩ / |g_{t-1}|² is how fast, per squared gradient, the loss after the last step
    falls with its rate; c₁ c₂ is the papers' online learning rate. This is
    `rllc.lm_rllc("M(0.0)", c₁, c₂, epsilon=0, max_gradient_ratio=None)`, written without it; with
    that function's ε, c₂ is divided by 1 + ε. L may become negative, as there.

    Args:
      learning_rate: c₁, a number or a traced scalar; the rate at the start.
      hyper_rate: c₂, step of the factor L, no unit.

    Returns:
      A transformation with one buffer as large as the parameters. Both numbers may be traced.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = hdm(0.1, 0.5)
      >>> state = tx.init(jnp.ones(1))
      >>> for _ in range(2):
      ...     updates, state = tx.update(jnp.ones(1), state)
      >>> print(f"{updates[0]:.2f}")  # gradients agree: a rate of 1.5 times 0.1
      -0.15

    Reference:
      Gao, Chu, Ye, Udell, Gradient Methods with Online Scaling, COLT 2025, arXiv:2411.01803; Chu,
      Gao, Ye, Udell, Provable and Practical Online Learning Rate Adaptation with Hypergradient
      Descent, ICML 2025, arXiv:2502.11229: the scalar case with online gradient descent.
    """

    def init(params: optax.Params) -> HypergradientState:
        return HypergradientState(scalar(params, 1.0), optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates, state: HypergradientState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, HypergradientState]:
        del params
        square = dot(state.previous, state.previous)
        feedback = dot(updates, state.previous) / jnp.where(square == 0, 1, square)
        rate = (state.rate + hyper_rate * feedback).astype(state.rate.dtype)
        return stepped(learning_rate * rate, updates, updates), HypergradientState(rate, updates)

    return optax.GradientTransformation(init, update)


def sgd_hd(
    learning_rate: jax.typing.ArrayLike, hyper_rate: jax.typing.ArrayLike = 0.001
) -> optax.GradientTransformation:
    """SGD whose rate descends the loss: α_t = α_{t-1} + β ⟨g_t, g_{t-1}⟩,  θ_t = θ_{t-1} - α_t g_t.

    Args:
      learning_rate: α_0, a number or a traced scalar.
      hyper_rate: β, step of the rate, in the unit of a rate over a squared gradient.

    Returns:
      A transformation with one buffer as large as the parameters. Both numbers may be traced.

    Reference:
      Baydin et al., Online Learning Rate Adaptation with Hypergradient Descent, ICLR 2018,
      arXiv:1703.04782, SGD-HD.
    """

    def init(params: optax.Params) -> HypergradientState:
        return HypergradientState(scalar(params, learning_rate), optax.tree.zeros_like(params))

    def update(
        updates: optax.Updates, state: HypergradientState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, HypergradientState]:
        del params
        rate = state.rate + hyper_rate * dot(updates, state.previous)
        rate = rate.astype(state.rate.dtype)
        return stepped(rate, updates, updates), HypergradientState(rate, updates)

    return optax.GradientTransformation(init, update)


class AdamHdState(NamedTuple):
    """State of `adam_hd`.

    Attributes:
      rate: α_t, at least float32, ().
      previous: Adam's last direction m̂ / (√v̂ + ε), like the parameters.
      adam: state of `optax.scale_by_adam`.
    """

    rate: jax.Array
    previous: optax.Updates
    adam: optax.OptState


def adam_hd(
    learning_rate: jax.typing.ArrayLike,
    hyper_rate: jax.typing.ArrayLike = 1e-7,
    b1: jax.typing.ArrayLike = 0.9,
    b2: jax.typing.ArrayLike = 0.999,
    eps: jax.typing.ArrayLike = 1e-8,
) -> optax.GradientTransformation:
    """Adam whose rate descends the loss.

        α_t = α_{t-1} + β ⟨g_t, d_{t-1}⟩,  d_t = m̂_t / (√v̂_t + ε),  θ_t = θ_{t-1} - α_t d_t

    Args:
      learning_rate: α_0, a number or a traced scalar.
      hyper_rate: β, step of the rate, in the unit of a rate over a gradient.
      b1: decay of the mean of gradients, per step.
      b2: decay of the mean of squared gradients, per step.
      eps: ε, added to the root of the corrected second moment.

    Returns:
      A transformation with three buffers as large as the parameters. Every number may be traced.

    Reference:
      Baydin et al. 2018 (see `sgd_hd`), Adam-HD.
    """
    adam = optax.scale_by_adam(b1, b2, eps)

    def init(params: optax.Params) -> AdamHdState:
        start = scalar(params, learning_rate)
        return AdamHdState(start, optax.tree.zeros_like(params), adam.init(params))

    def update(
        updates: optax.Updates, state: AdamHdState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdamHdState]:
        rate = state.rate + hyper_rate * dot(updates, state.previous)
        rate = rate.astype(state.rate.dtype)
        direction, inner = adam.update(updates, state.adam, params)
        direction = jax.tree.map(lambda d, g: d.astype(g.dtype), direction, updates)
        return stepped(rate, direction, updates), AdamHdState(rate, direction, inner)

    return optax.GradientTransformation(init, update)
