"""Checks every committed record: checksums, values, curves, and that names follow from contents.

  make audit                             the committed ones, those of studies too
  make audit ARGS="--records FOLDER"     others

Nothing is changed. Ends with status 1 where something is damaged or recorded twice.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
from rllc.suite import records  # noqa: E402
from rllc.suite.errors import PlanError, RecordsError  # noqa: E402
from rllc.suite.execute import audit  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402


def committed() -> list[Path]:
    """Folders of the committed records: of the paper, and of the studies beside it."""
    results = ROOT / "results"
    return [results / "records", *sorted((results / "studies").glob("*/records"))]


def main() -> None:
    """Reads the command line and reports."""
    parser = Parser(description=__doc__)
    parser.add_argument("--records", type=records.folder, nargs="+", metavar="FOLDER")
    wrong = sum(map(audited, parser.parse_args().records or committed()))
    sys.exit(bool(wrong))


def audited(folder: Path) -> int:
    """Says what is wrong with the records of a folder; how much."""
    try:
        if not folder.is_dir():
            raise RecordsError(f"--records {folder}: there is no such folder")
        found = audit.audit(folder, Conf(ROOT / "conf"))
    except (PlanError, RecordsError) as error:
        sys.exit(f"error: {error}")
    wrong = [*found.damage, *(f"run {name} is recorded more than once" for name in found.twice)]
    for text in wrong:
        print(text)
    print(
        f"{folder}: {found.runs} runs in {found.shards} groups and {found.files} files, "
        f"{found.renamed} names computed anew: {f'{len(wrong)} WRONG' if wrong else 'all right'}"
    )
    return len(wrong)


if __name__ == "__main__":
    main()
