"""RLLC's update taken apart: its two passes, each against its bytes, and what might do better.

On a CPU, XLA gives each output of the second pass a loop of its own. Tried beside it are a single
output (all units and the parameters in one array), inner products by a matrix product, and what a
kernel of one's own would take: each pass as one loop of C++, where there is a compiler.
"""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rllc
from rllc.projection import products
from rllc.propagators import Propagator
from rllc.suite.speed import rates, update
from rllc.suite.speed.setups import UNITS
from rllc.suite.speed.timing import Case, interleave, stopwatch

BLOCK = 4096  # numbers of a block whose units lie side by side
COPY, FIRST, SECOND = "memory copy", "inner products", "memory and step"
BY_DOT, STACKED = "inner products, a dot for each block", "memory and step, units in one array"
FIRST_LOOP, SECOND_LOOP = "inner products, one C++ loop", "memory and step, one C++ loop"
COMPILE = ("g++", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC")
RATES = 1e-3, 0.5  # of the parameters; every coefficient of the law


def measure(n: int, rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    """One row for each number of units and part; without a C++ compiler those of C++ are missing.

    Args:
      n: parameters, about.
      rounds, seconds: see `timing.interleave`.

    Returns:
      units (the propagator), part, n, ns_per_parameter (median), numbers_per_parameter (what must
      be moved), over_bytes (time over what these numbers take at the rate of a copy).
    """
    loops = compiled()
    for text in UNITS.values():
        p = rllc.parse(text)
        k, cases = p.num_units, {COPY: rates.copy(n, 1), **_cases(p, n)}
        if loops is not None:
            cases |= _of_loops(loops, p, n)
        unread = int((~p.transition.any(axis=1)).sum())  # M(0): nobody needs what it held
        moved = {
            COPY: 2,
            **dict.fromkeys((FIRST, BY_DOT, FIRST_LOOP), k + 1),
            **dict.fromkeys((SECOND, STACKED, SECOND_LOOP), 2 * k + 3 - unread),
        }
        times = interleave(cases, rounds, seconds)
        rate = times[COPY].median / moved[COPY]
        for part, found in times.items():
            yield {
                "units": text, "part": part, "n": n,
                "ns_per_parameter": found.median / n * 1e9,
                "numbers_per_parameter": moved[part],
                "over_bytes": found.median / (moved[part] * rate),
            }  # fmt: skip


def _cases(p: Propagator, n: int) -> dict[str, Case]:
    params = update.tree(n)
    gradient = jax.tree.map(lambda x: 1e-3 * x, params)
    memory = tuple(jax.tree.map(jnp.copy, params) for _ in range(p.num_units))
    blocks = _stack(memory, n), next(iter(_stack((gradient,), n)))
    fixed = rllc.lm_rllc(p, RATES[0], None, initial_law=[RATES[1]] * p.num_units)

    def first(memory: Any, gradient: Any) -> Any:
        law = jnp.ones(p.num_units)
        return products(memory, gradient, [None] * len(params), law, None)

    def by_dot(units: jax.Array, gradient: jax.Array) -> jax.Array:
        def add(i: Any, total: jax.Array) -> jax.Array:
            rows = jnp.concatenate([units[:, i], gradient[i][None]])
            return total + rows @ rows.T

        size = p.num_units + 1
        total: jax.Array = jax.lax.fori_loop(0, len(gradient), add, jnp.zeros((size, size)))
        return total

    def second(carry: Any, gradient: Any) -> Any:
        params, state = carry
        updates, state = fixed.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    state = update.tree(n), jax.tree.map(jnp.array, fixed.init(params))
    both = jnp.concatenate([blocks[0], blocks[1][None]])
    return {
        FIRST: _repeated(jax.jit(first), memory, gradient),
        BY_DOT: _repeated(jax.jit(by_dot), *blocks),
        SECOND: _in_place(second, state, gradient),
        STACKED: _in_place(lambda x, g: _stacked(p, x, g), both, blocks[1]),
    }


def _stack(trees: tuple[Any, ...], n: int) -> jax.Array:
    """Trees of n numbers as one array (trees, blocks, `BLOCK`)."""
    flat = [jnp.concatenate([x.ravel() for x in jax.tree.leaves(tree)]) for tree in trees]
    return jnp.stack([x[: n // BLOCK * BLOCK].reshape(-1, BLOCK) for x in flat])


def _stacked(p: Propagator, x: jax.Array, gradient: jax.Array) -> jax.Array:
    """The second pass on units and parameters (k + 1, blocks, `BLOCK`): one output."""
    new = [
        sum(float(b) * x[i] for i, b in enumerate(column) if b) + float(a) * gradient
        for column, a in zip(p.transition.T, p.injection, strict=True)
    ]
    step = RATES[0] * RATES[1] * sum(new)
    return jnp.stack([*new, x[-1] - step])


def compiled() -> Callable[..., None] | None:
    """The C++ function ``update`` of ``one_loop.cpp``, or None without a compiler."""
    if shutil.which(COMPILE[0]) is None:
        return None
    source = Path(__file__).with_name("one_loop.cpp")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "one_loop.so"
        try:
            subprocess.run(
                [*COMPILE, str(source), "-o", str(library)], check=True, capture_output=True
            )
        except subprocess.CalledProcessError:
            return None
        update: Callable[..., None] = ctypes.CDLL(str(library)).update
    return update


def first_by_loop(loop: Callable[..., None], units: list[np.ndarray]) -> np.ndarray:
    """Inner products of all pairs (i ≤ j) of k units and the gradient, float32 (n,) each."""
    k = len(units) - 1
    sums = np.empty((k + 1) * (k + 2) // 2, np.float32)
    loop(k, ctypes.c_long(len(units[0])), _addresses(units), _floats(sums), None, None, None, None)
    return sums


def second_by_loop(
    loop: Callable[..., None], p: Propagator, units: list[np.ndarray], params: np.ndarray
) -> None:
    """New units and parameters in the place of the old ones; `units` ends with the gradient."""
    k = p.num_units
    tables = [p.transition, p.injection, np.full(k, RATES[0] * RATES[1])]
    numbers = [_floats(np.ascontiguousarray(x, np.float32)) for x in tables]
    n = ctypes.c_long(len(params))
    loop(k, n, _addresses(units), None, _floats(params), *numbers)


def _addresses(arrays: list[np.ndarray]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(x.ctypes.data for x in arrays))


def _floats(x: np.ndarray) -> Any:
    return x.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def _of_loops(loop: Callable[..., None], p: Propagator, n: int) -> dict[str, Case]:
    units = [np.full(n, 0.5 + i, np.float32) for i in range(p.num_units + 1)]
    params = np.ones(n, np.float32)

    def first(number: int) -> None:
        for _ in range(number):
            first_by_loop(loop, units)

    def second(number: int) -> None:
        for _ in range(number):
            second_by_loop(loop, p, units, params)

    return {FIRST_LOOP: stopwatch(first), SECOND_LOOP: stopwatch(second)}


def _repeated(work: Any, *given: Any) -> Case:
    def calls(number: int) -> None:
        for _ in range(number):
            found = work(*given)
        jax.block_until_ready(found)

    return stopwatch(calls)


def _in_place(work: Any, carry: Any, given: Any) -> Case:
    jitted = jax.jit(work, donate_argnums=0)

    def calls(number: int) -> None:
        nonlocal carry
        for _ in range(number):
            carry = jitted(carry, given)
        jax.block_until_ready(carry)

    return stopwatch(calls)
