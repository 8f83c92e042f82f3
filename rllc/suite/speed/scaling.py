"""How cost grows with the number of runs, the width of the network, and the memory units."""

from collections.abc import Sequence
from typing import Any

import rllc
from rllc.suite.execute import execution
from rllc.suite.speed import engine, flops, setups, update
from rllc.suite.speed.timing import interleave

TASK = "mnist_mlp"
PARAMETERS = 10**6


def propagator(units: int) -> str:
    """M(0.9)+M(0.8)+…: as many units, each with an eigenvalue of its own.

    >>> propagator(3)
    'M(0.9)+M(0.8)+M(0.7)'
    """
    if units == 1:
        return "M(0.9)"
    step = min(0.1, 1.6 / (units - 1))
    return "+".join(f"M({round(0.9 - i * step, 6)})" for i in range(units))


def by_runs(sizes: Sequence[int], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Milliseconds per step of a group of the MNIST MLP against its number of runs."""
    return _groups("runs", [(r, r, {}) for r in sizes], rounds, seconds)


def by_width(widths: Sequence[int], runs: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """The same against the width of its hidden layers."""
    wished = [(width, runs, {"hidden": [width] * 3}) for width in widths]
    return _groups("width", wished, rounds, seconds)


def _groups(
    axis: str, wished: list[tuple[int, int, dict[str, Any]]], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    runs = {size: setups.runs(TASK, setups.UNITS[2], r, **more) for size, r, more in wished}
    data, _ = engine.data(next(iter(runs.values())))
    trainers = {size: engine.trainer(group, data) for size, group in runs.items()}
    times = interleave({str(k): engine.steps(t) for k, t in trainers.items()}, rounds, seconds)
    rows = []
    for size, group in runs.items():
        batch = group[0].protocol["batch_size"]
        work = len(group) * flops.nominal(execution.make_task(group[0]), batch)
        rows.append(_row(axis, size, times[str(size)].median, work / 1e9))
    return rows


def by_units(units: Sequence[int], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Milliseconds of the update alone, at a million parameters, against the memory units k."""
    gradients = update.tree(PARAMETERS)
    cases = {
        str(k): update.step(rllc.lm_rllc(propagator(k), 1e-3, 0.003), PARAMETERS, gradients)
        for k in units
    }
    times = interleave(cases, rounds, seconds)
    return [_row("units", k, times[str(k)].median, float("nan")) for k in units]


def _row(axis: str, size: int, seconds: float, gflop: float) -> dict[str, Any]:
    """axis: what grows; size: how large; milliseconds: of one step; gflop: of its products."""
    return {"axis": axis, "size": size, "milliseconds": seconds * 1e3, "gflop": gflop}
