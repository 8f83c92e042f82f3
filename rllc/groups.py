"""Groups of leaves that share a law: the whole tree, each leaf alone, or the leaves of a label."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

PyTree = Any


def law_labels(law_groups: Any, params: PyTree) -> tuple[str, ...]:
    """Names of the law's groups, in order: labels sorted, or the leaves' key paths.

    Args:
      law_groups: as in `scale_by_rllc`, but not None.
      params: the parameters.

    Returns:
      One name for each group.

    Raises:
      ValueError: if law_groups is a text other than "leaf".
    """
    if law_groups == "leaf":
        return tuple(
            jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)
        )
    return tuple(sorted(set(_labels(law_groups, params))))


def leaf_groups(law_groups: Any, tree: PyTree) -> list[int | None]:
    """For each leaf the index of its group; None everywhere where one law serves the whole tree."""
    size = len(jax.tree.leaves(tree))
    if law_groups is None:
        return [None] * size
    if law_groups == "leaf":
        return list(range(size))
    labels = _labels(law_groups, tree)
    names = sorted(set(labels))
    return [names.index(label) for label in labels]


def _labels(law_groups: Any, tree: PyTree) -> list[str]:
    if isinstance(law_groups, str):
        raise ValueError(f"law_groups is {law_groups!r}; the only name is 'leaf', or give labels")
    if not jax.tree.leaves(tree):
        return []
    is_tree = any(isinstance(x, str | int) for x in jax.tree.leaves(law_groups))  # or a function
    prefix = law_groups(tree) if callable(law_groups) and not is_tree else law_groups
    return [str(x) for x in jax.tree.leaves(jax.tree.broadcast(prefix, tree))]


def sum_groups(
    parts: list[Any], groups: list[int | None], shape: tuple[int, ...], empty: Any
) -> Any:
    """Sum the leaves' products within each group; one plain sum where there is one law."""

    def add(*xs: Any) -> Any:
        return sum(xs[1:], xs[0])

    if not shape:
        return jax.tree.map(add, empty, *parts)
    if not shape[0]:  # an empty tree with a law per leaf or label
        return jax.tree.map(lambda x: jnp.zeros((0,), x.dtype), empty)
    sums = [
        jax.tree.map(
            add, empty, *(part for part, group in zip(parts, groups, strict=True) if group == i)
        )
        for i in range(shape[0])
    ]
    return jax.tree.map(lambda *xs: jnp.stack(xs), *sums)
