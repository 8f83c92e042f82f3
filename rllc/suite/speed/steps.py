"""Whole training steps of one run, for every optimizer of Figure 3; no evaluation or logging."""

from collections.abc import Sequence
from typing import Any

from rllc.suite.execute import execution
from rllc.suite.speed import engine, flops, setups
from rllc.suite.speed.timing import interleave


def measure(
    task: str, optimizers: Sequence[str], rounds: int, seconds: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """Times the optimizers in turns on one task.

    Returns:
      Rows: task, network, optimizer, milliseconds_per_step (median), milliseconds_least,
      gflop_per_step (all of the step, by the compiler's count), gflop_network (matrix products of
      the network); and notes.
    """
    groups = {name: setups.runs(task, name, 1) for name in optimizers}
    data, note = engine.data(groups[optimizers[0]])
    made = execution.make_task(groups[optimizers[0]][0])
    trainers = {name: engine.trainer(runs, data) for name, runs in groups.items()}
    times = interleave({k: engine.steps(t) for k, t in trainers.items()}, rounds, seconds)
    network = flops.nominal(made, groups[optimizers[0]][0].protocol["batch_size"])
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
