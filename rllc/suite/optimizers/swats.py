"""SWATS: Adam that becomes SGD once its step is worth one learning rate (Keskar & Socher 2017)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class SwatsState(NamedTuple):
    """State of `swats`.

    Attributes:
      steps: k, steps taken, int32 ().
      mu: m, mean of gradients while Adam; v, momentum once SGD. Like the parameters.
      nu: a, mean of squared gradients, like the parameters.
      mean_rate: λ, uncorrected mean of the projected rates γ, ().
      sgd_rate: Λ, SGD's learning rate, 0 as long as the phase is Adam, ().
    """

    steps: jax.Array
    mu: optax.Updates
    nu: optax.Updates
    mean_rate: jax.Array
    sgd_rate: jax.Array


def swats(
    learning_rate: jax.typing.ArrayLike,
    switch_tolerance: jax.typing.ArrayLike = 1e-9,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-9,
) -> optax.GradientTransformation:
    """Adam until SGD's equivalent learning rate has settled, SGD with momentum from then on.

    While Adam takes steps p_k, the SGD rate of equal effect is γ_k = p·p / (-p·g), and
    λ_k = β2 λ_{k-1} + (1-β2) γ_k its running mean (unchanged where p·g = 0). At the first
    k > 1 with |λ_k/(1-β2^k) - γ_k| < tolerance, Λ = λ_k/(1-β2^k) becomes the rate of
    v_k = β1 v_{k-1} + g_k,  θ_k = θ_{k-1} - (1-β1) Λ v_k, starting at the next step from v = 0.

    Args:
      learning_rate: α of the Adam phase, a number or a traced scalar.
      switch_tolerance: how near the projected rate must come to its mean, in the unit of a
        learning rate. The paper has 1e-9; the larger, the earlier the switch.
      b1: β1, decay of Adam's mean of gradients and of SGD's momentum, per step.
      b2: β2, decay of the mean of squared gradients and of the mean rate, per step.
      eps: ε, added to the root of Adam's second moment.

    Returns:
      A transformation with two buffers as large as the parameters. One switch for all
      parameters, as in the paper. Every number may be traced.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = swats(0.1, switch_tolerance=1.0)
      >>> state = tx.init(jnp.ones(1))
      >>> for _ in range(2):
      ...     _, state = tx.update(jnp.ones(1), state)
      >>> print(f"{state.sgd_rate:.2f}")  # one coordinate of constant slope 1: Adam is SGD(0.1)
      0.10

    Reference:
      Keskar & Socher, Improving Generalization Performance by Switching from Adam to SGD, 2017,
      arXiv:1712.07628, Algorithm 1. One departure: a mean rate that is not positive does not
      switch, since SGD would climb with it.
    """

    def init(params: optax.Params) -> SwatsState:
        dtype = optax.tree.dtype(params, "highest")
        mu, nu = optax.tree.zeros_like(params), optax.tree.zeros_like(params)
        # Two scalars, not one twice: a state that holds an array twice cannot be donated.
        mean_rate, sgd_rate = jnp.zeros([], dtype), jnp.zeros([], dtype)
        return SwatsState(jnp.zeros([], jnp.int32), mu, nu, mean_rate, sgd_rate)

    def update(
        updates: optax.Updates, state: SwatsState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, SwatsState]:
        del params
        count = optax.safe_increment(state.steps)
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(updates, state.nu, b2, 2)
        velocity = jax.tree.map(lambda v, g: b1 * v + g, state.mu, updates)
        size = learning_rate * jnp.sqrt(1 - b2**count) / (1 - b1**count)
        adam = jax.tree.map(lambda m, a: -size * m / (jnp.sqrt(a) + eps), mu, nu)

        mean_rate, rate, settled = _projection(adam, updates, state, count, b2, switch_tolerance)
        is_sgd = state.sgd_rate > 0
        sgd_rate = jnp.where(is_sgd, state.sgd_rate, jnp.where(settled, rate, 0.0))
        sgd = jax.tree.map(lambda v: -(1 - b1) * state.sgd_rate * v, velocity)
        step = jax.tree.map(
            lambda s, a, g: jnp.where(is_sgd, s, a).astype(g.dtype), sgd, adam, updates
        )
        started = jax.tree.map(lambda m: jnp.where(settled, 0.0, m).astype(m.dtype), mu)
        mu = jax.tree.map(lambda v, m: jnp.where(is_sgd, v, m), velocity, started)
        return step, SwatsState(count, mu, nu, mean_rate, sgd_rate.astype(state.sgd_rate.dtype))

    return optax.GradientTransformation(init, update)


def _projection(
    adam: optax.Updates,
    gradient: optax.Updates,
    state: SwatsState,
    count: jax.Array,
    b2: float,
    tolerance: jax.typing.ArrayLike,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """SGD's rate of equal effect: (λ, its corrected mean Λ, whether it has settled)."""
    slope = optax.tree.vdot(adam, gradient)
    informative = slope != 0
    rate = optax.tree.vdot(adam, adam) / -jnp.where(informative, slope, 1.0)
    mean = jnp.where(informative, b2 * state.mean_rate + (1 - b2) * rate, state.mean_rate)
    corrected = mean / (1 - b2**count)
    near = jnp.abs(corrected - rate) < tolerance
    settled = informative & (count > 1) & near & (corrected > 0)
    return mean.astype(state.mean_rate.dtype), corrected, settled
