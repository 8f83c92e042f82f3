"""Trains a recorded run again, or its beginning, and holds the curves against the record."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.suite import records, schedules
from rllc.suite.engine import devices, splitting
from rllc.suite.engine.training import Trainer
from rllc.suite.errors import PlanError
from rllc.suite.execute import execution
from rllc.suite.plan import configuration, studies
from rllc.suite.plan.configuration import Conf
from rllc.suite.plan.plan import PROTOCOL, Run
from rllc.suite.records import roles
from rllc.suite.study import check_local

# A name without a leading underscore (`_target_` names code); a number, list or word in JSON; a
# label in the notation of propagators.
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.IGNORECASE)
_VALUE = re.compile(r"[\w\s.,+\-\[\]\"]*")
_PROPAGATOR = re.compile(r"optimizer\.propagator='[\w\s.,+\-()⊕]*'")
TOLERANCE = 0.01  # of a share or of a loss in nats: what other batch shapes and machines leave


class Verified(NamedTuple):
    """What came of it.

    Attributes:
      differences: evaluation column -> largest absolute difference.
      steps: the evaluations that were compared.
      header: of the record.
    """

    differences: dict[str, float]
    steps: list[int]
    header: dict[str, Any]

    @property
    def largest(self) -> float:
        """Of all columns; NaN on one side only counts as infinite."""
        return max(self.differences.values())


def planned(
    conf: Conf, folder: Path, name: str, seeds: Mapping[str, Any] = roles.SEEDS
) -> tuple[Run, dict[str, Any]]:
    """A recorded run as today's configuration gives it, and its record's header.

    Args:
      conf: where configs are found.
      folder: of the records.
      name: of the run, or the beginning of it.
      seeds: of each role.

    Raises:
      PlanError: no such record, or another run today.
    """
    found = [
        (row, shard.header)
        for shard in records.shards(folder)
        for row in shard.header["runs"]
        if row["run"].startswith(name)
    ]
    if len({row["run"] for row, _ in found}) != 1:
        raise PlanError(f"{len(found)} runs in {folder} have a name that begins with {name!r}")
    row, header = found[-1]
    cfg = configuration.compose(conf, _words(conf, row, header))
    run = configuration.run_of(cfg, {}, seeds)
    if run.name != row["run"]:
        raise PlanError(
            f"run {row['run']} cannot be trained again: today's configuration of "
            f"{header['optimizer']['name']} on {header['task']['name']} gives run {run.name}"
        )
    return run, header


def _words(conf: Conf, row: dict[str, Any], header: dict[str, Any]) -> list[str]:
    """The command line of a recorded run: names that today's configs know, and numbers.

    Nothing else of a record enters, so that one from somebody else can name no code to be run.

    Raises:
      PlanError: the record holds something else.
    """
    changes = schedules.words(header["optimizer"])
    label = str(header["optimizer"]["name"]).removesuffix(schedules.suffix(header["optimizer"]))
    known = conf.labels()
    told = ("run", "seed", "role", "status", "diverged_at", "hyper", "settings")
    settings = row.get("settings") or {}
    bare = {key: value for key, value in row.items() if key not in told}  # format 1
    given = {**bare, **(row.get("hyper") or {}), **settings}
    chosen = [known[label]] if label in known else ["rllc", f"optimizer.propagator='{label}'"]
    task, role = header["task"]["name"], str(row.get("role") or _role(row, header))
    return [
        f"task={conf.task_called(task)}",
        f"optimizer={chosen[0]}",
        *(_checked("optimizer", word, _PROPAGATOR) for word in chosen[1:]),
        *(
            f"optimizer.{_checked('number', key, _NAME)}={_checked(key, json.dumps(value), _VALUE)}"
            for key, value in given.items()
        ),
        *(
            f"protocol.{key}={_checked(key, str(value), _VALUE)}"
            for key, value in header["protocol"].items()
            if key in PROTOCOL
        ),
        *changes,
        f"seed={_checked('seed', str(row['seed']), _VALUE)}",
        f"role={_checked('role', role, _NAME)}",
    ]


def _checked(what: str, text: str, allowed: re.Pattern[str]) -> str:
    """`text`, if it is nothing but what is allowed."""
    if not allowed.fullmatch(text):
        raise PlanError(f"the record has {what} {text!r}, which is no {what} of a run; not trained")
    return text


def _role(row: dict[str, Any], header: dict[str, Any]) -> str:
    return roles.of_seed(row["seed"], header["optimizer"].get("family"))


def of_study(
    folder: Path, conf: Path, name: str, steps: int | None = None, data: str | None = None
) -> Verified:
    """`verify` of a run that a study recorded, by the study's configs, modules and seeds.

    Args:
      folder: with ``study.yaml`` and the records. Its code is run.
      conf: the suite's configs.
      name, steps, data: see `verify`.

    Raises:
      StudyError: see `study.read`.
      PlanError: see `verify`.
    """
    check_local(folder)
    with studies.inside(folder):
        study = studies.read(Path("study.yaml"))
        where = studies.configs(conf, study)
        return verify(where, studies.RECORDS, name, steps, data, study.seeds)


def verify(
    conf: Conf, folder: Path, name: str, steps: int | None = None, data: str | None = None,
    seeds: Mapping[str, Any] = roles.SEEDS,
) -> Verified:  # fmt: skip
    """Trains a recorded run again, alone.

    Args:
      conf: where configs are found.
      folder: of the records.
      name: of the run, or the beginning of it.
      steps: how far; None for all of it. At least up to the first evaluation.
      data: folder with the user's data files.
      seeds: of each role.

    Raises:
      PlanError: see `planned`; also missing data.
    """
    devices.configure()
    run, header = planned(conf, folder, name, seeds)
    task, split = execution.make_task(run), splitting.ALONE
    trainer = Trainer([run], task, execution.load_data(run, data), split=split)
    until = steps or run.protocol["steps"]
    marks = [mark for mark in trainer.marks if mark <= until] or trainer.marks[:1]
    for mark in marks if len(marks) > 1 else trainer.marks[:2]:
        if mark > trainer.done:
            trainer.advance(mark - trainer.done)
    ours = trainer.table().to_pandas()
    theirs = records.load(folder).curves
    return _compared(ours, theirs[theirs.run == run.name], trainer.done, header)


def _compared(
    ours: pd.DataFrame, theirs: pd.DataFrame, until: int, header: dict[str, Any]
) -> Verified:
    both = theirs[theirs.step <= until].merge(ours, on="step", suffixes=("", "_again"))
    columns = [name for name in both if f"{name}_again" in both and name != "run"]
    differences = {}
    for name in columns:
        old, new = both[name].to_numpy(float), both[f"{name}_again"].to_numpy(float)
        gap = np.where(np.isnan(old) & np.isnan(new), 0.0, np.abs(old - new))
        differences[name] = float(np.nan_to_num(gap, nan=np.inf).max())
    return Verified(differences, [int(step) for step in both.step], header)
