"""Records as tables: runs and curves of a folder of shards, probes on demand.

Every table, figure and page is a function of what is read here. Merging machines is copying files.
"""

import datetime
import functools
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rllc.suite.errors import RecordsError
from rllc.suite.metrics import CLASSIFICATION, SPLITS, TRAIN_LOSS, Metric, of_header
from rllc.suite.metrics import columns as columns_of
from rllc.suite.records import identity, roles
from rllc.suite.records.shards import Shard, read, shards

FIELDS = (
    "run", "shard", "task", "optimizer", "family", "role", "seed", "hyper", "settings", "steps",
    "device", "group", "status", "diverged_at", "seconds", "trained_together",
)  # fmt: skip


CLOCKS_DIFFER = datetime.timedelta(hours=1)


class Records(NamedTuple):
    """Everything under a records folder.

    Attributes:
      runs: one row per run (`FIELDS`). ``optimizer`` is its label; ``hyper`` its hyperparameters
        and ``settings`` every other setting, as canonical JSON. ``seconds`` is what its group of
        ``trained_together`` runs took to train and evaluate, NaN where nobody noted it.
      curves: one row per evaluation: run, step, and the columns of all its tasks' metrics (see
        `metrics.columns`), NaN where a task has none of that name.
      folder: where `probe` reads from.
      metrics: of each task, the leading one first.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    folder: Path
    metrics: Mapping[str, tuple[Metric, ...]] = {}

    def laws(self, runs: Iterable[str]) -> pd.DataFrame:
        """Laws over training of the given runs: columns run, step, law (list of k floats)."""
        return self.probe("law", runs)

    def probe(self, name: str, runs: Iterable[str]) -> pd.DataFrame:
        """What a probe read over training: columns run, step and its name (list of k floats)."""
        wanted = self.runs[self.runs.run.isin(list(runs))]
        tables = []
        for shard, members in wanted.groupby("shard"):
            path = self.folder / f"{shard}.parquet"
            whole = _probed(path, path.stat().st_mtime_ns, name)
            if whole is not None:
                chosen = pc.is_in(whole["run"], pa.array(members.run.to_list()))
                tables.append(whole.filter(chosen).to_pandas())
        found = pd.concat(tables) if tables else pd.DataFrame(columns=["run", "step", name])
        return found[found[name].notna()].reset_index(drop=True)

    def probes(self, runs: Iterable[str]) -> list[str]:
        """Names of what was probed of any of the given runs."""
        shown = self.runs.shard[self.runs.run.isin(list(runs))].unique()
        schemas = [pq.read_schema(self.folder / f"{shard}.parquet") for shard in shown]
        return sorted({f.name for schema in schemas for f in schema if pa.types.is_list(f.type)})


@functools.lru_cache(maxsize=64)  # laws are looked at from several sides
def _probed(path: Path, written: int, name: str) -> pa.Table | None:
    """A probe of all runs of a shard that was last written at this time; None if it has not it."""
    del written
    if name not in pq.read_schema(path).names:
        return None
    return pq.read_table(path, columns=["run", "step", name])


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


def load(folder: str | Path, only: Iterable[Path] | None = None) -> Records:
    """Reads all shards under `folder`; a run recorded twice counts once (the newer record).

    A record that says it was made in the future, by a clock that is wrong, is named on stderr and
    counts as older than any other.

    Laws are read on demand, see `Records.laws`.

    Args:
      folder: of the records.
      only: headers in it; None for all.

    Raises:
      RecordsError: a shard is damaged, or its curves are not those of its runs.
    """
    folder = Path(folder)
    wanted = shards(folder) if only is None else [s for path in only for s in read(folder, path)]
    found = sorted(wanted, key=_age)
    rows = [row for shard in found for row in _run_rows(shard)]
    judged = {shard.file: of_header(shard.header) for shard in found}
    metrics = {shard.header["task"]["name"]: judged[shard.file] for shard in found}
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


def _age(shard: Shard) -> tuple[bool, str, str]:
    """Sorts shards from old to new, those of the future first."""
    created = str(shard.header.get("created", ""))
    latest = datetime.datetime.now(datetime.UTC) + CLOCKS_DIFFER
    future = created > latest.isoformat(timespec="seconds")
    if future:
        print(f"{shard.file}: made in the future ({created}); others go first", file=sys.stderr)
    return not future, created, shard.name


def _run_rows(shard: Shard) -> list[dict[str, Any]]:
    header = shard.header
    optimizer, task, protocol = (header[key] for key in ("optimizer", "task", "protocol"))
    common = {
        "shard": shard.file,
        "task": task["name"],
        "optimizer": optimizer["name"],
        "family": optimizer.get("family"),
        "steps": protocol["steps"],
        "device": header["device"],
        "group": header["group"],
        "seconds": header.get("wall_seconds", {}).get("training_and_evaluation", np.nan),
        "trained_together": len(header["runs"]),
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
    frame = frame[frame.run.isin(set(runs.run))]
    if missing := set(runs.run) - set(frame.run):
        raise RecordsError(f"{path} has no curve of run {min(missing)}, which its header names")
    _check_values(path, frame, metrics)
    return frame


def _check_values(path: Path, frame: pd.DataFrame, metrics: tuple[Metric, ...]) -> None:
    """Whether shares are between 0 and 1: a share in percent would be shown a hundredfold."""
    for metric in metrics:
        shares = [f"{split}_{metric.name}" for split in SPLITS if metric.unit == "%"]
        values = frame[[c for c in shares if c in frame]].to_numpy(float)
        bad = values[np.isfinite(values) & ((values < 0) | (values > 1))]
        if bad.size:
            raise RecordsError(
                f"{path}: {metric.name} of {bad[0]:g} is recorded; shares are from 0 to 1"
            )
