"""Records: one shard per trained group, a Parquet file of curves beside a JSON header.

A shard is complete or absent: both files are written beside their place and renamed, the
header last. Merging machines is copying files; every table is a function of a folder of them.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from rllc.suite import identity, roles
from rllc.suite.errors import RecordsError
from rllc.suite.metrics import CLASSIFICATION, TRAIN_LOSS, Metric, of_header
from rllc.suite.metrics import columns as columns_of

FORMAT = 2
READABLE = (1, FORMAT)  # format 1 has no roles, and its runs' numbers beside their other fields
FIELDS = (
    "run", "shard", "task", "optimizer", "family", "role", "seed", "hyper", "settings", "steps",
    "device", "group", "status", "diverged_at",
)  # fmt: skip


class Records(NamedTuple):
    """Everything under a records folder.

    Attributes:
      runs: one row per run (`FIELDS`). ``optimizer`` is its label; ``hyper`` its hyperparameters
        and ``settings`` every other setting, as canonical JSON.
      curves: one row per evaluation: run, step, and the columns of all its tasks' metrics (see
        `metrics.columns`), NaN where a task has none of that name.
      folder: where `probe` reads from.
      metrics: of each task, the leading one first.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    folder: Path
    metrics: Mapping[str, tuple[Metric, ...]] = MappingProxyType({})

    def laws(self, runs: Iterable[str]) -> pd.DataFrame:
        """Laws over training of the given runs: columns run, step, law (list of k floats)."""
        return self.probe("law", runs)

    def probe(self, name: str, runs: Iterable[str]) -> pd.DataFrame:
        """What a probe read over training: columns run, step and its name (list of k floats)."""
        wanted = self.runs[self.runs.run.isin(list(runs))]
        columns = ["run", "step", name]
        tables = []
        for shard, members in wanted.groupby("shard"):
            path = self.folder / f"{shard}.parquet"
            if name in pq.read_schema(path).names:
                chosen = [("run", "in", list(members.run))]
                tables.append(pq.read_table(path, columns=columns, filters=chosen).to_pandas())
        found = pd.concat(tables) if tables else pd.DataFrame(columns=columns)
        return found[found[name].notna()].reset_index(drop=True)


def curve_table(
    names: list[str],
    evaluations: dict[str, np.ndarray],
    steps: np.ndarray,
    probes: dict[str, np.ndarray],
    probe_every: int,
) -> pa.Table:
    """Rows of a shard: one per run and recorded step, null where nothing was measured.

    Args:
      names: r run names.
      evaluations: column -> float32 (e, r); the training loss has no value at step 0.
      steps: int (e,), the evaluated steps.
      probes: column -> float32 (l, r, k), after steps 0, probe_every, …
      probe_every: cadence of `probes`.
    """
    times = max((len(values) for values in probes.values()), default=0)
    probe_steps = np.arange(times) * probe_every
    every = np.union1d(steps, probe_steps).astype(int)
    at_eval, at_probe = np.searchsorted(every, steps), np.searchsorted(every, probe_steps)
    columns: dict[str, Any] = {
        "run": pa.array(np.repeat(names, len(every))).dictionary_encode(),
        "step": pa.array(np.tile(every, len(names)).astype(np.int32)),
    }
    for column, found in evaluations.items():
        values = np.full((len(names), len(every)), np.nan, np.float32)
        values[:, at_eval] = found.T
        masked = np.ones(values.shape, bool)
        masked[:, at_eval] = False
        masked |= (column == TRAIN_LOSS) & (every == 0)
        columns[column] = pa.array(values.ravel(), mask=masked.ravel())
    for column, found in probes.items():
        columns[column] = _list_column(found, at_probe, len(every), len(names))
    return pa.table(columns)


def _list_column(values: np.ndarray, at: np.ndarray, rows: int, runs: int) -> pa.Array:
    present = np.zeros((runs, rows), bool)
    present[:, at] = True
    lengths = present.ravel() * values.shape[-1]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    flat = np.moveaxis(values, 0, 1).astype(np.float32).ravel()
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(flat), mask=pa.array(~present.ravel())
    )


def write_shard(folder: Path, name: str, header: dict[str, Any], table: pa.Table) -> Path:
    """Writes ``<task>/<name>.parquet`` and ``.json`` under `folder`, whole or not at all.

    Returns:
      The path of the header.

    Raises:
      RecordsError: the folder cannot be written.
    """
    target = folder / header["task"]["name"]
    try:
        target.mkdir(parents=True, exist_ok=True)
        parquet, document = target / f"{name}.parquet", target / f"{name}.json"
        beside = target / f".{name}.{os.getpid()}"
        pq.write_table(table, beside, compression="zstd", compression_level=9)
        beside.replace(parquet)
        beside.write_text(json.dumps({"format": FORMAT, **header}, indent=1, sort_keys=True) + "\n")
        beside.replace(document)
    except OSError as error:
        raise RecordsError(f"cannot write records to {target}: {error.strerror}") from error
    return document


def check_writable(folder: Path) -> None:
    """Fails before training when `folder` could not take a record.

    Raises:
      RecordsError: it cannot be created or written.
    """
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise RecordsError(f"records folder {folder} is not writable: {error.strerror}") from None


def headers(folder: Path) -> dict[str, dict[str, Any]]:
    """Headers of all complete shards by shard (path under `folder` without suffix).

    Raises:
      RecordsError: a header that is not valid JSON, of another format, or without its curves.
    """
    found = {}
    for path in sorted(Path(folder).glob("*/*.json")):
        try:
            header = json.loads(path.read_text())
        except ValueError as error:
            raise RecordsError(f"record header {path} is damaged: {error}") from None
        if header.get("format") not in READABLE:
            raise RecordsError(
                f"{path} has record format {header.get('format')}; this version reads "
                f"{' and '.join(map(str, READABLE))}"
            )
        if not path.with_suffix(".parquet").exists():
            raise RecordsError(f"{path} has no curves beside it ({path.stem}.parquet)")
        found[path.relative_to(folder).with_suffix("").as_posix()] = header
    return found


def finished(folder: Path) -> set[str]:
    """Names of the runs that have a record (diverged ones count: they are results)."""
    return {run["run"] for header in headers(folder).values() for run in header["runs"]}


def load(folder: str | Path) -> Records:
    """Reads all shards under `folder`; a run recorded twice counts once (the newer record).

    Laws are read on demand, see `Records.laws`.

    Raises:
      RecordsError: a shard is damaged.
    """
    folder = Path(folder)
    shards = sorted(headers(folder).items(), key=lambda item: (item[1].get("created", ""), item[0]))
    rows = [row for shard, header in shards for row in _run_rows(shard, header)]
    judged = {shard: of_header(header) for shard, header in shards}
    metrics = {header["task"]["name"]: judged[shard] for shard, header in shards}
    runs = pd.DataFrame(rows, columns=FIELDS)
    runs = runs.drop_duplicates("run", keep="last").reset_index(drop=True)
    curves = [
        _curves(folder, shard, part, judged[shard])
        for shard, part in runs.groupby("shard", sort=True)
    ]
    columns = columns_of(CLASSIFICATION, batch_means=True)
    empty = pd.DataFrame(columns=["run", "step", *columns])
    curves = pd.concat(curves, ignore_index=True) if curves else empty
    return Records(runs, curves, folder, metrics)


def _run_rows(shard: str, header: dict[str, Any]) -> list[dict[str, Any]]:
    optimizer, task, protocol = (header[key] for key in ("optimizer", "task", "protocol"))
    common = {
        "shard": shard,
        "task": task["name"],
        "optimizer": optimizer["name"],
        "family": optimizer.get("family"),
        "steps": protocol["steps"],
        "device": header["device"],
        "group": header["group"],
    }
    static = {
        "optimizer": identity.optimizer(optimizer),
        "task": identity.task(task),
        "protocol": protocol,
    }
    return [{**common, **_run_row(run, static, common["family"])} for run in header["runs"]]


def _run_row(run: dict[str, Any], static: dict[str, Any], family: Any) -> dict[str, Any]:
    hyper, settings = run.get("hyper"), run.get("settings", {})
    if hyper is None:  # format 1
        told = ("run", "seed", "status", "diverged_at", "initial_law")
        hyper = {key: value for key, value in run.items() if key not in told}
        settings = {"initial_law": run["initial_law"]} if "initial_law" in run else {}
    return {
        "run": run["run"],
        "seed": run["seed"],
        "role": run.get("role") or roles.of_seed(run["seed"], family),
        "status": run["status"],
        "diverged_at": run["diverged_at"],
        "hyper": identity.canonical(hyper),
        "settings": identity.canonical({**static, "traced": settings}),
    }


def _curves(
    folder: Path, shard: str, runs: pd.DataFrame, metrics: tuple[Metric, ...]
) -> pd.DataFrame:
    path = folder / f"{shard}.parquet"
    columns = [field.name for field in pq.read_schema(path) if not pa.types.is_list(field.type)]
    table = pq.read_table(path, columns=columns)
    evaluated = table[f"validation_{metrics[0].name}"].is_valid()
    frame = table.filter(evaluated).to_pandas()
    frame["run"] = frame["run"].astype(str)
    return frame[frame.run.isin(set(runs.run))]
