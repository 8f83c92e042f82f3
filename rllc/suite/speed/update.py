"""An optimizer's update alone, in place, against Adam, momentum SGD and a memory copy."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

import rllc
from rllc.suite.speed import rates
from rllc.suite.speed.setups import UNITS
from rllc.suite.speed.timing import Case, in_blocks, interleave, stopwatch

LEAVES, COLUMNS = 4, 512
SIZES = (10**4, 10**5, 10**6, 10**7, 10**8)
REFERENCE = 10**7
COPY, MOMENTUM, ADAM = "memory copy", "optax.sgd(momentum)", "optax.adam"
MEMORY_SHARE = 0.7
PER_CALL = 10**7  # numbers updated by one call from Python: smaller trees take several steps in it


def tree(n: int) -> dict[str, jax.Array]:
    """Parameters of a network: `LEAVES` equal matrices, about n numbers in all."""
    rows = max(1, round(n / LEAVES / COLUMNS))
    return {f"w{i}": jnp.full((rows, COLUMNS), 0.5 + i) for i in range(LEAVES)}


def optimizers() -> dict[str, tuple[int, optax.GradientTransformation]]:
    """Name -> (numbers moved per parameter, transformation).

    Moved at least: Adam reads g, m, v, θ and writes m, v, θ: 7. RLLC's reductions read g and M,
    its update reads g, M, θ and writes M, θ: 3 k + 4.
    """
    found: dict[str, tuple[int, optax.GradientTransformation]] = {
        MOMENTUM: (5, optax.sgd(1e-3, momentum=0.9)),
        ADAM: (7, optax.adam(1e-3)),
    }
    for k, text in UNITS.items():
        found[f"k={k}"] = (3 * k + 4, rllc.lm_rllc(text, 1e-3, 0.003))
    return found


def step(transformation: optax.GradientTransformation, n: int, gradients: Any) -> Case:
    """Updates parameters and state in place (both are donated), gradients stay.

    A small tree takes several steps in one call, with two gradients in turn, as in a compiled
    training loop; so what is measured is the update and not the call.
    """
    steps = steps_per_call(n)
    both = jax.tree.map(lambda g: jnp.stack([g, -g]), gradients) if steps > 1 else gradients

    def once(carry: tuple[Any, Any], gradients: Any) -> tuple[Any, Any]:
        params, state = carry
        updates, state = transformation.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    def apply(carry: tuple[Any, Any], gradients: Any) -> Any:
        if steps == 1:
            return once(carry, gradients)
        pick = jax.lax.dynamic_index_in_dim
        return jax.lax.fori_loop(
            0,
            steps,
            lambda i, c: once(c, jax.tree.map(lambda g: pick(g, i % 2, keepdims=False), gradients)),
            carry,
        )

    jitted = jax.jit(apply, donate_argnums=0)
    params = tree(n)
    carry = params, jax.tree.map(jnp.array, transformation.init(params))

    def work(calls: int) -> None:
        nonlocal carry
        for _ in range(calls):
            carry = jitted(carry, both)
        jax.block_until_ready(carry)

    return in_blocks(stopwatch(work), steps)


def steps_per_call(n: int) -> int:
    """Updates of n parameters in one call."""
    return max(1, PER_CALL // n)


def measure(sizes: tuple[int, ...], rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    """One row per (n, case).

    Returns:
      n (exact), case, ns_per_parameter (median), ns_per_parameter_least, numbers_per_parameter
      (the model of what must be moved), gigabytes_per_second (by that model), over_adam,
      over_copy (ratios of medians).
    """
    for size in sizes:
        n = sum(leaf.size for leaf in tree(size).values())
        if 4 * n * 24 > MEMORY_SHARE * _free_bytes():
            continue
        yield from _measure_size(size, n, rounds, seconds)


def _measure_size(size: int, n: int, rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    gradients = jax.tree.map(lambda x: 1e-3 * x, tree(size))
    known = optimizers()
    cases = {COPY: rates.copy(n, steps_per_call(size))}
    cases |= {name: step(transform, size, gradients) for name, (_, transform) in known.items()}
    times = interleave(cases, rounds, seconds)
    for name, found in times.items():
        moved = known[name][0] if name in known else 2
        yield {
            "size": size,
            "n": n,
            "case": name,
            "ns_per_parameter": found.median / n * 1e9,
            "ns_per_parameter_least": found.least / n * 1e9,
            "numbers_per_parameter": moved,
            "gigabytes_per_second": 4 * moved * n / found.median / 1e9,
            "over_adam": found.median / times[ADAM].median,
            "over_copy": found.median / times[COPY].median,
        }


def _free_bytes() -> int:
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
