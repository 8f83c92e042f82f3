"""Moves local records into the committed ones (`make records`).

Shards whose runs are all there already stay behind, and so do rehearsals on made-up data.
"""

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rllc.suite import records  # noqa: E402


def move(source: Path, target: Path) -> tuple[int, int, int]:
    """Moves the shards of `source` that hold at least one run unknown to `target`.

    Returns:
      (shards moved, shards left because all their runs are recorded already, rehearsals left).
    """
    known, moved, left, rehearsals = records.finished(target), 0, 0, 0
    for shard, header in records.headers(source).items():
        if header["protocol"].get("data") == "synthetic":
            rehearsals += 1
            continue
        if {run["run"] for run in header["runs"]} <= known:
            left += 1
            continue
        for suffix in (".parquet", ".json"):  # the header last: it makes a shard complete
            place = target / f"{shard}{suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source / f"{shard}{suffix}", place)
        moved += 1
    return moved, left, rehearsals


def main() -> None:
    """Reads the command line and reports what was moved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=Path("local/records"))
    parser.add_argument("--target", type=Path, default=ROOT / "results" / "records")
    arguments = parser.parse_args()
    try:
        records.check_writable(arguments.target)
        moved, left, rehearsals = move(arguments.source, arguments.target)
    except records.RecordsError as error:
        sys.exit(f"error: {error}")
    print(
        f"{moved} records moved to {arguments.target}, left behind: {left} whose runs are there, "
        f"{rehearsals} on made-up data"
    )


if __name__ == "__main__":
    main()
