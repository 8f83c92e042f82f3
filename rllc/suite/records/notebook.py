"""Records as two data frames, for notebooks: ``runs, curves = records.read("local/records")``."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from rllc.suite.errors import RecordsError
from rllc.suite.records.frames import load

KEPT = ["run", "task", "optimizer", "role", "seed", "steps", "status", "diverged_at", "device"]


def read(folder: str | Path = "local/records") -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs under a records folder and their curves, with everything in columns of its own.

    Args:
      folder: of records; ``~`` is the user's home.

    Returns:
      runs: one row per run: `KEPT`, a column for each hyperparameter, for each setting that is
        traced with it (such as ``initial_law``), ``batch_size`` and ``data`` of the protocol, and
        ``settings``, every other setting as JSON: runs with different ones are no replicates.
      curves: one row per evaluation: step, the metrics as recorded (accuracies as shares), and
        all of `runs`. Runs on made-up data are among them; ``data`` is synthetic there.

    Raises:
      RecordsError: the folder does not exist, or holds a damaged record.

    Example:
      runs, curves = records.read("local/records")
      curves.groupby(["optimizer", "learning_rate", "step"]).test_accuracy.mean()
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise RecordsError(f"no folder {place}: is it spelt right?")
    loaded = load(place)
    parsed = [_columns(*row) for row in zip(loaded.runs.hyper, loaded.runs.settings, strict=True)]
    extra = pd.DataFrame(parsed, index=loaded.runs.index)
    runs = pd.concat([loaded.runs[KEPT], extra, loaded.runs[["settings"]]], axis=1)
    return runs, runs.merge(loaded.curves, on="run")


def _columns(hyper: str, settings: str) -> dict[str, Any]:
    """What a run's two columns of JSON say, by name."""
    parsed = json.loads(settings)
    protocol = {key: parsed["protocol"].get(key) for key in ("batch_size", "data")}
    return {**json.loads(hyper), **parsed.get("traced", {}), **protocol}
