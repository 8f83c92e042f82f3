"""RLLC's update taken apart: its two passes, each against its bytes, and what might do better.

On a CPU, XLA gives each output of the second pass a loop of its own. Tried beside it are a single
output (all units and the parameters in one array) and inner products by a matrix product. With
``RLLC_KERNEL=1`` the passes are those of `rllc.kernel`, from three units on.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
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
RATES = 1e-3, 0.5  # of the parameters; every coefficient of the law


def measure(n: int, rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    """One row for each number of units and part.

    Args:
      n: parameters, about.
      rounds, seconds: see `timing.interleave`.

    Returns:
      units (the propagator), part, n, ns_per_parameter (median), numbers_per_parameter (what must
      be moved), over_bytes (time over what these numbers take at the rate of a copy).
    """
    for text in UNITS.values():
        p = rllc.parse(text)
        k, cases = p.num_units, {COPY: rates.copy(n, 1), **_cases(p, n)}
        unread = int((~p.transition.any(axis=1)).sum())  # M(0): nobody needs what it held
        moved = {
            COPY: 2,
            **dict.fromkeys((FIRST, BY_DOT), k + 1),
            **dict.fromkeys((SECOND, STACKED), 2 * k + 3 - unread),
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
