"""Packs local records into the committed ones (`make records`).

Shards whose runs are all there already stay behind, and so do rehearsals on made-up data.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
from rllc.suite import records  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402


def main() -> None:
    """Reads the command line and reports what was moved."""
    parser = Parser(description=__doc__)
    parser.add_argument("--source", type=records.folder, default=Path("local/records"))
    parser.add_argument("--target", type=records.folder, default=ROOT / "results" / "records")
    arguments = parser.parse_args()
    try:
        if not arguments.source.is_dir():
            raise records.RecordsError(f"--source {arguments.source}: there is no such folder")
        records.check_writable(arguments.target)
        done = records.move(arguments.source, arguments.target)
    except records.RecordsError as error:
        sys.exit(f"error: {error}")
    print(
        f"{done.moved} records packed into {arguments.target}, left behind: {done.known} whose "
        f"runs are there, {done.rehearsals} on made-up data"
    )


if __name__ == "__main__":
    main()
