"""Trains tuning grids and chooses hyperparameters on validation data.

  python scripts/tune.py --tasks mnist_mlp --optimizers sgd adam m_0.9 --seeds 100
  python scripts/tune.py --tasks mnist_mlp --best 3 --more-seeds 101 102      a second round
  python scripts/tune.py --tasks mnist_conv --screen 3000      3,000 steps, the best to the end
  python scripts/tune.py --tasks mnist_conv --screen 3000 --best 3      a second round of these
  python scripts/tune.py --tasks mnist_conv --processes 8      a large GPU, shared by processes

Grids stand in conf/optimizer/*.yaml. Records go to --records; `make records` moves them to the
committed ones, from which `make tables` writes results/tuning/choices.csv.
"""

import argparse
import itertools
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while this is imported nothing is to be saved
from rllc.suite.engine import devices, stopping  # noqa: E402

devices.configure()

from rllc.replication import paper  # noqa: E402
from rllc.suite import metrics, records  # noqa: E402
from rllc.suite.choose import wording  # noqa: E402
from rllc.suite.execute import estimates, execution, submission  # noqa: E402
from rllc.suite.execute.execution import Options  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.plan import sweep  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402
from rllc.suite.plan.plan import PlanError, Run  # noqa: E402
from rllc.suite.records import RecordsError, folder, roles  # noqa: E402

CONF = Conf(ROOT / "conf")


def main() -> None:
    """Trains what is missing of the requested grids."""
    parser = _parser()
    options = parser.parse_args()
    for word, needed in (("keep", "screen"), ("more-seeds", "best")):
        if not getattr(options, needed):
            parser.refuse(options, [word], f"without --{needed}")
    try:
        runs = _grids(options)
        whole = min(run.protocol["steps"] for run in runs)
        if options.screen and options.screen >= whole:
            parser.error(f"--screen {options.screen}: must be below the {whole} steps of a run")
        failed = _screened(runs, options) if options.screen else _train(runs, options)
        if options.best and not failed:
            best = sweep.best_points(runs, options.records, options.best)
            seeds = options.more_seeds or (101, 102)
            again = [run._replace(seed=seed) for run in best for seed in seeds]
            failed = _train(again, options, "runs of the best points")
            runs = [*runs, *again]
        if options.screen:
            runs = [*runs, *_grids(options, f"protocol.steps={options.screen}")]
        tell(runs, options.records)
    except (PlanError, RecordsError) as error:
        sys.exit(f"error: {error}")
    sys.exit(bool(failed))


def _parser() -> Parser:
    parser = Parser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=[], help="tasks (default: all)")
    parser.add_argument("--optimizers", nargs="*", default=[], help="optimizers (default: all)")
    parser.add_argument(
        "--seeds", nargs="+", type=_tuning_seed, default=sweep.TUNING_SEEDS,
        help="tuning seeds, 100 to 199: the tables take no others for tuning (default: 100)",
    )  # fmt: skip
    parser.add_argument(
        "--best", type=_positive, metavar="N",
        help="afterwards train the N best points of each grid with --more-seeds too",
    )  # fmt: skip
    parser.add_argument(
        "--screen", type=_positive, metavar="STEPS",
        help="train whole grids for STEPS only, and to the end what --keep leaves and what\n"
        "could draw level with it, gaining as much as points that were kept did\n"
        "(results/figures/tuning_steps.png shows what a screen loses)",
    )  # fmt: skip
    parser.add_argument("--keep", type=_positive, help="points to keep then (default: 3)")
    parser.add_argument(
        "--more-seeds", nargs="+", type=_tuning_seed, help="for --best (default: 101 102)"
    )
    parser.add_argument(
        "--processes", type=_positive, default=1, metavar="N",
        help="train N groups at a time, each in a process of its own (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--group-size", type=_positive, metavar="N",
        help="most runs in one program (default: chosen from memory and measured speed)",
    )  # fmt: skip
    parser.add_argument("--records", type=folder, default=Path("local/records"))
    parser.add_data_folder()
    parser.add_yes()
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE",
        help="overrides for every run, such as optimizer.initial_law=mean",
    )  # fmt: skip
    return parser


def _grids(options: argparse.Namespace, *overrides: str) -> list[Run]:
    """Every point of the grids of the wanted tasks and optimizers."""
    tasks = CONF.check_names("task", options.tasks)
    optimizers = CONF.check_names("optimizer", options.optimizers)
    words = [*options.set, *overrides]
    return [
        run
        for task, optimizer in itertools.product(tasks, optimizers)
        for run in sweep.grid_runs(CONF, task, optimizer, options.seeds, words)
    ]


def _screened(runs: list[Run], options: argparse.Namespace) -> bool:
    """Trains of `runs` what a screen of `options.screen` steps keeps; whether anything failed.

    It keeps the best points, and those that could draw level with them by the end (`screens`).
    """
    short = _grids(options, f"protocol.steps={options.screen}")
    if _train(short, options, f"grid runs of {options.screen} steps"):
        return True
    best = sweep.best_points(short, options.records, options.keep or 3)
    cells = {(run.task["name"], run.optimizer["name"]) for run in runs}
    lost = cells - {(run.task["name"], run.optimizer["name"]) for run in best}
    for task, optimizer in sorted(lost):
        print(f"failed: {optimizer} on {task}: every point of the screen diverged", file=sys.stderr)
    kept, failed = sweep.at_points(runs, best), bool(lost)
    what = "grid runs"
    while kept:
        if _train(kept, options, what):
            return True
        kept = sweep.could_draw_level(short, runs, options.records)
        what = "grid runs that could still draw level"
    return failed


def tell(runs: list[Run], place: Path) -> None:
    """Prints the best points of every grid, their neighbours, and which lie on its edge."""
    loaded = records.load(place)
    study = paper.STUDY._replace(metrics=metrics.by_task(loaded))
    for text in wording.report(study, [run.name for run in runs], loaded):
        print(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _tuning_seed(text: str) -> int:
    number = int(text)
    if complaint := roles.complaint("tune", number):
        raise argparse.ArgumentTypeError(complaint)
    return number


def _train(runs: list[Run], options: argparse.Namespace, what: str = "grid runs") -> bool:
    """`train` as the command line says."""
    execute = Options(
        folder=options.records, group_size=options.group_size,
        data_folder=options.data_folder and str(options.data_folder), yes=options.yes,
    )  # fmt: skip
    return train(runs, execute, what, options.processes)


def train(runs: list[Run], execute: Options, what: str = "grid runs", processes: int = 1) -> bool:
    """Trains what is not recorded yet; returns whether any group failed."""
    groups = execution.prepare(runs, execute)
    todo = sum(map(len, groups))
    print(f"{len(runs)} {what}, {todo} to train as {len(groups)} programs", flush=True)
    apart = processes > 1 and len(groups) > 1
    announcer = estimates.Announcer(groups, execute, here=not apart)
    if not announcer.before():
        raise KeyboardInterrupt
    if apart:
        logs = {"folder": execute.folder.parent / "submitit"}
        outcomes = submission.submit(groups, execute, "local", logs, processes)
    else:
        outcomes = execution.execute(groups, execute, announcer)
    if note := execution.diverged_note(outcomes):
        print(note, file=sys.stderr)
    for outcome in outcomes:
        if outcome.error:
            name, text = outcome.runs[0].optimizer["name"], execution.in_words(outcome.error)
            print(f"failed: {name}: {text}", file=sys.stderr)
    return any(outcome.error for outcome in outcomes)


if __name__ == "__main__":
    stopping.run(main, "the same command goes on from the last checkpoint")
