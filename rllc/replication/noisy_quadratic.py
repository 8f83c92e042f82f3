"""What corrections of the law are to be expected on a noisy quadratic, in closed form.

The loss is ½ Σ hᵢ xᵢ², its gradient is seen as hᵢ xᵢ + ξᵢ with independent Gaussian noise of
standard deviation σᵢ, and the memory is M(λ), one unit m, so that x moves by −η m with η = c₁ L.
The correction is δ = ⟨m, g'⟩ / |m|², g' being the next gradient. `docs/laws.md` derives the
formulas.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rllc

NODES = 400  # of the quadrature; doubling them changes no weight by more than 1e-9


def correction_away(ratio: np.ndarray | float, step: np.ndarray) -> np.ndarray:
    """E δ of M(0) where all curvatures are h and x is Gaussian with zero mean.

    Args:
      ratio: r = h² Var x / σ², the power of the true gradient over that of the noise.
      step: η h, the step size in units of 1/h.

    Returns:
      r / (1 + r) − η h, for any number of parameters.
    """
    return ratio / (1 + ratio) - step


def memory_variances(
    curvature: np.ndarray, noise: np.ndarray, eta: float, decay: float = 0.0
) -> np.ndarray:
    """Stationary variances of mᵢ, σᵢ² / ((1 − λ)(1 + λ − η hᵢ / 2)), shape (n,)."""
    return noise**2 / ((1 - decay) * (1 + decay - eta * curvature / 2))


def shares(variances: np.ndarray) -> np.ndarray:
    r"""E mᵢ² / |m|² for independent Gaussian mᵢ of these variances qᵢ, shape (n,); they sum to 1.

    By :math:`1/|m|^2 = \int_0^\infty e^{-s |m|^2} ds` they are
    :math:`\int_0^\infty \frac{q_i}{1 + 2 q_i s} \prod_j (1 + 2 q_j s)^{-1/2} ds`.
    """
    q = variances / variances.mean()
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    u = (nodes + 1) / 2
    s = u**2 / (1 - u) ** 2 / len(q)  # the integrand of u is smooth, and 0 at its ends
    ds = weights / 2 * 2 * u / (1 - u) ** 3 / len(q)
    log_product = -0.5 * np.log1p(2 * np.outer(s, q)).sum(axis=1)
    integrands = q / (1 + 2 * np.outer(s, q)) * (np.exp(log_product) * ds)[:, None]
    total: np.ndarray = integrands.sum(axis=0)
    return total


def stationary_correction(
    curvature: np.ndarray, noise: np.ndarray, eta: float, decay: float = 0.0
) -> float:
    """E δ of M(λ) once x has settled: −½ η h̄, with the mean h̄ of the curvatures by `shares`."""
    return float(-eta / 2 * shares(memory_variances(curvature, noise, eta, decay)) @ curvature)


def law_path(steps: np.ndarray, rate: float, slope: float, update: str) -> np.ndarray:
    """L from 1 under corrections of −slope·L: exponential if additive, hyperbolic if not.

    Args:
      steps: t.
      rate: c₂.
      slope: c₁ h̄ / 2.
      update: "additive" or "multiplicative".
    """
    fall = rate * slope * steps
    return np.exp(-fall) if update == "additive" else 1 / (1 + fall)


def distance_left(
    steps: np.ndarray, rate: float, slope: float, update: str, flatness: float
) -> np.ndarray:
    """What is left of the distance in a noiseless direction of curvature hₛ, exp(−c₁ hₛ Σ L).

    Args:
      steps, rate, slope, update: as of `law_path`.
      flatness: hₛ / h̄.
    """
    fall = rate * slope * steps
    travel = 1 - np.exp(-fall) if update == "additive" else np.log1p(fall)
    return np.exp(-2 * flatness / rate * travel)


class Simulated(NamedTuple):
    """Runs of an optimizer on a noisy quadratic, at the steps kept.

    Attributes:
      law: shape (seeds, kept); the first coefficient's.
      x: the parameters, shape (seeds, kept, n).
    """

    law: np.ndarray
    x: np.ndarray


def simulate(
    make: Callable[[Any], optax.GradientTransformation],
    laws: np.ndarray,
    curvature: np.ndarray,
    noise: np.ndarray,
    start: np.ndarray,
    keep: int,
    every: int = 1,
) -> Simulated:
    """Trains in float64, one seed for each start, and keeps every so many-th step.

    Args:
      make: the initial law, which is traced, -> an optimizer.
      laws: initial laws, shape (seeds,).
      curvature, noise: h and σ, shape (n,).
      start: x at the start, shape (seeds, n).
      keep: number of steps kept.
      every: steps from one kept to the next.
    """
    with jax.enable_x64(True):
        h, sigma = jnp.asarray(curvature, jnp.float64), jnp.asarray(noise, jnp.float64)

        def run(key: jax.Array, law: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            tx = make(law)

            def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
                x, state = carry
                gradient = h * x + sigma * jax.random.normal(key, h.shape, jnp.float64)
                updates, state = tx.update(gradient, state)
                return (x + updates, state), None

            def kept(carry: Any, key: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
                (x, state), _ = jax.lax.scan(step, carry, jax.random.split(key, every))
                return (x, state), (rllc.get_law(state)[0], x)

            return jax.lax.scan(kept, (x, tx.init(x)), jax.random.split(key, keep))[1]

        keys = jax.random.split(jax.random.key(0), len(start))
        given = jnp.asarray(laws, jnp.float64), jnp.asarray(start, jnp.float64)
        law, x = jax.jit(jax.vmap(run))(keys, *given)
        return Simulated(np.asarray(law), np.asarray(x))


def simulated_corrections(
    ratios: np.ndarray, steps: np.ndarray, n: int = 50, seeds: int = 400
) -> np.ndarray:
    """δ of M(0) from states as of `correction_away` (h = σ = 1), shape (points, seeds)."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(len(ratios), seeds, n)) * np.sqrt(ratios)[:, None, None]
    law = simulate(
        lambda law: rllc.lm_rllc("M(0.0)", 1.0, 1.0, law, epsilon=0),  # c₂ = 1: it moves by δ
        np.repeat(steps, seeds), np.ones(n), np.ones(n), start.reshape(-1, n), keep=2,
    ).law  # fmt: skip
    moved: np.ndarray = law[:, 1] - law[:, 0]
    return moved.reshape(len(ratios), seeds)


def simulated_stationary(
    curvature: np.ndarray, noise: np.ndarray, eta: float, decay: float, seeds: int, steps: int
) -> np.ndarray:
    """The mean δ of M(λ) over so many steps after as many to settle in, shape (seeds,)."""
    rate = 1e-9  # the law hardly moves, and yet by 10⁵ times the rounding of float64
    start = np.zeros((seeds, len(curvature)))
    law = simulate(
        lambda law: rllc.lm_rllc(f"M({decay})", eta, rate, law, 0, max_gradient_ratio=None),
        np.ones(seeds), curvature, noise, start, keep=2, every=steps,
    ).law  # fmt: skip
    mean: np.ndarray = (law[:, 1] - law[:, 0]) / (rate * steps)
    return mean
