"""A noisy quadratic of ten parameters, once in NumPy and once in JAX, both in float64.

Gradients depend on where one stands, so estimates of a distance or a loss have something to
estimate; the noise of step t is the same for all. Flat vectors are [bias (4,), kernel (3, 2)].
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

STEPS = 60
_rng = np.random.default_rng(0)
CURVATURE = _rng.uniform(0.2, 3.0, 10)
MINIMUM = _rng.normal(size=10)
NOISE = 0.5 * _rng.normal(size=(STEPS, 10))
START = MINIMUM + 3 * _rng.normal(size=10)
FLOOR = 4.0  # the loss is at least about this


def loss(t: int, x: np.ndarray) -> float:
    """½ Σ h (x - x*)² + noise_t·(x - x*) + 4."""
    return 0.5 * CURVATURE @ (x - MINIMUM) ** 2 + NOISE[t] @ (x - MINIMUM) + FLOOR


def gradient(t: int, x: np.ndarray) -> np.ndarray:
    """h (x - x*) + noise_t."""
    return CURVATURE * (x - MINIMUM) + NOISE[t]


def arrays(x: np.ndarray) -> list[np.ndarray]:
    """The flat vector as bias and kernel."""
    return [x[:4], x[4:].reshape(3, 2)]


def flat(parts: list[np.ndarray]) -> np.ndarray:
    """Bias and kernel as one vector."""
    return np.concatenate([part.ravel() for part in parts])


def path(paper: Iterator[np.ndarray]) -> np.ndarray:
    """Parameters after each step of a transcription, (steps, 10)."""
    return np.stack(list(paper))


def trajectory(tx: optax.GradientTransformation, evaluation=None) -> np.ndarray:
    """Parameters (or what `evaluation` makes of state and parameters) after each step."""
    with jax.enable_x64(True):
        bias, kernel = arrays(START)
        start, unravel = ravel_pytree({"bias": jnp.asarray(bias), "kernel": jnp.asarray(kernel)})
        tx = optax.with_extra_args_support(tx)
        params = unravel(start)

        def step(carry, noise):
            params, state = carry
            x = ravel_pytree(params)[0]
            away = x - MINIMUM
            value = 0.5 * jnp.sum(CURVATURE * away**2) + jnp.sum(noise * away) + FLOOR
            slope = unravel(CURVATURE * away + noise)
            updates, state = tx.update(slope, state, params, value=value)
            params = optax.apply_updates(params, updates)
            shown = params if evaluation is None else evaluation(state, params)
            return (params, state), ravel_pytree(shown)[0]

        run = jax.jit(lambda: jax.lax.scan(step, (params, tx.init(params)), jnp.asarray(NOISE)))
        return np.asarray(run()[1])
