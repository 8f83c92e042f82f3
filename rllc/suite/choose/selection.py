"""Hyperparameters chosen on validation data, from the records of tuning runs.

The rule: the point of the grid with the best value of a metric (its task's leading one) on
validation data along the curve, averaged over the tuning seeds; a run that diverged counts as
infinitely bad. Training stops where that metric is best, too (`readings`). Points are compared on
equal terms: those with the most steps, and among them those with the most seeds, so a second
round that gives the best few points more seeds decides among those few.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.errors import RecordsError
from rllc.suite.metrics import Metric
from rllc.suite.records import FIELDS, identity
from rllc.suite.records.folders import whole
from rllc.suite.records.identity import canonical
from rllc.suite.records.roles import CHOOSING
from rllc.suite.records.shards import file_digest
from rllc.suite.study import Study

CELL = ["task", "optimizer"]
FIRST = "learning_rate"  # hyperparameters are ordered by this one first, then by name
RUN_COLUMNS = [*FIELDS, "variant"]
EVIDENCE = [
    "metric", "value", "seeds", "grid_seeds", "grid_points", "steps", "screened_points",
    "screened_steps", "diverged_runs", "edge", "edges",
]  # fmt: skip
CHOICE_COLUMNS = [*CELL, "hyper", *EVIDENCE, "runner_up_hyper", "runner_up_value"]

Defaults = Mapping[tuple[str, str], str]  # (task, optimizer label) -> variant


def variant(settings: Mapping[str, Any]) -> str:
    """Canonical JSON of every setting that makes a run another experiment, its seed aside.

    Args:
      settings: ``optimizer``, ``task`` and ``protocol``, and ``traced``, the settings among the
        traced numbers (see `records.FIELDS`).
    """
    protocol = settings.get("protocol", {})
    parts = {key: settings.get(key) for key in ("optimizer", "task", "traced")}
    data = {key: protocol.get(key) for key in ("batch_size", "data")}
    return json.dumps({**parts, **data}, sort_keys=True)


def variant_of(run: Any) -> str:
    """The `variant` of a run that is planned.

    Args:
      run: a `plan.Run`.
    """
    return variant(
        {
            "optimizer": identity.optimizer(run.optimizer),
            "task": identity.task(run.task),
            "protocol": run.protocol,
            "traced": run.settings,
        }
    )


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` with a column ``variant``, a column for each hyperparameter, without made-up data.

    Hyperparameters (`hyper_names`) have six digits, in ``hyper``, too; a run that lacks one has
    NaN there. Rehearsals on synthetic data are kept only where there is nothing else.
    """
    runs = runs.reindex(columns=list(dict.fromkeys([*runs.columns, *RUN_COLUMNS])))
    parsed = {text: json.loads(text) for text in runs.settings.unique()}
    runs["variant"] = runs.settings.map({text: variant(s) for text, s in parsed.items()})
    runs["hyper"] = runs.hyper.map({text: _rounded(text) for text in runs.hyper.unique()})
    made_up = runs.settings.map(
        {text: s.get("protocol", {}).get("data") == "synthetic" for text, s in parsed.items()}
    ).astype(bool)
    kept = runs if made_up.all() else runs[~made_up]
    return with_hyper(kept.reset_index(drop=True))


def _rounded(text: str) -> str:
    return canonical({key: float(f"{x:.6g}") for key, x in json.loads(text).items()})


def hyper_names(table: pd.DataFrame, column: str = "hyper") -> list[str]:
    """Names of the hyperparameters in a column of a table, the learning rate first."""
    found = {name for text in table[column].dropna().unique() for name in _names(text)}
    return sorted(found, key=lambda name: (name != FIRST, name))


@functools.cache
def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def hyper_of(text: str) -> dict[str, float]:
    """The hyperparameters in a column ``hyper``, by name, the learning rate first."""
    values = json.loads(text)
    return dict(sorted(values.items(), key=lambda item: (item[0] != FIRST, item[0])))


def name_in_words(name: str) -> str:
    """A hyperparameter's name for people.

    >>> [name_in_words(name) for name in ("law_learning_rate", "learning_rate", "b1")]
    ['law rate', 'learning rate', 'b1']
    """
    return name.replace("_learning_rate", "_rate").replace("_", " ")


def with_hyper(table: pd.DataFrame, also: Iterable[str] = ()) -> pd.DataFrame:
    """`table` with a float column for each hyperparameter of its column ``hyper``.

    Args:
      table: with a column ``hyper``.
      also: names that get a column even where no row has them.
    """
    names = [*hyper_names(table), *also]
    parsed = {text: json.loads(text) for text in table.hyper.dropna().unique()}
    values = {
        name: table.hyper.map({text: h.get(name, np.nan) for text, h in parsed.items()})
        for name in names
    }
    return table.assign(**{name: column.astype(float) for name, column in values.items()})


def same_hyper(runs: pd.DataFrame, hyper: str) -> np.ndarray:
    """Mask of the runs with these hyperparameters, up to their sixth digit."""
    wanted = json.loads(hyper)
    if set(wanted) - set(runs):
        return np.zeros(len(runs), bool)
    names = [*wanted, *(name for name in hyper_names(runs) if name not in wanted)]
    values = np.array([wanted.get(name, np.nan) for name in names], float)
    there = runs[names].to_numpy(float)
    alike: np.ndarray = np.isclose(there, values, rtol=1e-5, atol=0, equal_nan=True).all(axis=1)
    return alike


def default_variants(runs: pd.DataFrame, defaults: Defaults | None = None) -> pd.DataFrame:
    """The rows of `runs` (tidy) that use the default settings of their cell.

    Args:
      runs: from `tidy`.
      defaults: the variant that each cell's configuration gives today. A cell it does not name,
        or of which no run has that variant, falls back on its most common variant.

    Returns:
      Rows of `runs` with ``is_default``, false where a named default had no run.
    """
    if runs.empty:
        return runs.assign(is_default=[])
    kept = []
    for cell, members in runs.groupby(CELL, sort=True):
        counts = members.variant.value_counts()
        common = min(counts[counts == counts.max()].index)
        wanted = (defaults or {}).get(cell, common)
        there = wanted in counts.index
        shown = members[members.variant == (wanted if there else common)]
        kept.append(shown.assign(is_default=there))
    return pd.concat(kept, ignore_index=True)


def variant_by_cell(runs: pd.DataFrame) -> dict[tuple[str, str], str]:
    """The default variant of each cell (task, optimizer) of `default_variants` that has runs."""
    kept = runs[runs.is_default.astype(bool)]
    return {cell: group.iloc[0] for cell, group in kept.groupby(CELL).variant}


def tuning_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of `runs` that choose hyperparameters, by their role."""
    return runs[runs.role.isin(CHOOSING)]


def lowest_or_highest(runs: pd.DataFrame, curves: pd.DataFrame, metric: Metric) -> pd.Series:
    """A metric's best validation value along each run's curve; a diverged run's is infinitely bad.

    Args:
      runs: with run and status.
      curves: evaluations.
      metric: of the runs' tasks.
    """
    worst = -metric.sign * np.inf
    by_run = curves[curves.run.isin(set(runs.run))].groupby("run")[metric.column("validation")]
    best = by_run.min() if metric.lower else by_run.max()
    best = runs.run.map(best).astype(float).fillna(worst)
    return best.where(runs.status != "diverged", worst)


def tuning_values(runs: pd.DataFrame, curves: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """`tuning_runs` with ``value``, see `lowest_or_highest`.

    A seed trained twice for as many steps, evaluated at other steps, counts once: the newer record.
    """
    tuning = tuning_runs(runs)
    tuning = tuning.drop_duplicates([*CELL, "hyper", "steps", "seed"], keep="last")
    return tuning.assign(value=lowest_or_highest(tuning, curves, metric))


def tuning_points(runs: pd.DataFrame, curves: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Grid points of the tuning runs, one row each.

    Args:
      runs: from `tidy`, of one variant per cell.
      curves: evaluations.
      metric: see `lowest_or_highest`.

    Returns:
      Columns task, optimizer, hyper, steps, value (mean over seeds), seeds, diverged, and one for
      each hyperparameter.
    """
    tuning = tuning_values(runs, curves, metric)
    tuning = tuning.assign(diverged=tuning.status == "diverged")
    keys = [*CELL, *hyper_names(tuning), "hyper", "steps"]
    grouped = tuning.groupby(keys, dropna=False, sort=True)
    points = grouped.agg(
        value=("value", "mean"), seeds=("seed", "nunique"), diverged=("diverged", "sum")
    )
    return points.reset_index()


def chosen(study: Study, runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Hyperparameters of every cell, each chosen by its task's leading metric (`choose`).

    Args:
      study: says which metric leads.
      runs: tidy runs, of one variant per cell.
      curves: evaluations.
    """
    parts = [
        choose(tuning_points(members, curves, metric), metric)
        for metric, members in study.by_leading(runs)
    ]
    whole = pd.concat(parts) if parts else pd.DataFrame(columns=CHOICE_COLUMNS)
    return whole.sort_values(CELL, kind="stable").reset_index(drop=True)


def choose(points: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Chosen hyperparameters with their evidence, one row per cell (`CHOICE_COLUMNS`).

    A cell all of whose points diverged has no row: nothing is chosen for it.

    ``edge`` is true where a chosen rate is the lowest or highest of its grid, so that a wider
    grid might do better; ``edges`` names it. ``grid_points`` counts the points trained for
    ``steps``, the most of all, each with at least ``grid_seeds`` seeds; the chosen one has
    ``seeds``. Where these are the few kept of points tried in shorter runs, ``screened_points``
    counts all points and ``screened_steps`` are the most steps of the others; else both are 0.
    """
    rows = [
        {
            "task": task, "optimizer": optimizer, "metric": metric.column("validation"),
            **_choice(members, metric),
        }
        for (task, optimizer), members in points.groupby(CELL, sort=True)
        if np.isfinite(members.value[members.steps == members.steps.max()]).any()
    ]  # fmt: skip
    return with_hyper(pd.DataFrame(rows, columns=CHOICE_COLUMNS))


def _choice(points: pd.DataFrame, metric: Metric) -> dict[str, Any]:
    names = hyper_names(points)
    is_long = points.steps == points.steps.max()
    longest, tried = points[is_long], points.drop_duplicates("hyper")
    kept = longest.hyper.isin(points.hyper[~is_long]).sum()
    screened = len(tried) > len(longest) == kept
    ascending = [metric.lower, *[True] * len(names)]
    order = longest.sort_values(["value", *names], ascending=ascending)
    able = order[np.isfinite(order.value)]
    chosen = able[able.seeds == able.seeds.max()].iloc[0]
    others = order.drop(index=chosen.name)
    runner_up = others.iloc[0] if len(others) else None
    edges = [edge for name in names for edge in _edges(tried[name], chosen[name])]
    return {
        "hyper": chosen.hyper,
        **{key: chosen[key] for key in ("value", "seeds", "steps")},
        "grid_seeds": longest.seeds.min(),
        "grid_points": len(longest),
        "screened_points": len(tried) if screened else 0,
        "screened_steps": points.steps[~is_long].max() if screened else 0,
        "diverged_runs": points.diverged.sum(),
        "edge": bool(edges),
        "edges": "; ".join(edges),
        "runner_up_hyper": "" if runner_up is None else runner_up.hyper,
        "runner_up_value": np.nan if runner_up is None else runner_up.value,
    }


def _edges(tried: pd.Series, chosen: float) -> list[str]:
    """Names of the ends of a one-rate grid that the chosen value lies on."""
    if tried.nunique() < 2:
        return []
    ends = {"lowest": tried.min(), "highest": tried.max()}
    return [f"{name} {tried.name}" for name, end in ends.items() if chosen == end]


def write_choices(choices: pd.DataFrame, path: Path) -> None:
    """Writes `choices.csv`, its checksum beside it: the same choices give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = choices.sort_values(CELL).reset_index(drop=True)
    for column in ("value", "runner_up_value"):
        table[column] = [f"{x:.6f}" if np.isfinite(x) else str(x) for x in table[column]]
    with whole(path) as beside:
        table.to_csv(beside, index=False, columns=CHOICE_COLUMNS, lineterminator="\n")
    with whole(_checksum(path)) as beside:
        beside.write_text(f"{file_digest(path)}  {path.name}\n")  # as `sha256sum -c` reads it


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def read_choices(path: Path) -> pd.DataFrame:
    """Reads `choices.csv`, with a column for each hyperparameter; no file is an empty table.

    Raises:
      RecordsError: the file is empty or damaged, or not the one its checksum beside it is of.
    """
    if not path.exists():
        return pd.DataFrame(columns=CHOICE_COLUMNS)
    beside = _checksum(path)
    try:
        if beside.exists() and beside.read_bytes().split()[:1] != [file_digest(path).encode()]:
            raise ValueError(f"its checksum is not the one in {beside.name}")
        table = pd.read_csv(path, keep_default_na=True)
        if missing := [name for name in (*CELL, "hyper") if name not in table]:
            raise ValueError(f"it has no column {missing[0]}")
        return with_hyper(table.reindex(columns=CHOICE_COLUMNS))
    except (ValueError, OSError) as error:  # pandas' errors of damaged files are ValueErrors
        raise RecordsError(f"{path} is damaged: {error}; `make tables` writes it anew") from None


def chosen_rates(choices: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """Chosen hyperparameters by (task, optimizer).

    This is what a training script looks up for a value given as ``auto``.
    """
    return {(row.task, row.optimizer): json.loads(row.hyper) for row in choices.itertuples()}
