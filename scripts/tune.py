"""Trains tuning grids and chooses hyperparameters on validation data.

  python scripts/tune.py --tasks mnist_mlp --optimizers sgd adam m_0.9 --seeds 100
  python scripts/tune.py --tasks mnist_mlp --best 3 --more-seeds 101 102      a second round
  python scripts/tune.py --tasks mnist_conv --screen 3000      3,000 steps, the best 3 to the end
  python scripts/tune.py --tasks mnist_conv --screen 3000 --best 3      a second round of these

Grids stand in conf/optimizer/*.yaml. Records go to --records; `make records` moves them to the
committed ones, from which `make tables` writes results/tuning/choices.csv.
"""

import argparse
import itertools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rllc.suite import devices  # noqa: E402

devices.configure()

from rllc.suite import execution, selection, sweep  # noqa: E402
from rllc.suite.execution import Options  # noqa: E402
from rllc.suite.plan import PlanError, Run  # noqa: E402
from rllc.suite.records import RecordsError  # noqa: E402

CONF = ROOT / "conf"


def main() -> None:
    """Trains what is missing of the requested grids."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
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
        help="train whole grids for STEPS only, and to the end what --keep leaves "
        "(results/figures/tuning_steps.png shows what that loses)",
    )  # fmt: skip
    parser.add_argument("--keep", type=_positive, help="points to keep then (default: 3)")
    parser.add_argument(
        "--more-seeds", nargs="+", type=_tuning_seed, help="for --best (default: 101 102)"
    )
    parser.add_argument("--records", type=Path, default=Path("local/records"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE",
        help="overrides for every run, such as optimizer.initial_law=mean",
    )  # fmt: skip
    arguments = parser.parse_args()
    for word, needed in (("keep", "screen"), ("more_seeds", "best")):
        if getattr(arguments, word) and not getattr(arguments, needed):
            parser.error(f"--{word.replace('_', '-')} says nothing without --{needed}")
    try:
        tasks = sweep.check_names(CONF, "task", arguments.tasks)
        optimizers = sweep.check_names(CONF, "optimizer", arguments.optimizers)

        def grids(*overrides: str) -> list[Run]:
            words = [*arguments.set, *overrides]
            cells = itertools.product(tasks, optimizers)
            return [r for c in cells for r in sweep.grid_runs(CONF, *c, arguments.seeds, words)]

        options = Options(folder=arguments.records)
        runs, failed = grids(), False
        whole = min(run.protocol["steps"] for run in runs)
        if arguments.screen and arguments.screen >= whole:
            parser.error(f"--screen {arguments.screen}: must be below the {whole} steps of a run")
        if arguments.screen:
            short = grids(f"protocol.steps={arguments.screen}")
            failed = train(short, options, f"grid runs of {arguments.screen} steps")
            kept = sweep.best_points(short, arguments.records, arguments.keep or 3)
            runs = sweep.at_points(runs, kept)
            if not runs:
                sys.exit("error: every point of the screen diverged; nothing to train to the end")
        failed = train(runs, options, "grid runs") or failed
        if arguments.best and not failed:
            best = sweep.best_points(runs, arguments.records, arguments.best)
            seeds = arguments.more_seeds or (101, 102)
            again = [run._replace(seed=seed) for run in best for seed in seeds]
            failed = train(again, options, "runs of the best points")
    except (PlanError, RecordsError) as error:
        sys.exit(f"error: {error}")
    sys.exit(bool(failed))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _tuning_seed(text: str) -> int:
    number = int(text)
    if not selection.FIRST_TUNING_SEED <= number < selection.FIRST_QUESTION_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not a tuning seed (100 to 199)")
    return number


def train(runs: list[Run], options: Options, what: str) -> bool:
    """Trains what is not recorded yet; returns whether any group failed."""
    groups = execution.prepare(runs, options)
    todo = sum(map(len, groups))
    print(f"{len(runs)} {what}, {todo} to train as {len(groups)} programs", flush=True)
    outcomes = execution.execute(groups, options)
    if note := execution.diverged_note(outcomes):
        print(note, file=sys.stderr)
    for outcome in outcomes:
        if outcome.error:
            name, text = outcome.runs[0].optimizer["name"], execution.in_words(outcome.error)
            print(f"failed: {name}: {text}", file=sys.stderr)
    return any(outcome.error for outcome in outcomes)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from the last checkpoint")
