"""Runs a study: tunes, chooses on validation data, trains the final runs, shows them.

  python scripts/bench.py FOLDER                    all of FOLDER/study.yaml, resumable
  python scripts/bench.py FOLDER --budget 10min     what fits; the next call goes on
  python scripts/bench.py FOLDER --set protocol.steps=1000

A study names tasks and optimizers, ours or those of its own configs; see examples/regression.
Records and results are written under FOLDER, nowhere else.
"""

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while this is imported nothing is to be saved
from rllc.suite.engine import devices, stopping  # noqa: E402

devices.configure()

import tasks  # noqa: E402
from rllc.suite.errors import PlanError, RecordsError  # noqa: E402
from rllc.suite.execute import bench, budget  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.records import folder  # noqa: E402
from rllc.suite.study import StudyError  # noqa: E402


def main() -> None:
    """Reads the command line and runs the study."""
    parser = Parser(description=__doc__)
    parser.add_argument("folder", type=folder, help="holds study.yaml")
    parser.add_argument(
        "--budget", default="", help="such as 10min, 2h, all (default: the study's, else all)"
    )
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides for every run"
    )
    parser.add_yes()
    parser.add_data_folder()
    given = parser.parse_args()
    data = given.data_folder and str(given.data_folder.absolute())
    try:
        seconds = budget.parse_budget(given.budget) if given.budget else None
        bench.run(given.folder, ROOT / "conf", seconds, given.set, yes=given.yes, data_folder=data)
    except (PlanError, RecordsError, StudyError, tasks.DataError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    stopping.run(main, "the same command goes on from the last checkpoint")
