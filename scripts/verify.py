"""Trains a recorded run again and says how far its curves are from the record.

  make verify RECORD=3a6c227ceef98264               up to its first evaluation
  make verify RECORD=3a6c227ceef98264 STEPS=all     to its end
  python scripts/verify.py RUN --records STUDY      of a study of your own, whose code is run

On the machine that recorded it a run alone differs from the record of its group by rounding only;
on another the rounding differs, too, and grows with the steps.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
from rllc.suite.engine import devices, stopping  # noqa: E402

devices.configure()

import tasks  # noqa: E402
from rllc.suite import records  # noqa: E402
from rllc.suite.execute import verify  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402
from rllc.suite.plan.plan import PlanError  # noqa: E402
from rllc.suite.study import StudyError  # noqa: E402

STUDY = "study.yaml"


def verified(given: argparse.Namespace) -> verify.Verified:
    """The wanted run, trained again by the study's configs where a study is given, else by ours."""
    steps = None if given.steps == "all" else int(given.steps)
    place = given.data_folder and str(given.data_folder.absolute())
    if (given.records / STUDY).is_file():
        return verify.of_study(given.records, ROOT / "conf", given.run, steps, place)
    return verify.verify(Conf(ROOT / "conf"), given.records, given.run, steps, place)


def hint(folder: Path) -> str:
    """What to give instead of the records folder of a study: its code is run if it is named."""
    study = folder.absolute().parent
    if not (study / STUDY).is_file():
        return ""
    return f" (records of a study are trained by its configs with --records {study})"


def main() -> None:
    """Reads the command line; ends with status 1 where the tolerance is exceeded."""
    parser = Parser(description=__doc__)
    parser.add_argument("run", help="name of a run in the records, or how it begins")
    parser.add_argument("--steps", default="1", help="how far: a number, or all")
    parser.add_argument("--tolerance", type=float, default=verify.TOLERANCE)
    parser.add_argument(
        "--records", type=records.folder, default=ROOT / "results" / "records", metavar="FOLDER",
        help="of records, or a study: with its study.yaml (default: the committed records)",
    )  # fmt: skip
    parser.add_data_folder()
    given = parser.parse_args()
    if given.steps != "all" and not given.steps.isdecimal():
        parser.error(f"--steps {given.steps}: must be a number, or all")
    try:
        found = verified(given)
    except (PlanError, records.RecordsError, StudyError, tasks.DataError) as error:
        sys.exit(f"error: {error}{hint(given.records)}")
    for column, difference in found.differences.items():
        print(f"{column:32s} {difference:.2e}")
    there, here = found.header["device"], devices.describe()
    print(f"recorded on {there} by commit {found.header.get('commit', 'unknown')}, now on {here}")
    right = found.largest <= given.tolerance
    print(
        f"steps {found.steps[0]} to {found.steps[-1]}: largest difference {found.largest:.2e}, "
        f"tolerance {given.tolerance:g}: {'verified' if right else 'NOT verified'}"
    )
    sys.exit(not right)


if __name__ == "__main__":
    stopping.run(main, "nothing was recorded")
