"""Curves and probes over training, thinned and rounded so that a page can carry all of them.

The mean over the runs that did not diverge and its 95 % interval (Student's t at each step); every
seed of test values and probes.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from rllc.suite.metrics import TRAIN_LOSS
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.page.cells import short
from rllc.suite.study import Study

MOST = 61  # points of a line
DIGITS = 5


def quantities(study: Study, task: str) -> dict[str, tuple[str, float]]:
    """What is drawn of a task: a name for people -> column of the curves and its scale."""
    leading, loss = study.leading(task), study.loss(task)
    found = {
        f"{split} {metric.with_unit}": (metric.column(split), metric.scale)
        for metric in dict.fromkeys([leading, loss])
        for split in ("test", "validation")
    }
    return {**found, "training loss": (TRAIN_LOSS, 1.0)}


def of_task(a: Analysis, task: str) -> dict[str, Any]:
    """Everything over steps of one task: ``curves`` and ``probes``, by optimizer."""
    final = a.final[a.final.task == task]
    curves = a.records.curves[a.records.curves.run.isin(set(final.run))]
    wanted = quantities(a.study, task)
    return {
        "curves": {
            str(label): _curves(members, curves, wanted)
            for label, members in final.groupby("optimizer", sort=True)
        },
        "probes": probes(a, final),
    }


def _curves(
    runs: pd.DataFrame, curves: pd.DataFrame, wanted: dict[str, tuple[str, float]]
) -> dict[str, Any]:
    here = curves[curves.run.isin(set(runs.run))]
    found: dict[str, Any] = {}
    for name, (column, scale) in wanted.items():
        if column not in here or here[column].isna().all():
            continue
        wide = here.pivot(index="step", columns="run", values=column).astype(float)
        drawn = line(scale * wide.dropna(how="all"), runs)
        found[name] = drawn if name.startswith("test ") else {**drawn, "seeds": {}}
    return found


def line(wide: pd.DataFrame, runs: pd.DataFrame) -> dict[str, Any]:
    """Steps, mean, interval and seeds of one line.

    Args:
      wide: (step, run).
      runs: with run, seed and status; those that diverged are no part of the mean.
    """
    runs = runs.sort_values("seed")
    values = wide.reindex(columns=list(runs.run)).to_numpy(float)
    at = thinned(len(values))
    good = (runs.status != "diverged").to_numpy()
    mean, low, high = student(values[at][:, good])
    return {
        "steps": [int(step) for step in wide.index[at]],
        "mean": rounded(mean), "low": rounded(low), "high": rounded(high),
        "seeds": {
            str(seed): rounded(column) for seed, column in zip(runs.seed, values[at].T, strict=True)
        },
    }  # fmt: skip


def thinned(count: int, most: int = MOST) -> np.ndarray:
    """Indices of at most so many of `count` points, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def student(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the last axis and the ends of its 95 % interval; NaN ends for one value.

    Args:
      values: (e, s), NaN where there is none.
    """
    n = np.isfinite(values).sum(axis=1)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # steps without a value, or with one
        mean = np.nanmean(np.where(np.isfinite(values), values, np.nan), axis=1)
        spread = np.nanstd(np.where(np.isfinite(values), values, np.nan), axis=1, ddof=1)
        half = stats.t.ppf(0.975, np.maximum(n - 1, 1)) * spread / np.sqrt(n)
    half = np.where(n > 1, half, np.nan)
    return mean, mean - half, mean + half


def rounded(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Numbers for JSON, None where there is none."""
    return [short(value, DIGITS) for value in values]


def probes(a: Analysis, final: pd.DataFrame) -> dict[str, Any]:
    """Probe -> optimizer -> one line per component."""
    found: dict[str, Any] = {}
    for label, runs in final.groupby("optimizer", sort=True):
        for name in probe_names(a, runs):
            read = a.records.probe(name, runs.run)
            found.setdefault(name, {})[str(label)] = _components(read, name, runs)
    return found


def probe_names(a: Analysis, runs: pd.DataFrame) -> list[str]:
    """Columns of lists in the files of some runs: what was probed."""
    schemas = [pq.read_schema(a.records.folder / f"{file}.parquet") for file in set(runs.shard)]
    return sorted({f.name for schema in schemas for f in schema if pa.types.is_list(f.type)})


def _components(read: pd.DataFrame, name: str, runs: pd.DataFrame) -> list[dict[str, Any]]:
    if read.empty:
        return []
    steps = np.unique(read.step)
    read = read[read.step.isin(steps[thinned(len(steps))])]
    values = np.stack(read[name].to_list())
    return [
        line(
            read.assign(value=values[:, k]).pivot(index="step", columns="run", values="value"), runs
        )
        for k in range(values.shape[1])
    ]
