"""Whole training steps of one run, for many optimizers; no evaluation or logging."""

from collections.abc import Callable, Mapping
from typing import Any

from rllc.suite.execute import execution
from rllc.suite.plan.plan import Run
from rllc.suite.speed import engine, flops, setups
from rllc.suite.speed.timing import interleave

Groups = Callable[[str], Mapping[str, list[Run]]]  # task -> one run of each optimizer by label


def none(task: str) -> dict[str, list[Run]]:
    """No optimizers: `Groups` where none are asked for."""
    del task
    return {}


def measure(
    task: str, groups: Mapping[str, list[Run]], rounds: int, seconds: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """Times optimizers in turns on one task.

    Args:
      task: name.
      groups: one run of each optimizer by its label.
      rounds, seconds: turns of each, and their length.

    Returns:
      Rows: task, network, optimizer, milliseconds_per_step (median), milliseconds_least,
      gflop_per_step (all of the step, by the compiler's count), gflop_network (matrix products of
      the network); and notes.
    """
    first = next(iter(groups.values()))
    data, note = engine.data(first)
    made = execution.make_task(first[0])
    trainers = {name: engine.trainer(runs, data) for name, runs in groups.items()}
    times = interleave({k: engine.steps(t) for k, t in trainers.items()}, rounds, seconds)
    network = flops.nominal(made, first[0].protocol["batch_size"])
    rows = [
        {
            "task": task,
            "network": setups.network(task),
            "optimizer": name,
            "milliseconds_per_step": found.median * 1e3,
            "milliseconds_least": found.least * 1e3,
            "gflop_per_step": flops.compiled(made, groups[name][0]) / 1e9,
            "gflop_network": network / 1e9,
        }
        for name, found in times.items()
    ]
    return rows, [note] * bool(note)
