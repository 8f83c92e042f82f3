"""DoG (Ivgi et al. 2023) from optax, with the averaging its authors evaluate at."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class AveragedState(NamedTuple):
    """State of `averaged`.

    Attributes:
      steps: t, steps taken, int32 ().
      average: mean of the iterates, like the parameters.
      inner: state of the optimizer.
    """

    steps: jax.Array
    average: optax.Params
    inner: optax.OptState


def averaged(
    inner: optax.GradientTransformation, gamma: jax.typing.ArrayLike = 8.0
) -> optax.GradientTransformation:
    """The optimizer as it is, with a polynomially decaying mean of its iterates beside it.

        θ̄_t = (1 - w_t) θ̄_{t-1} + w_t θ_t,  w_t = (1 + γ) / (t + γ)

    Args:
      inner: an optimizer.
      gamma: γ ≥ 0, how much the mean favours late iterates: it reaches back over about the last
        1/(1+γ) of the run; 0 is the plain mean.

    Returns:
      A transformation with one buffer more than `inner`; `average` reads it.

    Reference:
      Shamir & Zhang, Stochastic Gradient Descent for Non-smooth Optimization, ICML 2013; γ = 8 in
      Ivgi et al. 2023.
    """

    def init(params: optax.Params) -> AveragedState:
        state = AveragedState(jnp.zeros([], jnp.int32), params, inner.init(params))
        copied: AveragedState = jax.tree.map(jnp.copy, state)  # shares no buffer with parameters
        return copied

    def update(
        updates: optax.Updates, state: AveragedState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AveragedState]:
        if params is None:
            raise ValueError("averaged needs the parameters: update(updates, state, params)")
        updates, inner_state = inner.update(updates, state.inner, params)
        updates = jax.tree.map(lambda u, p: u.astype(p.dtype), updates, params)
        steps = optax.safe_increment(state.steps)
        weight: jax.Array = (1 + gamma) / (steps + gamma)

        def mean(old: jax.Array, p: jax.Array, u: jax.Array) -> jax.Array:
            return (old + weight * (p + u - old)).astype(p.dtype)

        average = jax.tree.map(mean, state.average, params, updates)
        return updates, AveragedState(steps, average, inner_state)

    return optax.GradientTransformation(init, update)


def average(state: AveragedState, params: optax.Params) -> optax.Params:
    """The mean of the iterates, for evaluation; the start before the first step."""
    del params
    return state.average


def dog(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    initial_distance: jax.typing.ArrayLike = 1e-6,
    eps: jax.typing.ArrayLike = 1e-8,
    gamma: jax.typing.ArrayLike = 8.0,
) -> optax.GradientTransformation:
    """SGD at the rate (largest distance from the start) / √(sum of squared gradient norms).

        θ_{t+1} = θ_t - c r̄_t / √(G_t + ε) g_t,  r̄_t = max(r_ε (1 + |θ_0|), max_{i≤t} |θ_i - θ_0|)

    Args:
      learning_rate: c, a factor; the paper has 1.
      initial_distance: r_ε, the first step as a fraction of 1 + |θ_0|.
      eps: ε, added to the sum of squared norms.
      gamma: of `averaged`; evaluate at `average`, as the authors do.

    Returns:
      An optax optimizer with two buffers as large as the parameters. Every number may be traced.

    Reference:
      Ivgi et al., DoG is SGD's Best Friend, ICML 2023, arXiv:2302.12022, through
      `optax.contrib.dog`.
    """
    inner = optax.contrib.dog(learning_rate, ("heuristic", initial_distance), eps)
    return averaged(inner, gamma)
