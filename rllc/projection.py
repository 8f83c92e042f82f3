"""The gradient's projection on the memory: all inner products of one step, in one pass."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from rllc.groups import sum_groups
from rllc.linear import Memory, PyTree
from rllc.placement import varying as varying_axes
from rllc.reduction import inner_products


def products(
    memory: Memory,
    gradient: PyTree,
    groups: list[int | None],
    like: jax.Array,
    gram: jax.Array | None,
    axis_name: Any = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The memory's Gram matrix (..., k, k), its products with g (..., k), and |g|² (...).

    Args:
      memory: k trees.
      gradient: a tree like each of them.
      groups: the group of each leaf, see `rllc.groups.leaf_groups`.
      like: an array (..., k) of the dtype and the leading shape wanted, such as the law.
      gram: the Gram matrix if it is known; None to compute it.
      axis_name: mapped axes the leaves are split over, see `rllc.scale_by_rllc`.
    """
    k, dtype = len(memory), like.dtype
    units = [jax.tree.leaves(unit) for unit in memory]
    leaves = jax.tree.leaves(gradient)
    parts = [
        _across(axis_name, _leaf_products([unit[i] for unit in units], g, dtype, gram is None))
        for i, g in enumerate(leaves)
    ]
    number = k + 1 + (k * (k + 1) // 2 if gram is None else 0)
    total = sum_groups(parts, groups, like.shape[:-1], [jnp.zeros((), dtype)] * number)
    if axis_name:
        total = jax.lax.psum(total, axis_name)
    projection, square = jnp.stack(total[:k], axis=-1), total[k]
    if gram is not None:
        return gram, projection, square
    upper = dict(zip(_upper(k), total[k + 1 :], strict=True))
    rows = [jnp.stack([upper[min(i, j), max(i, j)] for j in range(k)], axis=-1) for i in range(k)]
    return jnp.stack(rows, axis=-2), projection, square


def _leaf_products(
    units: list[jax.Array], g: jax.Array, dtype: Any, with_gram: bool
) -> list[jax.Array]:
    """One leaf's part of M^T g, |g|² and, if asked for, the upper half of M^T M."""
    pairs = [(m, g) for m in units] + [(g, g)]
    if with_gram:
        pairs += [(units[i], units[j]) for i, j in _upper(len(units))]
    return inner_products(pairs, dtype)


def _across(axis_name: Any, products: list[jax.Array]) -> list[jax.Array]:
    """The products, ready for a sum over the axes: where a leaf is not split, one shard counts."""
    varying = frozenset[Any]().union(*map(varying_axes, products))
    if axis_name is None and varying:
        raise ValueError(
            f"a gradient varies over the mapped axis {', '.join(map(repr, sorted(varying)))}, so "
            "every shard would get a law of its own; give axis_name to share one, or axis_name=() "
            "if that is meant"
        )
    for name in _names(axis_name):
        index = jax.lax.axis_index(name)
        is_known = name in varying_axes(index)  # not under check_vma=False: all count as split
        if is_known and name not in varying:
            products = [jnp.where(index == 0, x, 0) for x in products]
    return products


def _names(axis_name: Any) -> tuple[Any, ...]:
    if axis_name is None:
        return ()
    return tuple(axis_name) if isinstance(axis_name, tuple | list) else (axis_name,)


def _upper(k: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(k) for j in range(i, k)]
