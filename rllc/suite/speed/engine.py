"""The engine as a thing to be timed: a group's `Trainer` that never evaluates."""

import resource
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rllc.suite.engine import splitting
from rllc.suite.engine.training import Trainer
from rllc.suite.execute import execution
from rllc.suite.plan.plan import Run
from rllc.suite.speed.timing import Case, stopwatch


class SpeedTrainer(Trainer):
    """Trains as sweeps do, host work and noted losses included, but skips evaluations."""

    def evaluate(self) -> None:
        """Does nothing."""

    def advance(self, count: int) -> None:
        """Trains `count` steps; starts counting anew where the protocol would end."""
        if self.done + count > self.protocol["steps"]:
            self.done = 0
        super().advance(count)


def trainer(runs: list[Run], data: Any) -> SpeedTrainer:
    """The trainer of a group, ready to compile its program at the first step."""
    return SpeedTrainer(runs, execution.make_task(runs[0]), data, split=splitting.ALONE)


def steps(group: SpeedTrainer) -> Case:
    """Training steps of the whole group; calls are as long as the engine's own may be."""

    def work(units: int) -> None:
        while units > 0:
            count = min(units, group.chunk)
            group.advance(count)
            units -= count
        jax.block_until_ready(group.carry)

    return stopwatch(work)


def data(runs: list[Run]) -> tuple[Any, str]:
    """(Dataset, note): the real one, or random images of the same number without it."""
    import tasks
    from rllc.suite.errors import PlanError
    from rllc.suite.speed import setups

    try:
        return execution.load_data(runs[0]), ""
    except PlanError as error:
        found = tasks.synthetic(setups.dataset(runs[0].task["name"]), size=20_000)
        return found, f"random images instead of data: {str(error).splitlines()[0]}"


def all_finite(group: SpeedTrainer) -> bool:
    """Whether every loss noted so far is finite: speed of diverged runs counts for nothing."""
    return bool(np.isfinite(group.notes.losses[: group.done]).all())


def peak_gigabytes() -> float:
    """Most memory this process has held so far, in GB (10⁹ bytes).

    On Linux the kernel's `VmHWM`: `ru_maxrss` starts at what the parent process held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0]) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
