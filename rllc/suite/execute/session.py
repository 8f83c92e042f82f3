"""Training within a budget of time: what groups cost here, and which of them it still pays for.

Runs are never shortened. A group that does not fit waits for the next call, which goes on where
this one stopped.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rllc.suite.engine import capacity
from rllc.suite.engine.watching import NOBODY, Watcher
from rllc.suite.execute import execution
from rllc.suite.execute.budget import clock, measure, remaining_share
from rllc.suite.execute.execution import Options, Outcome
from rllc.suite.plan.plan import Run


class Cell(NamedTuple):
    """Runs that belong together, by the task and optimizer they are of."""

    task: str
    optimizer: str
    runs: list[Run]


class Session:
    """A budget of time, spent on groups in the order in which they are asked for.

    Attributes:
      options: how groups are trained.
      seconds: the budget.
      watcher: looks on while a group trains.
      pace: seconds per run and step by task, of the last group that was trained or measured.
    """

    def __init__(
        self, seconds: float, options: Options, say: Callable[[str], None] = print,
        watcher: Watcher = NOBODY,
    ):  # fmt: skip
        self.watcher = watcher
        self.options, self.seconds, self.say = options, seconds, say
        self.pace: dict[str, float] = {}
        self.started = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.seconds - (time.monotonic() - self.started)

    def measure(self, cells: Sequence[Cell]) -> None:
        """Measures the pace of each task not known yet, on the cell that keeps most memory."""
        for task in dict.fromkeys(cell.task for cell in cells):
            if task not in self.pace:
                self.say(f"measuring {task} …")
                here = [cell for cell in cells if cell.task == task]
                runs = max((cell.runs for cell in here), key=self._memory)
                group = max(execution.prepare(runs, self.options._replace(force=True)), key=len)
                seconds = measure(group, self.left, self.options.data_folder)
                self.pace[task] = seconds / (len(group) * group[0].protocol["steps"])

    def _memory(self, runs: Sequence[Run]) -> int:
        run, folder = runs[0], self.options.data_folder
        task, data = execution.make_task(run), execution.load_data(run, folder)
        return capacity.bytes_per_run(run, task, data)[0]

    def estimate(self, group: Sequence[Run]) -> float:
        """Seconds that the rest of a group takes, its checkpoint considered."""
        steps: int = len(group) * group[0].protocol["steps"]
        share = remaining_share(list(group), self.options.checkpoints)
        return self.pace[str(group[0].task["name"])] * steps * share

    def train(self, cell: Cell, prefix: str = "", wait: bool = True) -> bool:
        """Trains what is missing of a cell; False if the budget does not pay for it.

        Args:
          cell: the runs.
          prefix: of the label of a bar.
          wait: for groups that another process is training; else they are passed over.

        Raises:
          Exception: whatever stopped a group.
        """
        for group in execution.prepare(cell.runs, self.options):
            self.measure([cell])
            need, share = self.estimate(group), remaining_share(group, self.options.checkpoints)
            if need > self.left:
                self.say(
                    f"{cell.task} · {cell.optimizer} needs about {clock(need)}, and "
                    f"{clock(max(self.left, 0))} of the budget are left: run the same command "
                    "again to go on, or give a larger budget"
                )
                return False
            started = time.monotonic()
            outcome = self._execute(group, prefix, wait)
            if outcome is None:
                continue
            if share == 1.0 and outcome.record is not None:
                spent = max(time.monotonic() - started, 0.1)
                self.pace[cell.task] = spent / (len(group) * group[0].protocol["steps"])
        return True

    def _execute(self, group: list[Run], prefix: str, wait: bool) -> Outcome | None:
        outcome = execution.execute_group(
            group, self.options, prefix, wait=wait, watcher=self.watcher
        )
        if outcome is None:
            return None
        if outcome.error:
            raise outcome.error
        if note := execution.diverged_note([outcome]):
            self.say(note)
        return outcome


def recorded(cells: Sequence[Cell], known: set[str]) -> list[Cell]:
    """The cells all of whose runs have a record."""
    return [cell for cell in cells if all(run.name in known for run in cell.runs)]


def checked(cells: Sequence[Cell], options: Options) -> None:
    """Checks every cell before any of them trains.

    Raises:
      PlanError: an optimizer or a task refuses its arguments, or data are missing.
    """
    for cell in cells:
        execution.prepare(cell.runs, options)
