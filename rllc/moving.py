"""How a correction moves the law: averaged or not, added or multiplied in, within its limits."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

LAW_UPDATES = ("additive", "multiplicative")


class CorrectionAverage(NamedTuple):
    """Running average of the corrections, for every group of leaves that has a law.

    Attributes:
      total: Σ dⁱ δ_{t−i}, the corrections δ = M^+ g discounted by their age, shape (..., k).
      weight: Σ dⁱ, what the total is divided by, shape (...).
    """

    total: jax.Array
    weight: jax.Array


def empty_average(law: jax.Array) -> CorrectionAverage:
    """The average of no corrections, for this law."""
    return CorrectionAverage(jnp.zeros_like(law), jnp.zeros(law.shape[:-1], law.dtype))


def averaged(
    average: CorrectionAverage, change: jax.Array, decay: Any, where: jax.Array
) -> tuple[CorrectionAverage, jax.Array]:
    r"""The average with one more correction, :math:`\sum_i d^i δ_{t-i} / \sum_i d^i`.

    It is the exponential moving average of decay d without its bias towards 0 at the start.

    Args:
      average: of the corrections before.
      change: δ, shape (..., k).
      decay: d, from 0 (δ alone) to less than 1.
      where: bool, shape (...): where it is False, δ is not counted, and 0 stands for the average.

    Returns:
      The new average, and its value, shape (..., k).
    """
    total = decay * average.total + change
    weight = decay * average.weight + 1
    new = CorrectionAverage(
        jnp.where(where[..., None], total, average.total).astype(average.total.dtype),
        jnp.where(where, weight, average.weight).astype(average.weight.dtype),
    )
    value = total / weight[..., None]
    return new, jnp.where(where[..., None], value, 0).astype(change.dtype)


def moved(law: jax.Array, change: jax.Array, rate: Any, options: Any) -> jax.Array:
    r"""The law after one correction δ, within the limits of the LawOptions, in its own dtype.

    With the step s = c₂ δ, no longer than ``max_law_step``:

    - "additive": :math:`L + s` (the paper).
    - "multiplicative": :math:`L_j e^{\operatorname{sign}(L_j) s_j}`. This is the same step taken
      by mirror descent with the potential :math:`\sum |L_j| (\log |L_j| - 1)`, whose gradient
      :math:`\operatorname{sign}(L_j) \log |L_j|` grows by s. To first order L_j changes by
      :math:`|L_j| s_j`, so it keeps its sign, and 0 stays 0.
    """
    step = at_most(options.max_law_step, rate * change)
    if options.law_update == "multiplicative":
        law = (law * jnp.exp(jnp.sign(law) * step)).astype(law.dtype)
    else:
        law = (law + step).astype(law.dtype)
    if options.law_bounds is None:
        return law
    low, high = (np.asarray(x) if isinstance(x, list | tuple) else x for x in options.law_bounds)
    return jnp.clip(law, low, high).astype(law.dtype)


def at_most(limit: Any, vector: jax.Array) -> jax.Array:
    """The vector, shortened to this Euclidean norm where it is longer."""
    if limit is None:
        return vector
    square = jnp.sum(vector * vector, axis=-1, keepdims=True)
    long = square > limit**2
    factor = limit / jnp.sqrt(jnp.where(long, square, 1))  # no root of 0, which has no derivative
    return vector * jnp.where(long, factor, 1)
