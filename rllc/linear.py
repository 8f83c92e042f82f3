"""Linear memory: one step of M ← M B + g aᵀ over a tree of parameters."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rllc import kernel
from rllc.placement import on_one_cpu
from rllc.propagators import Propagator

PyTree = Any
Memory = tuple[PyTree, ...]


def empty_unit(params: PyTree, dtype: Any = None) -> PyTree:
    """One memory unit of zeros in ``dtype`` or the parameters' own, placed like the parameters."""
    return jax.tree.map(lambda p: jnp.zeros_like(p, dtype or jnp.result_type(p)), params)


def advance(p: Propagator, memory: Memory, gradient: PyTree, one: Any = 1.0) -> Memory:
    """One step of linear memory, M B + g aᵀ, each unit an expression of only what it needs.

    M(0) is a copy of the gradient and reads no old memory. The arithmetic is in at least float32;
    the result has the dtype of the old memory.

    Args:
      p: the propagator (B, a) of k units.
      memory: k trees.
      gradient: a tree like each of them.
      one: the number 1, or a scalar of that value from `one_after`, for which every unit waits.

    Returns:
      The k trees of the new memory.
    """
    leaves = zip(jax.tree.leaves(gradient), *map(jax.tree.leaves, memory), strict=True)
    new = [_advance_leaf(p, one, *leaf) for leaf in leaves]
    return tuple(
        jax.tree.unflatten(jax.tree.structure(unit), [leaf[i] for leaf in new])
        for i, unit in enumerate(memory)
    )


def _advance_leaf(p: Propagator, one: Any, g: jax.Array, *old: jax.Array) -> list[jax.Array]:
    """The new units of one leaf, by the C++ kernel where that is enabled and takes it."""
    if kernel.takes([g, *old]):
        new: list[jax.Array] = _by_kernel(p, jnp.float32(one), g, *old)
        return new
    return _by_xla(p, one, g, *old)


@functools.partial(jax.jit, static_argnums=0, inline=True)  # jit: for steps outside of any jit
def _by_kernel(p: Propagator, one: jax.Array, *arrays: jax.Array) -> list[jax.Array]:
    return _one_loop(p, one, *arrays)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _one_loop(p: Propagator, *arrays: Any) -> list[jax.Array]:
    by_kernel = functools.partial(kernel.memory, _columns(p), _writing_order(p.transition))
    return on_one_cpu(by_kernel, functools.partial(_by_xla, p), *arrays)


@_one_loop.defjvp
def _derivative(p: Propagator, arrays: Any, tangents: Any) -> tuple[Any, Any]:
    """The memory is linear: its tangents move as it does."""
    _, g, *old = tangents
    return _one_loop(p, *arrays), [_weighted_sum(w, [*old, g], 1.0) for w in _columns(p)]


def _by_xla(p: Propagator, one: Any, g: jax.Array, *old: jax.Array) -> list[jax.Array]:
    """The new units of one leaf, each waiting for those that read what it overwrites."""
    dtype = jnp.promote_types(jnp.result_type(old[0], g), jnp.float32)
    terms = [x.astype(dtype) for x in (*old, g)]
    columns = _columns(p)
    new: dict[int, jax.Array] = {}
    for i in _writing_order(p.transition):
        readers = [new[j] for j in new if p.transition[i, j] != 0]
        wait = functools.reduce(lambda x, y: x * y, map(_one_after_on_cpu, readers), one)
        total = _weighted_sum(columns[i], terms, wait)
        new[i] = jnp.broadcast_to(total, g.shape).astype(old[i].dtype)
    return [new[i] for i in range(len(old))]


def _columns(p: Propagator) -> np.ndarray:
    """Row j: the weights of the old units and of the gradient in unit j, (k, k + 1)."""
    return np.vstack([p.transition, p.injection]).T


def _writing_order(transition: np.ndarray) -> list[int]:
    """The units, each after those that read its old value, as far as there is such an order."""
    readers = [set(np.flatnonzero(row)) - {i} for i, row in enumerate(transition)]
    order: list[int] = []
    while len(order) < len(readers):
        left = [i for i in range(len(readers)) if i not in order]
        order.append(next((i for i in left if readers[i] <= set(order)), left[0]))
    return order


def _weighted_sum(weights: np.ndarray, terms: list[jax.Array], one: Any) -> Any:
    """Σ w_i x_i for static weights without the zeros; the first weight is multiplied by ``one``."""
    used = np.flatnonzero(weights)
    total: Any = 0.0
    for i in used:
        weight: Any = float(weights[i])
        if i == used[0] and not isinstance(one, float):
            weight = weight * one.astype(terms[i].dtype)
        scaled = terms[i] if isinstance(weight, float) and weight == 1 else weight * terms[i]
        total = scaled if i == used[0] else total + scaled
    return total


def one_after(value: jax.Array) -> jax.Array:
    """The float32 number 1, but available only once the scalar ``value`` is.

    An update in place needs everything that reads the old array to come first. XLA does not
    schedule for that: it copies the array instead, and drops `optimization_barrier` too early to
    help. A factor of 1 that it cannot tell from a function of ``value`` does.
    """
    never = 0 * value == 7  # 0 or NaN, which XLA may not assume
    return jnp.where(never, 2.0, 1.0).astype(jnp.float32)


def _one(_: jax.Array) -> jax.Array:
    one: jax.Array = jnp.float32(1)
    return one


@functools.partial(jax.jit, inline=True)  # jit: for steps outside of any jit
def _one_after_on_cpu(x: jax.Array) -> jax.Array:
    """`one_after` an entry of x on one CPU; a plain 1 on accelerators: one kernel for all units."""
    if x.size == 0:
        return _one(x)
    return on_one_cpu(
        lambda x: one_after(x[(0,) * x.ndim].astype(jnp.float32)),
        _one,
        jax.lax.stop_gradient(x),
    )
