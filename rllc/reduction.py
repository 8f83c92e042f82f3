"""Inner products of the memory units and the gradient: the one reduction pass of a step."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from rllc import kernel
from rllc.placement import on_one_cpu

LONGEST = 1024  # most numbers summed one after the other on a CPU
ROWS, LANES = 16, 8  # a CPU adds up to ROWS vectors of LANES neighbouring numbers, unrolled …
TOGETHER = 6  # … as long as there are no more products: beyond, the compiler keeps a scalar loop
IN_CACHE = 2**18  # numbers of a leaf that may be read once for each TOGETHER products


def inner_products(pairs: list[tuple[jax.Array, jax.Array]], dtype: Any) -> list[jax.Array]:
    """Σ a·b over all entries, for many pairs of arrays of one shape, reading each array once.

    These are plain sums, which XLA fuses into one kernel on an accelerator, and splits over devices
    without moving arrays. Its CPU backend gives each sum a pass of its own, so on one CPU they are
    variadic reductions: of vectors where the last axis allows it, in runs short enough to keep the
    rounding near that of a pairwise sum; or one loop of C++, see `rllc.kernel`.

    Args:
      pairs: arrays of one shape, of any floating dtype.
      dtype: dtype of the products and sums.

    Returns:
      One scalar for each pair.
    """
    distinct = list({id(x): x for pair in pairs for x in pair}.values())
    places = {id(x): i for i, x in enumerate(distinct)}
    index = tuple((places[id(a)], places[id(b)]) for a, b in pairs)
    by_kernel = dtype == jnp.float32 and _has_all(index, len(distinct)) and kernel.takes(distinct)
    sums: list[jax.Array] = _inner_products(distinct, index, dtype, by_kernel)
    return sums


def _has_all(index: tuple[tuple[int, int], ...], arrays: int) -> bool:
    """Whether all pairs of so many arrays are asked for."""
    pairs = {(min(i, j), max(i, j)) for i, j in index}
    return 2 * len(pairs) == arrays * (arrays + 1)


@functools.partial(
    jax.jit, static_argnums=(1, 2, 3), inline=True
)  # jit: for steps outside of any jit
def _inner_products(
    arrays: list[jax.Array], index: tuple[tuple[int, int], ...], dtype: Any, by_kernel: bool
) -> list[jax.Array]:
    return _products(index, dtype, by_kernel, *arrays)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _products(
    index: tuple[tuple[int, int], ...], dtype: Any, by_kernel: bool, *arrays: Any
) -> list[Any]:
    on_cpu = functools.partial(_in_cpp if by_kernel else _variadic, index, dtype)
    return on_one_cpu(on_cpu, functools.partial(_plain, index, dtype), *arrays)


@_products.defjvp
def _derivative(
    index: tuple[tuple[int, int], ...], dtype: Any, by_kernel: bool, arrays: Any, tangents: Any
) -> tuple[list[Any], list[Any]]:
    """Σ (da·b + a·db), plain: a variadic reduction can be transposed by no rule of JAX."""
    products = _products(index, dtype, by_kernel, *arrays)
    xs, dxs = ([x.astype(dtype) for x in some] for some in (arrays, tangents))
    return products, [jnp.sum(dxs[i] * xs[j] + xs[i] * dxs[j]) for i, j in index]


def _plain(index: tuple[tuple[int, int], ...], dtype: Any, *arrays: Any) -> list[Any]:
    arrays = tuple(x.astype(dtype) for x in arrays)
    return [jnp.sum(arrays[i] * arrays[j]) for i, j in index]


def _in_cpp(index: tuple[tuple[int, int], ...], dtype: Any, *arrays: Any) -> list[Any]:
    del dtype  # float32
    every = [(i, j) for i in range(len(arrays)) for j in range(i, len(arrays))]
    found = dict(zip(every, kernel.products(*arrays), strict=True))
    return [found[min(i, j), max(i, j)] for i, j in index]


def _variadic(index: tuple[tuple[int, int], ...], dtype: Any, *arrays: Any) -> list[Any]:
    arrays = tuple(x.astype(dtype) for x in arrays)
    several = len(index) > TOGETHER and arrays[0].size <= IN_CACHE
    size = TOGETHER - 1 if several else len(index)  # -1: 10 and 15 products in equal parts
    parts = [index[i : i + size] for i in range(0, len(index), size)]
    return [s for part in parts for s in _sums([arrays[i] * arrays[j] for i, j in part])]


def _sums(arrays: list[jax.Array]) -> list[jax.Array]:
    """The sum of each of these arrays of one shape."""
    rows = _vector_rows(arrays[0].shape[-1:]) if len(arrays) <= TOGETHER else 0
    if rows:
        runs = arrays[0].shape[-1] // (rows * LANES)
        vectors = [x.reshape(*x.shape[:-1], runs, rows, LANES) for x in arrays]
        arrays = [x.reshape(-1) for x in _reduce(vectors, -2)]
    while arrays[0].ndim:
        arrays = _reduce([_short_rows(x) for x in arrays], -1)
    return arrays


def _vector_rows(shape: tuple[int, ...]) -> int:
    """How many vectors of the last axis to add into one; 0 if there are too few to be worth it."""
    if not shape or shape[-1] % LANES:
        return 0
    rows = math.gcd(shape[-1] // LANES, ROWS)
    return rows if rows >= ROWS // 2 else 0


def _short_rows(x: jax.Array) -> jax.Array:
    """The array with its last axis split, if need be, into rows of at most LONGEST numbers."""
    size = x.shape[-1]
    if size <= LONGEST:
        return x
    width = next(w for w in range(LONGEST, 0, -1) if size % w == 0)
    return x if width < 16 else x.reshape(*x.shape[:-1], size // width, width)


def _reduce(arrays: list[jax.Array], axis: int) -> list[jax.Array]:
    """Sums of arrays of one shape over an axis, in one variadic reduction."""
    zeros = (jnp.zeros((), arrays[0].dtype),) * len(arrays)
    return list(jax.lax.reduce(tuple(arrays), zeros, _add, (axis % arrays[0].ndim,)))


def _add(x: tuple[jax.Array, ...], y: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    return tuple(a + b for a, b in zip(x, y, strict=True))
