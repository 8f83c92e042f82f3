"""The learning law: Gram matrix of the memory, its relaxed pseudo-inverse, the correction.

Everything here is k×k or smaller, k being a handful. The arithmetic is therefore written out as
scalars, which XLA fuses into one small kernel that batches freely; a LAPACK or cuSOLVER call in
every step would cost more than the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rllc.propagators import Propagator

EPSILON_MODES = ("relative", "absolute", "cutoff")
UNROLL_UP_TO = 8  # above this many memory units the k×k work goes to jnp.linalg

_HIGHEST = jax.lax.Precision.HIGHEST


def correction(
    gram: jax.Array,
    projection: jax.Array,
    epsilon: Any = 1e-6,
    mode: str = "relative",
    where: Any = np.True_,
) -> jax.Array:
    r"""The law's correction :math:`M^+ g = (M^\top M)^+ (M^\top g)`, relaxed by a small ε.

    What M^+ is, and what it does to the invariance under a change of basis M → MQ, L → Q⁻¹L:

    - "relative": :math:`(G + ε \frac{\mathrm{tr} G}{k} I)^{-1} M^\top`. The gradients' scale does
      not matter. Invariance is exact for orthogonal Q only; otherwise it holds up to O(ε · cond G).
    - "absolute": :math:`(G + ε I)^{-1} M^\top`. Exact for orthogonal Q only, and the scale matters:
      the correction fades once the memory's norm is below √ε.
    - "cutoff": eigenvalues of G below ε·λ_max are dropped. Exact for every Q while none is dropped.

    With ``epsilon=0`` every mode is the Moore–Penrose inverse itself (exact invariance for
    full-rank M). Through the Gram matrix it can only tell apart singular values of M above about
    the root of the machine precision, so it belongs to float64, or to memory that is far from
    dependent.

    Args:
      gram: :math:`G = M^\top M`, shape (..., k, k), float32 or float64.
      projection: :math:`b = M^\top g`, shape (..., k).
      epsilon: ε ≥ 0. May be traced, and is then taken as positive.
      mode: "relative", "absolute" or "cutoff".
      where: bool, shape (...): where it is False the correction is zero.

    Returns:
      Shape (..., k); exactly zero where the memory is zero.

    Reference: section 3, definition 3.2 and remark 3.5. The paper gives neither ε nor the form of
      the relaxation.
    """
    factor = _near_one_over(_mean_square(gram))
    gram, projection = gram * factor[..., None, None], projection * factor[..., None]
    if mode == "cutoff" or _is_zero(epsilon):
        return jnp.where(where[..., None], _pseudo_inverse_times(gram, projection, epsilon), 0)
    mean_square = _mean_square(gram)
    ridge = epsilon * mean_square if mode == "relative" else epsilon * factor
    scale = mean_square + ridge
    safe = jnp.where(scale == 0, 1, scale)
    solution = _solve(gram, projection, ridge, safe)
    return jnp.where(((mean_square == 0) | ~where)[..., None], 0, solution)


def is_trusted(
    gram: jax.Array, projection: jax.Array, square: jax.Array, max_gradient_ratio: Any
) -> jax.Array:
    """Whether the products say how to correct the law; bool, shape (...).

    They do where all are finite, the memory is large enough for its squares to keep their digits,
    and |g| is at most ``max_gradient_ratio`` times √(tr G / k), if there is such a limit.

    Args:
      gram: G, shape (..., k, k).
      projection: M^T g, shape (..., k).
      square: |g|², shape (...).
      max_gradient_ratio: a number, or None.
    """
    mean_square = _mean_square(gram)
    # Squares much smaller are rounded to multiples of the smallest number, or to zero.
    large = jnp.greater_equal(mean_square, jnp.finfo(gram.dtype).tiny * 2.0**26)
    finite = jnp.isfinite(mean_square) & jnp.isfinite(projection).all(axis=-1)
    if max_gradient_ratio is None:
        return large & finite
    small: jax.Array = square <= max_gradient_ratio**2 * mean_square
    return large & finite & small


def _mean_square(gram: jax.Array) -> jax.Array:
    """tr G / k, the mean square of the memory's columns."""
    return jnp.trace(gram, axis1=-2, axis2=-1) / gram.shape[-1]


def _near_one_over(mean_square: jax.Array) -> jax.Array:
    """A power of two p with p·x in [½, 1), so that multiplying by it rounds nothing; 1 for 0."""
    _, exponent = jnp.frexp(mean_square)
    info = jnp.finfo(mean_square.dtype)
    exponent = jnp.clip(-exponent, info.minexp + 1, info.maxexp - 1)
    return jnp.where(mean_square > 0, jnp.ldexp(jnp.ones_like(mean_square), exponent), 1)


def propagate_gram(
    p: Propagator, gram: jax.Array, projection: jax.Array, square: jax.Array
) -> jax.Array:
    r"""The Gram matrix of the next linear memory, without touching the memory.

    :math:`G \leftarrow B^\top G B + (B^\top b) a^\top + a (B^\top b)^\top + |g|^2 a a^\top`, with
    :math:`b = M^\top g` of the old memory.

    Args:
      p: the propagator (B, a) of k units.
      gram: the Gram matrix of the old memory, shape (..., k, k).
      projection: b, shape (..., k).
      square: :math:`|g|^2`, shape (...).

    Returns:
      Shape (..., k, k), symmetric, its diagonal kept from falling below zero by rounding.
    """
    k, B, a = p.num_units, p.transition, p.injection
    G = [[gram[..., i, j] for j in range(k)] for i in range(k)]
    GB = [[weighted_sum(B[:, j], G[i]) for j in range(k)] for i in range(k)]
    Bb = [weighted_sum(B[:, i], [projection[..., q] for q in range(k)]) for i in range(k)]
    new: list[list[Any]] = [[None] * k for _ in range(k)]
    for i in range(k):
        for j in range(i, k):
            terms = [*(GB[q][j] for q in range(k)), Bb[i], Bb[j], square]
            weights = [*B[:, i], a[j], a[i], a[i] * a[j]]
            new[i][j] = new[j][i] = weighted_sum(weights, terms)
        new[i][i] = jnp.maximum(new[i][i], 0)
    zero = jnp.zeros_like(square)
    return jnp.stack([jnp.stack([x + zero for x in row], axis=-1) for row in new], axis=-2)


def weighted_sum(weights: Sequence[float] | np.ndarray, terms: Sequence[Any]) -> Any:
    """Σ w_i x_i for static weights: zeros cost nothing, ones are not multiplied."""
    total: Any = 0.0
    for weight, term in zip(weights, terms, strict=True):
        if weight == 0:
            continue
        scaled = term if weight == 1 else float(weight) * term
        total = scaled if isinstance(total, float) else total + scaled
    return total


def resolve_initial_law(initial_law: Any, k: int) -> np.ndarray | jax.Array:
    """The initial law L_0 for k memory units, from a name, a number or values.

    The paper only says that L_0 is not 0 (remark 3.4), so this is a setting.

    Args:
      initial_law: "ones", "first" (1, 0, …, 0), "last" (0, …, 0, 1), "mean" (1/k each), a factor
        and a name ("7*first"), a number (in every unit), or k values. Traced values are returned as
        a JAX array, with only their shape checked.
      k: the number of memory units.

    Returns:
      Shape (k,): float64 NumPy for concrete values.

    Raises:
      ValueError: for an unknown name, a wrong length, a non-finite value, or a law of zeros.

    Example:
      >>> import rllc
      >>> rllc.initial_law("7*first", 3).tolist(), rllc.initial_law((0.9, 1), 2).tolist()
      ([7.0, 0.0, 0.0], [0.9, 1.0])
    """
    if isinstance(initial_law, str):
        initial_law = _named_law(initial_law, k)
    traced = isinstance(initial_law, jax.core.Tracer) or (
        isinstance(initial_law, list | tuple)
        and any(isinstance(x, jax.core.Tracer) for x in initial_law)
    )
    law: np.ndarray | jax.Array = (
        jnp.asarray(initial_law) if traced else np.asarray(initial_law, dtype=np.float64)
    )
    if law.shape not in ((), (k,)):
        raise ValueError(
            f"initial_law has shape {law.shape}; it needs a value for each of the {k} memory units"
        )
    if not traced and not np.isfinite(law).all():
        raise ValueError(f"initial_law is {initial_law}; its values must be finite")
    if not traced and not np.any(law):
        raise ValueError(f"initial_law is {initial_law}; at least one value must differ from 0")
    return jnp.broadcast_to(law, (k,)) if traced else np.broadcast_to(law, (k,))


def _named_law(name: str, k: int) -> np.ndarray:
    units = np.eye(k)
    named: dict[str, np.ndarray] = {
        "ones": np.ones(k),
        "first": units[0],
        "last": units[-1],
        "mean": np.full(k, 1 / k),
    }
    factor, scaled, unscaled = name.rpartition("*")
    size = _number(factor) if scaled else 1.0
    if unscaled.strip() not in named or size is None:
        raise ValueError(
            f"initial_law is {name!r}; the names are {', '.join(named)}, also with a factor "
            f"('7*first'), or give {k} values"
        )
    return size * named[unscaled.strip()]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_zero(epsilon: Any) -> bool:
    return not isinstance(epsilon, jax.core.Tracer) and float(epsilon) == 0


def _pseudo_inverse_times(gram: jax.Array, projection: jax.Array, epsilon: Any) -> jax.Array:
    """G^+ b by eigenvalues, those below max(ε, rounding)·λ_max dropped."""
    k = projection.shape[-1]
    values, vectors = jnp.linalg.eigh(gram)
    floor = 30 * k * float(jnp.finfo(gram.dtype).eps)
    keep = values > jnp.maximum(epsilon, floor) * values[..., -1:]
    inverse = jnp.where(keep, 1 / jnp.where(keep, values, 1), 0)
    rotated = jnp.einsum("...ij,...i->...j", vectors, projection, precision=_HIGHEST)
    return jnp.einsum("...ij,...j->...i", vectors, inverse * rotated, precision=_HIGHEST)


def _solve(gram: jax.Array, b: jax.Array, ridge: jax.Array, scale: jax.Array) -> jax.Array:
    """(G + ridge·I)^{-1} b, both sides divided by scale first: no under- or overflow."""
    k = b.shape[-1]
    if k > UNROLL_UP_TO:
        matrix = (gram + ridge[..., None, None] * jnp.eye(k, dtype=gram.dtype)) / scale[
            ..., None, None
        ]
        solution: jax.Array = jnp.linalg.solve(matrix, (b / scale[..., None])[..., None])[..., 0]
        return solution
    shift = ridge / scale
    entries = [[gram[..., i, j] / scale + (i == j) * shift for j in range(k)] for i in range(k)]
    return _solve_unrolled(entries, [b[..., i] / scale for i in range(k)], shift)


def _solve_unrolled(
    entry: list[list[jax.Array]], b: list[jax.Array], floor: jax.Array
) -> jax.Array:
    """LDLᵀ solve in scalars. Exact pivots are at least the ridge: rounding may not go below."""
    k = len(b)
    lower: list[list[Any]] = [[0.0] * k for _ in range(k)]
    pivots: list[Any] = []
    for j in range(k):
        pivot = entry[j][j] - sum(lower[j][q] ** 2 * pivots[q] for q in range(j))
        pivot = jnp.maximum(pivot, floor)
        pivots.append(jnp.where(pivot == 0, 1, pivot))
        for i in range(j + 1, k):
            inner = sum(lower[i][q] * lower[j][q] * pivots[q] for q in range(j))
            lower[i][j] = (entry[i][j] - inner) / pivots[j]
    x = list(b)
    for i in range(k):
        x[i] = x[i] - sum(lower[i][q] * x[q] for q in range(i))
    x = [x[i] / pivots[i] for i in range(k)]
    for i in reversed(range(k)):
        x[i] = x[i] - sum(lower[q][i] * x[q] for q in range(i + 1, k))
    return jnp.stack(x, axis=-1)
