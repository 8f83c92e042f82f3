"""MADA (Ozkara et al. 2024): an optimizer between Adam, AVGrad, Yogi, Adan and Lion that learns."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.suite.optimizers.precision import scalar


class Coefficients(NamedTuple):
    """Where the optimizer stands, each a scalar ().

    Attributes:
      b1: decay of the mean of gradients, per step.
      b2: decay of the second moment, per step.
      b3: Adan's weight and decay of differences of gradients; 0 is Adam.
      c: 1 adds squares as Adam does, 0 as Yogi does.
      rho: 1 divides by the second moment, 0 by its mean over time (AVGrad).
      gamma: 1 steps as these do, 0 as Lion does.
    """

    b1: Any
    b2: Any
    b3: Any
    c: Any
    rho: Any
    gamma: Any


LOWEST = Coefficients(0.01, 0.501, 0.0, 0.0, 0.0, 0.0)
HIGHEST = Coefficients(0.99, 0.99, 0.99, 1.0, 1.0, 1.0)
RELATIVE_RATES = Coefficients(0.005, 0.005, 1.0, 1.0, 1.0, 1.0)  # of their steps, authors' code
LION = (0.95, 0.98)  # Lion's decays in the step and of the momentum
TINY = 1e-15  # second moments start here, so that roots have derivatives
FLOOR = 1e-30  # under the root, where a gradient that is always 0 has let v decay to 0


class Moments(NamedTuple):
    """Adam's m and v, v's mean over time, Adan's n, g_{t-1} and Lion's momentum of one array."""

    m: jax.Array
    v: jax.Array
    v_mean: jax.Array
    n: jax.Array
    g: jax.Array
    lion: jax.Array


class MadaState(NamedTuple):
    """State of `mada`.

    The moments are those from before the last step, which the hypergradient needs; the ones after
    it follow from them.

    Attributes:
      steps: t, steps taken, int32 ().
      coefficients: of the last step, at least float32, () each.
      moments: from before the last step, `Moments` of trees like the parameters.
      gradient: of the last step, like the parameters.
    """

    steps: jax.Array
    coefficients: Coefficients
    moments: Moments
    gradient: optax.Updates


def mada(
    learning_rate: jax.typing.ArrayLike,
    hyper_rate: jax.typing.ArrayLike = 0.1,
    b1: jax.typing.ArrayLike = 0.9,
    b2: jax.typing.ArrayLike = 0.99,
    b3: jax.typing.ArrayLike = 0.0,
    c: jax.typing.ArrayLike = 1.0,
    rho: jax.typing.ArrayLike = 1.0,
    gamma: jax.typing.ArrayLike = 1.0,
    eps: jax.typing.ArrayLike = 1e-6,
) -> optax.GradientTransformation:
    """A step with six coefficients, each of which descends the loss through the last step.

        ĝ = g_t + β3 (g_t - g_{t-1}),  s = c ĝ² + (1-c) (v + ĝ² sign(ĝ² - v))
        m ← β1 m + (1-β1) g,  v ← β2 v + (1-β2) s,  n ← β3 n + (1-β3) (g_t - g_{t-1})
        v̄ ← mean of v over time,  l ← 0.98 l + 0.02 g
        u = γ (m / (1-β1^t) + β3 n) / (√((ρ v + (1-ρ) v̄) / (1-β2^t)) + ε)
            + (1-γ) sign(0.95 l + 0.05 g),  θ_t = θ_{t-1} - α u
    Before each step every coefficient q ← clip(q - r_q ∂L(θ_{t-1})/∂q), the derivative through
    the last u alone: moments from before it, and v̄, count as constants.

    Args:
      learning_rate: α, a number or a traced scalar; not adapted.
      hyper_rate: r_q of β3, c, ρ and γ, per unit of loss; that of β1 and β2 is 0.005 of it.
      b1: β1 at the start, as are the following; the authors' defaults are Adam with β2 = 0.99.
      b2: see `Coefficients`.
      b3: see there.
      c: see there.
      rho: see there.
      gamma: see there.
      eps: ε, added to the root of the second moment.

    Returns:
      A transformation with seven buffers as large as the parameters. Every number may be traced.

    Reference:
      Ozkara et al., MADA: Meta-Adaptive Optimizers through Hyper-Gradient Descent, ICML 2024,
      arXiv:2401.08893; rates, bounds and Lion's part from the authors' code. n starts at 0 (there
      at g²). One departure: a floor of 1e-30 under the root.
    """
    initial = Coefficients(b1, b2, b3, c, rho, gamma)

    def init(params: optax.Params) -> MadaState:
        zeros = optax.tree.zeros_like(params)
        tiny = jax.tree.map(lambda p: jnp.full_like(p, TINY), params)
        coefficients = Coefficients(*[scalar(params, q) for q in initial])
        moments = Moments(zeros, tiny, tiny, zeros, zeros, zeros)
        state = MadaState(jnp.zeros([], jnp.int32), coefficients, moments, zeros)
        copied: MadaState = jax.tree.map(jnp.copy, state)  # no two parts share a buffer
        return copied

    def update(
        updates: optax.Updates, state: MadaState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, MadaState]:
        del params
        begun = state.steps > 0

        def last(coefficients: Coefficients) -> tuple[optax.Updates, Moments]:
            return _step(coefficients, state.moments, state.gradient, state.steps, eps)

        direction, pull, after = jax.vjp(last, state.coefficients, has_aux=True)
        (slope,) = pull(jax.tree.map(lambda g, d: g.astype(d.dtype), updates, direction))
        coefficients = Coefficients(
            *[
                jnp.where(
                    begun, jnp.clip(q + learning_rate * hyper_rate * r * s, low, high), q
                ).astype(q.dtype)
                for q, s, r, low, high in zip(
                    state.coefficients, slope, RELATIVE_RATES, LOWEST, HIGHEST, strict=True
                )
            ]
        )
        moments = jax.tree.map(
            lambda new, old: jnp.where(begun, new, old).astype(old.dtype), after, state.moments
        )
        count = optax.safe_increment(state.steps)
        direction, _ = _step(coefficients, moments, updates, count, eps)
        step = jax.tree.map(lambda d, g: (-(learning_rate * d)).astype(g.dtype), direction, updates)
        return step, MadaState(count, coefficients, moments, updates)

    return optax.GradientTransformation(init, update)


def _step(
    q: Coefficients,
    moments: Moments,
    gradient: optax.Updates,
    t: jax.Array,
    eps: jax.typing.ArrayLike,
) -> tuple[optax.Updates, Moments]:
    """(u, the moments after the step) of one step from `moments`."""
    t = jnp.maximum(t, 1)
    each = jax.tree.map(lambda g, *arrays: _moments(q, Moments(*arrays), g, t), gradient, *moments)
    after = Moments(
        *[jax.tree.map(lambda _, new, i=i: new[i], gradient, each) for i in range(len(moments))]
    )

    def direction(new: Moments, g: jax.Array) -> jax.Array:
        second = (q.rho * new.v + (1 - q.rho) * new.v_mean) / (1 - q.b2**t)
        root = jnp.sqrt(jnp.maximum(second, FLOOR))
        adaptive = (new.m / (1 - q.b1**t) + q.b3 * new.n) / (root + eps)
        lion = jnp.sign(LION[0] * new.lion + (1 - LION[0]) * g)
        mixed: jax.Array = q.gamma * adaptive + (1 - q.gamma) * lion
        return mixed

    return jax.tree.map(lambda g, new: direction(new, g), gradient, each), after


def _moments(q: Coefficients, old: Moments, g: Any, t: jax.Array) -> Moments:
    """The moments of one array after gradient g, which is step t."""
    difference = g - old.g
    square = (g + q.b3 * difference) ** 2
    yogi = old.v + square * jnp.sign(square - old.v)
    v = q.b2 * old.v + (1 - q.b2) * (q.c * square + (1 - q.c) * yogi)
    return Moments(
        m=q.b1 * old.m + (1 - q.b1) * g,
        v=v,
        v_mean=jax.lax.stop_gradient((v + (t - 1) * old.v_mean) / t),
        n=q.b3 * old.n + (1 - q.b3) * difference,
        g=g,
        lion=LION[1] * old.lion + (1 - LION[1]) * g,
    )
