"""Trains the paper's cells on this machine, at full length, within a time budget.

Cells (task x optimizer, 3 seeds, 10,000 steps, tuned hyperparameters) are trained in order,
mnist_mlp first, into a local records folder. Runs are never shortened: a cell that does not
fit the budget waits for the next call, which goes on where this one stopped. At the end this
machine's results stand beside the committed ones and the paper's.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rllc.suite import devices  # noqa: E402

devices.configure()

import jax  # noqa: E402

import tasks  # noqa: E402
from rllc.replication import paper  # noqa: E402
from rllc.suite import budget, execution, records, sweep  # noqa: E402
from rllc.suite.budget import Cell, clock  # noqa: E402
from rllc.suite.execution import Options  # noqa: E402
from rllc.suite.plan import PlanError  # noqa: E402

CONF = ROOT / "conf"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--budget", default="", help="such as 15min, 2h, all; default: 15min on a CPU, else all"
    )
    parser.add_argument("--tasks", nargs="*", default=[], help="default: all seven")
    parser.add_argument(
        "--optimizers", nargs="*", default=[], help="default: the eleven of the paper's tables"
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=sweep.FINAL_SEEDS)
    parser.add_argument("--records", type=Path, default=Path("local/records"))
    parser.add_argument("--output", type=Path, default=Path("local/results"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="config overrides"
    )
    return parser.parse_args()


def cells_of(args: argparse.Namespace) -> list[Cell]:
    """The requested cells in order, with what is recorded already marked."""
    wanted_tasks = args.tasks or list(tasks.names())
    sweep.check_names(CONF, "task", wanted_tasks)
    by_label = sweep.labels(CONF)
    wanted = args.optimizers or [by_label[label] for label in paper.OPTIMIZERS]
    sweep.check_names(CONF, "optimizer", wanted)
    known = records.finished(args.records)
    cells = []
    for task in sorted(wanted_tasks, key=tasks.names().index):
        for optimizer in wanted:
            runs = sweep.cell_runs(CONF, task, optimizer, args.seeds, args.set)
            label = str(runs[0].optimizer["name"])
            cells.append(Cell(task, label, runs, all(run.name in known for run in runs)))
    return cells


class Plan:
    """What each cell costs here, and what the budget still pays for."""

    def __init__(self, cells: list[Cell], seconds: float, partial: Path):
        self.cells, self.seconds, self.partial = cells, seconds, partial
        self.cost: dict[str, float] = {}
        self.started = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.seconds - (time.monotonic() - self.started)

    def estimate(self, cell: Cell) -> float:
        """Seconds the rest of a cell takes, measured on its task when first asked."""
        if cell.task not in self.cost:
            print(f"measuring {cell.task} …", flush=True)
            hardest = max(
                (c for c in self.cells if c.task == cell.task),
                key=lambda c: str(c.optimizer).count("M"),
            )
            self.cost[cell.task] = budget.measure(hardest, limit=self.left)
        return self.cost[cell.task] * budget.remaining_share(cell, self.partial)

    def show(self) -> None:
        """Prints the cells of the first unfinished task, and what waits behind it."""
        todo = [cell for cell in self.cells if not cell.done]
        rows, spent = [], 0.0
        for cell in todo:
            if cell.task == todo[0].task:
                need = self.estimate(cell)
                spent += need
                fits = "now" if spent <= self.left else "next call"
                rows.append((cell.task, cell.optimizer, str(len(cell.runs)), clock(need), fits))
        print(budget.table(rows, ("task", "optimizer", "runs", "estimate", "when")))
        later = sorted({cell.task for cell in todo} - {todo[0].task}, key=tasks.names().index)
        if later:
            print(f"then, if time is left: {', '.join(later)} (measured when reached)")


def train(plan: Plan, options: Options) -> None:
    """Trains cell after cell until the next one would not fit."""
    todo = [cell for cell in plan.cells if not cell.done]
    for i, cell in enumerate(todo, 1):
        need = plan.estimate(cell)
        if need > plan.left:
            print(
                f"{cell.task} · {cell.optimizer} needs about {clock(need)}, and "
                f"{clock(max(plan.left, 0))} of the budget are left: run the same command again "
                "to go on, or give a larger BUDGET"
            )
            return
        started = time.monotonic()
        for group in execution.prepare(cell.runs, options):
            outcome = execution.execute_group(group, options, f"[{i}/{len(todo)}] ")
            if outcome.error:
                raise outcome.error
        if budget.remaining_share(cell, plan.partial) == 1.0:
            plan.cost[cell.task] = max(time.monotonic() - started, 1.0)


def main() -> None:
    """Plans, trains, and shows."""
    args = arguments()
    default = "15min" if jax.default_backend() == "cpu" else "all"
    options = Options(folder=args.records)
    try:
        seconds = budget.parse_budget(args.budget or default)
        cells = cells_of(args)
        records.check_writable(args.records)
        todo = [cell for cell in cells if not cell.done]
        print(
            f"{len(cells)} cells on {devices.describe()}, {len(cells) - len(todo)} recorded; ",
            end="",
        )
        print(f"budget {clock(seconds)}", flush=True)
        if todo:
            plan = Plan(cells, seconds, options.checkpoints)
            plan.show()
            train(plan, options)
    except (PlanError, records.RecordsError, tasks.DataError) as error:
        sys.exit(f"error: {error}")
    from scripts import aggregate

    aggregate.local(args.records, args.output)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; `make reproduce` goes on from the last checkpoint")
