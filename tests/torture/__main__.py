"""Injects faults and prints what became of them; ends with status 1 where anything was lost.

  make torture                                all parts, at most 20 minutes on two quiet cores
  make torture ARGS="--only kills damage"     some of them
  make torture ARGS="--record"                also writes results/robustness

Parts that ended for this commit, seed and scale are not run again: their tables are kept in
local/torture.
"""

import datetime
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from rllc.suite.engine import devices, header
from rllc.suite.execute.parser import Parser
from tests.torture import trials

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("kills", "sharing", "damage", "fuzz", "numbers")
KEPT = ROOT / "local" / "torture"
RECORD = ROOT / "results" / "robustness"


def main() -> None:
    """Reads the command line."""
    parser = Parser(description=__doc__, prog="python -m tests.torture")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="write results/robustness")
    parser.add_argument("--note", default="", help="what the record is to say of the machine")
    parser.add_argument("--again", action="store_true", help="also what has ended already")
    parser.add_argument("--here", type=Path, help="one part in this process; its table goes there")
    given = parser.parse_args()
    if given.here:
        _here(given.only[0], given.seed, given.scale, given.here)
        return
    found = [_part(name, given.seed, given.scale, given.again) for name in given.only]
    print(in_columns([row for part in found for row in part["rows"]]))
    lost = [text for part in found for text in part["lost"]]
    for text in lost[:20]:
        print(f"LOST: {text}")
    times = sum(row["times"] for part in found for row in part["rows"])
    minutes = sum(part["seconds"] for part in found) / 60
    print(f"\n{times} faults in {minutes:.0f} minutes: {len(lost)} losses")
    if given.record:
        record(found, RECORD, given.note)
    sys.exit(bool(lost))


def in_columns(rows: list[dict]) -> str:
    """The table for a terminal."""
    lines = [
        f"{row['times']:6d}  {row['losses']:3d}  {row['fault']}: {row['outcomes']}" for row in rows
    ]
    return "\n".join([" times  lost  fault: outcomes", *lines])


def _part(name: str, seed: int, scale: float, again: bool) -> dict:
    """What became of a part, by a process of its own; kept, if it has ended already."""
    commit = header.commit()
    path = KEPT / f"{name}-{seed}-{scale:g}-{commit}.json"
    if not path.exists() or again or commit.endswith("+"):
        KEPT.mkdir(parents=True, exist_ok=True)
        words = ["--only", name, "--seed", str(seed), "--scale", str(scale), "--here", str(path)]
        print(f"{name} …", flush=True)
        command = [sys.executable, "-m", "tests.torture", *words]
        subprocess.run(command, check=True, cwd=ROOT)
    return json.loads(path.read_text())


def _here(name: str, seed: int, scale: float, path: Path) -> None:
    os.environ["JAX_PLATFORMS"] = "cpu"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rllc-torture-") as folder:
        os.environ["RLLC_CACHE"] = f"{folder}/cache"
        part = importlib.import_module(f"tests.torture.{name}")
        place = Path(folder, "place")
        place.mkdir()
        found = list(part.run(seed, scale, place))
    content = {
        "part": name, "seed": seed, "scale": scale, "commit": header.commit(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
        "load": os.getloadavg()[0],
        "rows": trials.table(name, found), "lost": trials.losses(found),
    }  # fmt: skip
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def record(parts: list[dict], folder: Path, note: str) -> None:
    """Writes ``torture.csv``, the table, and ``torture.json``, where it comes from."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for part in parts for row in part["rows"]]
    pd.DataFrame(rows, columns=trials.COLUMNS).to_csv(
        folder / "torture.csv", index=False, lineterminator="\n"
    )
    kept = ("part", "seed", "scale", "commit", "created", "seconds", "load", "lost")
    content = {
        "device": devices.describe(),
        "machine": devices.machine(),
        "versions": header.versions(),
        "note": note,
        "parts": [{key: part[key] for key in kept} for part in parts],
    }
    (folder / "torture.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
