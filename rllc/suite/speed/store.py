"""The measured tables on disk: one CSV each, rows of other devices and tasks kept."""

import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rllc.suite.engine import devices, header

TABLES = {  # table -> columns by which rows of an earlier measurement are replaced
    "update": ["device", "size"],
    "update_parts": ["device", "n"],
    "training_step": ["device", "task"],
    "throughput": ["device", "task", "optimizer"],
    "language": ["device", "task", "optimizer"],
    "batching": ["device", "task", "optimizer"],
    "levers": ["device", "task", "optimizer"],
    "scaling": ["device", "axis"],
    "compilation": ["device", "task"],
}
DIGITS = 6


def write(folder: Path, table: str, rows: Sequence[dict[str, Any]], device: str) -> pd.DataFrame:
    """Puts rows of this device into a table, in the place of older ones of the same kind.

    Args:
      folder: of all benchmark results.
      table: key of `TABLES`.
      rows: dicts with the same keys.
      device: see `devices.describe`; becomes a column.

    Returns:
      The whole table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = pd.DataFrame([{**row, "device": device} for row in rows])
    old = read(folder, table)
    if len(old) and len(new):
        keys = TABLES[table]
        stale = old[keys].apply(tuple, axis=1).isin(set(new[keys].apply(tuple, axis=1)))
        old = old[~stale]
    whole = pd.concat([part for part in (old, new) if len(part)]) if len(old) + len(new) else old
    whole = whole.reset_index(drop=True)
    save(whole, folder / f"{table}.csv")
    return whole


def read(folder: Path, table: str) -> pd.DataFrame:
    """A table, empty if it was never measured."""
    path = folder / f"{table}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def save(table: pd.DataFrame, path: Path) -> None:
    """Writes a CSV with six significant digits."""
    table.to_csv(path, index=False, float_format=f"%.{DIGITS}g")


def write_raw(folder: Path, measured: dict[str, Any], notes: Sequence[str], device: str) -> Path:
    """JSON of one measurement: device, versions, date, every row, and what could not be done.

    What an earlier, fuller measurement on the device knows beyond this one is kept.
    """
    slug = re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")
    path = folder / f"{slug}.json"
    earlier = json.loads(path.read_text())["tables"] if path.exists() else {}
    about = {"measured": _now(), "versions": header.versions(), "commit": header.commit()}
    fresh = {name: {**about, "notes": list(notes), "rows": rows} for name, rows in measured.items()}
    content = {"device": device, **about, "tables": {**earlier, **fresh}}
    path.write_text(json.dumps(content, indent=1, allow_nan=True) + "\n")
    return path


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def device() -> str:
    """This device as every table names it."""
    return devices.describe()
