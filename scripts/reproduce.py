"""Trains the paper's cells on this machine, at full length, within a time budget.

Cells (task x optimizer, 3 seeds, 10,000 steps, tuned hyperparameters) are trained in order,
mnist_mlp first, into a local records folder; where time is short, every optimizer with one seed
first. Runs are never shortened: what does not fit the budget waits for the next call, which goes on
where this one stopped. At the end this machine's results stand beside the committed ones and the
paper's.
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
from rllc.suite.markdown import text_table  # noqa: E402
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
    parser.add_data_folder()
    parser.add_argument("--output", type=records.folder, default=Path("local/results"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="config overrides"
    )
    return parser.parse_args()


def names_of(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The requested tasks and optimizers, names of their configs, in the paper's order."""
    wanted = args.tasks or list(paper.TASKS)
    CONF.check_names("task", wanted)
    named = CONF.labels()
    optimizers = args.optimizers or [named[label] for label in paper.OPTIMIZERS]
    CONF.check_names("optimizer", optimizers)
    return sorted(wanted, key=paper.TASKS.index), optimizers


def cells_of(task: str, optimizers: list[str], args: argparse.Namespace) -> list[Cell]:
    """The cells of one task, in order."""
    cells = []
    for optimizer in tqdm(optimizers, desc=f"planning {task}", unit=" cells", leave=False):
        runs = sweep.cell_runs(CONF, task, optimizer, args.seeds, args.set)
        cells.append(Cell(task, str(runs[0].optimizer["name"]), runs))
    return cells


def rounds(session: Session, todo: list[Cell]) -> list[list[Cell]]:
    """What to train one after another: whole cells, or seed by seed where time is short.

    So a slow machine sees every optimizer with one seed before any with three.
    """
    if sum(session.estimate(cell.runs) for cell in todo) <= session.left:
        return [todo]
    seeds = sorted({run.seed for cell in todo for run in cell.runs})
    return [
        [cell._replace(runs=[run for run in cell.runs if run.seed == seed]) for cell in todo]
        for seed in seeds
    ]


def show(session: Session, plan: list[list[Cell]]) -> None:
    """Prints what is trained of a task first, and until where the budget is thought to last."""
    rows, spent = [], 0.0
    for cell in plan[0]:
        need = session.estimate(cell.runs)
        spent += need
        seeds = ", ".join(str(run.seed) for run in cell.runs)
        fits = "now" if spent <= session.left else "next call"
        rows.append((cell.task, cell.optimizer, seeds, clock(need), fits))
    print(text_table(("task", "optimizer", "seeds", "estimate", "when"), rows))
    if len(plan) > 1:
        print("time is short: every optimizer with one seed first, then with the others")


def train(session: Session, task: str, cells: list[Cell]) -> bool:
    """Trains what is missing of a task; whether all of it is recorded now."""
    known = records.finished(session.options.folder)
    todo = [cell for cell in cells if not {run.name for run in cell.runs} <= known]
    print(f"{task}: {len(cells)} cells, {len(cells) - len(todo)} recorded", flush=True)
    if not todo:
        return True
    session.measure(todo)
    plan = rounds(session, todo)
    show(session, plan)
    flat = [cell for part in plan for cell in part]
    return all(  # what another process trains is waited for last
        session.train(cell, f"[{i}/{len(flat)}] ", wait)
        for wait in (False, True)
        for i, cell in enumerate(flat, 1)
    )


def main() -> None:
    """Plans, trains, and shows."""
    args = arguments()
    default = "15min" if jax.default_backend() == "cpu" else "all"
    try:
        place = args.data_folder and str(args.data_folder)
        options = Options(args.records, data_folder=place)
        session = Session(budget.parse_budget(args.budget or default), options)
        print(f"on {devices.describe()}, budget {clock(session.seconds)}", flush=True)
        records.check_writable(args.records)
        tasks_wanted, optimizers = names_of(args)
        for i, task in enumerate(tasks_wanted):
            if not train(session, task, cells_of(task, optimizers, args)):
                if later := tasks_wanted[i + 1 :]:
                    print(f"after that: {', '.join(later)}")
                break
    except (PlanError, records.RecordsError, tasks.DataError) as error:
        sys.exit(f"error: {error}")
    from scripts import aggregate

    aggregate.local(args.records, args.output)


if __name__ == "__main__":
    stopping.run(main, "`make reproduce` goes on from the last checkpoint")
