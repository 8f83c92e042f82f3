"""Trains the paper's cells on this machine, at full length, within a time budget.

Cells (task x optimizer, 3 seeds, 10,000 steps, tuned hyperparameters) are trained in order,
mnist_mlp first, into a local records folder. Runs are never shortened: a cell that does not
fit the budget waits for the next call, which goes on where this one stopped. At the end this
machine's results stand beside the committed ones and the paper's.
"""

import argparse
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while this is imported nothing is to be saved
from rllc.suite.engine import devices, stopping  # noqa: E402

devices.configure()

import jax  # noqa: E402
from tqdm import tqdm  # noqa: E402

import tasks  # noqa: E402
from rllc.replication import paper  # noqa: E402
from rllc.suite import records  # noqa: E402
from rllc.suite.execute import budget  # noqa: E402
from rllc.suite.execute.budget import clock  # noqa: E402
from rllc.suite.execute.execution import Options  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.execute.session import Cell, Session  # noqa: E402
from rllc.suite.plan import sweep  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402
from rllc.suite.plan.plan import PlanError  # noqa: E402

CONF = Conf(ROOT / "conf")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--budget", default="", help="such as 15min, 2h, all; default: 15min on a CPU, else all"
    )
    parser.add_argument("--tasks", nargs="*", default=[], help="default: all seven")
    parser.add_argument(
        "--optimizers", nargs="*", default=[], help="default: the eleven of the paper's tables"
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=sweep.FINAL_SEEDS)
    parser.add_argument("--records", type=records.folder, default=Path("local/records"))
    parser.add_argument("--output", type=records.folder, default=Path("local/results"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="config overrides"
    )
    return parser.parse_args()


def cells_of(args: argparse.Namespace) -> list[Cell]:
    """The requested cells, in order."""
    wanted_tasks = args.tasks or list(paper.TASKS)
    CONF.check_names("task", wanted_tasks)
    named = CONF.labels()
    wanted = args.optimizers or [named[label] for label in paper.OPTIMIZERS]
    CONF.check_names("optimizer", wanted)
    pairs = [(t, o) for t in sorted(wanted_tasks, key=paper.TASKS.index) for o in wanted]
    cells = []
    for task, optimizer in tqdm(pairs, desc="planning", unit=" cells", leave=False):
        runs = sweep.cell_runs(CONF, task, optimizer, args.seeds, args.set)
        cells.append(Cell(task, str(runs[0].optimizer["name"]), runs))
    return cells


def show(session: Session, todo: list[Cell]) -> None:
    """Prints the cells of the first unfinished task, and what waits behind it."""
    here = [cell for cell in todo if cell.task == todo[0].task]
    session.measure(here)
    rows, spent = [], 0.0
    for cell in here:
        need = session.estimate(cell.runs)
        spent += need
        fits = "now" if spent <= session.left else "next call"
        rows.append((cell.task, cell.optimizer, str(len(cell.runs)), clock(need), fits))
    print(budget.table(rows, ("task", "optimizer", "runs", "estimate", "when")))
    if later := sorted({cell.task for cell in todo} - {todo[0].task}, key=paper.TASKS.index):
        print(f"then, if time is left: {', '.join(later)} (measured when reached)")


def main() -> None:
    """Plans, trains, and shows."""
    args = arguments()
    default = "15min" if jax.default_backend() == "cpu" else "all"
    options = Options(folder=args.records)
    try:
        session = Session(budget.parse_budget(args.budget or default), options)
        cells = cells_of(args)
        records.check_writable(args.records)
        known = records.finished(args.records)
        todo = [cell for cell in cells if not {run.name for run in cell.runs} <= known]
        print(
            f"{len(cells)} cells on {devices.describe()}, {len(cells) - len(todo)} recorded; "
            f"budget {clock(session.seconds)}",
            flush=True,
        )
        if todo:
            show(session, todo)
            for i, cell in enumerate(todo, 1):
                if not session.train(cell, f"[{i}/{len(todo)}] "):
                    break
    except (PlanError, records.RecordsError, tasks.DataError) as error:
        sys.exit(f"error: {error}")
    from scripts import aggregate

    aggregate.local(args.records, args.output)


if __name__ == "__main__":
    stopping.run(main, "`make reproduce` goes on from the last checkpoint")
