"""Checks every record of a folder: whole, sensible, named as its contents say."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.suite import records
from rllc.suite.errors import RecordsError
from rllc.suite.metrics import TRAIN_LOSS
from rllc.suite.plan import targets
from rllc.suite.plan.configuration import Conf, compose
from rllc.suite.plan.plan import Run
from rllc.suite.records import identity
from rllc.suite.records.shards import Shard, documents, read
from rllc.suite.schedules import suffix


class Audit(NamedTuple):
    """What was looked at, and what is wrong.

    Attributes:
      files: header files.
      shards: trained groups in them.
      runs: in these.
      renamed: runs whose names were computed anew; the others are of optimizers whose spelling
        today's configs do not know.
      damage: one line for each file, shard or run that is not right.
      twice: runs that several shards hold.
    """

    files: int
    shards: int
    runs: int
    renamed: int
    damage: list[str]
    twice: list[str]


def audit(folder: Path, conf: Conf) -> Audit:
    """Looks at everything under a records folder.

    Args:
      folder: of the records.
      conf: the suite's configs, which know how an optimizer's arguments are spelt.
    """
    found, broken = [], []
    paths = documents(folder)
    for path in paths:
        try:
            found += list(read(folder, path))
        except RecordsError as error:
            broken.append(str(error))
    names = [row["run"] for shard in found for row in shard.header["runs"]]
    spelt = _Spelling(conf)
    damage = [f"{shard.name}: {text}" for shard in found for text in _wrong_names(shard, spelt)]
    # Curves are read as one table, so one damaged file hides the others.
    damage += broken or list(_wrong_curves(folder))
    twice = [name for name, count in Counter(names).items() if count > 1]
    return Audit(len(paths), len(found), len(names), spelt.known, damage, twice)


class _Spelling:
    """Traced values of recorded runs, in the spelling that is hashed.

    Attributes:
      known: how many runs were spelt.
    """

    def __init__(self, conf: Conf):
        self.conf, self.known = conf, 0
        self._labels = conf.labels()
        self._canonical: dict[str, str | None] = {}

    def traced(self, header: dict[str, Any], row: dict[str, Any]) -> dict[str, Any] | None:
        """Of a run; None where no config says how."""
        hyper, settings = _numbers(row)
        values: dict[str, Any] = {key: float(value) for key, value in hyper.items()}
        if settings:
            path = self._path(header["optimizer"])
            if path is None:
                return None
            optimizer = header["optimizer"].items()
            static = {key: value for key, value in optimizer if key not in identity.RESERVED}
            made = targets.resolve(path, "canonical")({**static, **values, **settings})
            values |= {key: tuple(map(float, made[key])) for key in settings}
        self.known += 1
        return values

    def _path(self, optimizer: dict[str, Any]) -> str | None:
        """The function that today's config of an optimizer names for its spelling."""
        name = identity.id_of(optimizer)
        if name not in self._canonical:
            bare = str(optimizer["name"]).removesuffix(suffix(optimizer))
            label = self._labels.get(bare, "rllc")
            config = compose(self.conf, [f"optimizer={label}"]).optimizer
            same = identity.id_of(config) == name
            self._canonical[name] = config.get("canonical") if same else None
        return self._canonical[name]


def _numbers(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hyperparameters and settings of a run, in either format."""
    if "hyper" in row:
        return row["hyper"], row.get("settings") or {}
    told = ("run", "seed", "role", "status", "diverged_at")
    bare = {key: value for key, value in row.items() if key not in told}
    settings = {key: bare.pop(key) for key in ("initial_law",) if key in bare}
    return bare, settings


def _wrong_names(shard: Shard, spelt: _Spelling) -> Iterator[str]:
    """Runs of a shard whose names or groups are not those of what the header says they are."""
    header = shard.header
    for row in header["runs"]:
        try:
            traced = spelt.traced(header, row)
            if traced is None:
                continue
            run = Run(
                header["task"], header["optimizer"], traced, row["seed"], header["protocol"], {}
            )
            if (run.name, run.group) != (row["run"], header["group"]):
                yield f"run {row['run']} is called {run.name} by what its header says of it"
        except (ValueError, TypeError, KeyError) as error:
            yield f"run {row['run']} cannot be named: {type(error).__name__}: {error}"


def _wrong_curves(folder: Path) -> Iterator[str]:
    """What of the curves cannot be: statuses that contradict them, steps out of order."""
    try:
        loaded = records.load(folder)
    except RecordsError as error:
        yield str(error)
        return
    curves = {str(name): curve for name, curve in loaded.curves.groupby("run")}
    for run in loaded.runs.itertuples():
        for text in _wrong_curve(run, curves[run.run], loaded.metrics[run.task][0].name):
            yield f"{run.shard}: run {run.run} {text}"


def _wrong_curve(run: Any, curve: pd.DataFrame, metric: str) -> Iterator[str]:
    steps = curve.step.to_numpy()
    if not (np.diff(steps) > 0).all() or steps[0] != 0:
        yield "has steps out of order"
    if run.status not in ("finished", "diverged"):
        yield f"has the status {run.status!r}"
    lasting = curve[[f"validation_{metric}"]].to_numpy(float)
    if run.status == "finished" and (steps[-1] != run.steps or not np.isfinite(lasting).all()):
        yield f"is finished, but its curve ends at step {steps[-1]} of {run.steps} or has gaps"
    if run.status == "finished" and not np.isfinite(curve[TRAIN_LOSS][1:]).all():
        yield "is finished, but has training losses that are not finite"
    at = run.diverged_at
    if run.status == "diverged" and not (at == at and 1 <= at <= run.steps):
        yield f"diverged at step {at:g} of {run.steps}"
    for name, value in json.loads(run.hyper).items():
        if not 0 <= value < float(np.finfo(np.float32).max):
            yield f"has {name} {value:g}"
