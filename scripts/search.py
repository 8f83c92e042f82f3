"""Searches for a better propagator in three rounds: a sweep, more seeds for the best, one test.

  python scripts/search.py                                  trains what is missing of all three
  python scripts/search.py --set task=mnist_mlp             another task

The candidates and their grid stand in conf/experiment/propagator_search.yaml. `make records` moves
the records to the committed ones, from which `make tables` writes propagator_search.md.
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

import numpy as np  # noqa: E402

from rllc.replication import search  # noqa: E402
from rllc.suite import records  # noqa: E402
from rllc.suite.choose import selection  # noqa: E402
from rllc.suite.execute.execution import Options  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.plan import sweep  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402
from rllc.suite.plan.plan import PlanError, Run  # noqa: E402
from scripts.tune import train  # noqa: E402

CONF = Conf(ROOT / "conf")


def main() -> None:
    """Trains the rounds, each decided by the records of the one before."""
    parser = Parser(description=__doc__)
    parser.add_argument("--experiment", default="propagator_search", help="in conf/experiment")
    parser.add_argument("--best", type=int, default=3, help="propagators in the second round")
    parser.add_argument("--points", type=int, default=3, help="points of each in the second round")
    parser.add_argument("--more-seeds", nargs="*", type=int, default=(101, 102))
    parser.add_argument("--final-seeds", nargs="*", type=int, default=tuple(range(10)))
    parser.add_argument("--records", type=records.folder, default=Path("local/records"))
    parser.add_data_folder()
    parser.add_yes()
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides")
    arguments = parser.parse_args()
    try:
        runs = sweep.experiment_runs(CONF, arguments.experiment, arguments.set)
        sys.exit(_rounds(runs, arguments))
    except (PlanError, records.RecordsError) as error:
        sys.exit(f"error: {error}")


def _rounds(runs: list[Run], arguments: argparse.Namespace) -> bool:
    """Trains the three rounds; returns whether any group failed."""
    folder = arguments.records
    data = arguments.data_folder and str(arguments.data_folder)
    options = Options(folder=folder, data_folder=data, yes=arguments.yes)
    if train(runs, options, "runs of the first round"):
        return True
    best = set(_standing(runs, folder).sort_values("first_round").optimizer.tail(arguments.best))
    kept = [run for run in runs if run.optimizer["name"] in best]
    points = sweep.best_points(kept, folder, arguments.points)
    again = [run._replace(seed=seed) for run in points for seed in arguments.more_seeds]
    if train(again, options, "runs of the second round"):
        return True
    table = _standing(runs + again, folder)
    chosen = [run for run in points if _is_at(run, table.iloc[0])][:1]
    final = [
        run._replace(seed=seed, role="final") for run in chosen for seed in arguments.final_seeds
    ]
    print(f"winner on validation data: {search.winner(table)}")
    return train(final, options, "runs of the winner")


def _standing(runs: list[Run], folder: Path):
    loaded = records.load(folder)
    recorded = loaded.runs[loaded.runs.run.isin([run.name for run in runs])]
    return search.standing(selection.tidy(recorded), loaded.curves)


def _is_at(run: Run, row) -> bool:
    rates = [run.traced["learning_rate"], run.traced["law_learning_rate"]]
    same = np.allclose(rates, [row.learning_rate, row.law_learning_rate], rtol=1e-5, atol=0)
    return run.optimizer["name"] == row.optimizer and bool(same)


if __name__ == "__main__":
    stopping.run(main, "the same command goes on from the last checkpoint")
