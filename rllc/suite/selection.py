"""Hyperparameters chosen on validation data, from the records of tuning runs.

The rule: the point of the grid with the best value of a metric (its task's leading one) on
validation data along the curve, averaged over the tuning seeds; a run that diverged counts as
infinitely bad. Training stops where that metric is best, too (`readings`). Points are compared on
equal terms: those with the most steps, and among them those with the most seeds, so a second
round that gives the best few points more seeds decides among those few.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.metrics import Metric

CANDIDATE = (
    "candidate"  # family of what is only tried in a search (`search`), not a row of the tables
)
FIRST_TUNING_SEED = 100  # tuning and final runs never share a seed
FIRST_QUESTION_SEED = 200  # from here on: sweeps on open questions that choose no rates
CELL = ["task", "optimizer"]
LAW_RATE = "law_learning_rate"
# What is tuned; the last is the one more number that a neighbour tunes, named by ``further``.
RATES = ["learning_rate", LAW_RATE, "further_value"]
RUN_COLUMNS = [
    "run", "shard", *CELL, "family", "seed", *RATES, "further", "initial_law", "epsilon",
    "settings", "steps", "device", "status", "diverged_at",
]  # fmt: skip
CHOICE_COLUMNS = [
    *CELL, *RATES, "further", "metric", "value", "seeds", "grid_seeds", "grid_points", "steps",
    "screened_points", "screened_steps", "diverged_runs", "edge", "edges",
    *(f"runner_up_{key}" for key in (*RATES, "value")),
]  # fmt: skip

Defaults = Mapping[tuple[str, str], str]  # (task, optimizer label) -> variant


def variant(settings: Mapping[str, Any], initial_law: Any, epsilon: float | None) -> str:
    """Canonical JSON of every setting that makes a run another experiment, rates and seed aside.

    Args:
      settings: the record's ``optimizer``, ``task`` and ``protocol`` tables.
      initial_law: L_0 as recorded (numbers or a name), None or NaN for optimizers without a law.
      epsilon: relaxation of the pseudo-inverse, None or NaN where there is none.
    """
    protocol = settings.get("protocol", {})
    is_list = isinstance(initial_law, list | tuple | np.ndarray)
    law = list(initial_law) if is_list else None if pd.isna(initial_law) else initial_law
    epsilon = None if epsilon is None or np.isnan(epsilon) else float(epsilon)
    parts = {"optimizer": settings.get("optimizer"), "task": settings.get("task")}
    data = {key: protocol.get(key) for key in ("batch_size", "data")}
    return json.dumps({**parts, **data, "initial_law": law, "epsilon": epsilon}, sort_keys=True)


def tidy(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` with a column ``variant``, rates of six digits, and runs on made-up data left out.

    Rehearsals on synthetic data are kept only where there is nothing else.
    """
    runs = runs.reindex(columns=list(dict.fromkeys([*runs.columns, *RUN_COLUMNS])))
    runs["further"] = runs.further.astype(object).fillna("")
    for rate in RATES:
        runs[rate] = [float(f"{float(x):.6g}") for x in runs[rate].astype(float)]
    parsed = {text: json.loads(text) for text in runs.settings.unique()} if len(runs) else {}
    settings = [parsed[text] for text in runs.settings]
    rows = zip(settings, runs.initial_law, runs.epsilon, strict=True)
    runs["variant"] = [variant(*row) for row in rows]
    made_up = [s.get("protocol", {}).get("data") == "synthetic" for s in settings]
    kept = runs if all(made_up) else runs[~np.array(made_up, bool)]
    return kept.reset_index(drop=True)


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
    """The rows of `runs` that choose rates, by their seeds."""
    return runs[(runs.seed >= FIRST_TUNING_SEED) & (runs.seed < FIRST_QUESTION_SEED)]


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
    tuning = tuning.drop_duplicates([*CELL, *RATES, "steps", "seed"], keep="last")
    return tuning.assign(value=lowest_or_highest(tuning, curves, metric))


def tuning_points(runs: pd.DataFrame, curves: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Grid points of the tuning runs, one row each.

    Args:
      runs: from `tidy`, of one variant per cell.
      curves: evaluations.
      metric: see `lowest_or_highest`.

    Returns:
      Columns task, optimizer, rates, further, steps, value (mean over seeds), seeds, diverged.
    """
    tuning = tuning_values(runs, curves, metric)
    tuning = tuning.assign(diverged=tuning.status == "diverged")
    grouped = tuning.groupby([*CELL, *RATES, "further", "steps"], dropna=False, sort=True)
    points = grouped.agg(
        value=("value", "mean"), seeds=("seed", "nunique"), diverged=("diverged", "sum")
    )
    return points.reset_index()


def choose(points: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Chosen hyperparameters with their evidence, one row per cell (`CHOICE_COLUMNS`).

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
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=CHOICE_COLUMNS)


def _choice(points: pd.DataFrame, metric: Metric) -> dict[str, Any]:
    is_long = points.steps == points.steps.max()
    longest, tried = points[is_long], points[RATES].drop_duplicates()
    shorter = points[~is_long][RATES].drop_duplicates()
    kept = longest[RATES].drop_duplicates().merge(shorter, how="inner")  # NaN equals NaN
    screened = len(tried) > len(longest) == len(kept)
    ascending = [metric.lower, *[True] * len(RATES)]
    order = longest.sort_values(["value", *RATES], ascending=ascending)
    chosen = order[order.seeds == order.seeds.max()].iloc[0]
    others = order.drop(index=chosen.name)
    runner_up = others.iloc[0] if len(others) else None
    further = points["further"].iloc[0] if "further" in points else ""
    tried = tried.rename(columns={"further_value": further})
    edges = [
        edge
        for name, rate in zip(tried, RATES, strict=True)
        for edge in _edges(tried[name], chosen[rate])
    ]
    return {
        **{rate: chosen[rate] for rate in RATES},
        "further": further,
        **{key: chosen[key] for key in ("value", "seeds", "steps")},
        "grid_seeds": longest.seeds.min(),
        "grid_points": len(longest),
        "screened_points": len(tried) if screened else 0,
        "screened_steps": points.steps[~is_long].max() if screened else 0,
        "diverged_runs": points.diverged.sum(),
        "edge": bool(edges),
        "edges": "; ".join(edges),
        **{f"runner_up_{key}": _of(runner_up, key) for key in (*RATES, "value")},
    }


def _of(row: pd.Series | None, key: str) -> float:
    return np.nan if row is None else row[key]


def _edges(tried: pd.Series, chosen: float) -> list[str]:
    """Names of the ends of a one-rate grid that the chosen value lies on."""
    if tried.nunique() < 2:
        return []
    ends = {"lowest": tried.min(), "highest": tried.max()}
    return [f"{name} {tried.name}" for name, end in ends.items() if chosen == end]


def write_choices(choices: pd.DataFrame, path: Path) -> None:
    """Writes `choices.csv`: the same choices give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = choices.sort_values(CELL).reset_index(drop=True)
    for column in ("value", "runner_up_value"):
        table[column] = [f"{x:.6f}" if np.isfinite(x) else str(x) for x in table[column]]
    table.to_csv(path, index=False, columns=CHOICE_COLUMNS, lineterminator="\n")


def read_choices(path: Path) -> pd.DataFrame:
    """Reads `choices.csv`; a missing file is an empty table."""
    if not path.exists():
        return pd.DataFrame(columns=CHOICE_COLUMNS)
    choices = pd.read_csv(path).reindex(columns=CHOICE_COLUMNS)
    return choices.assign(further=choices.further.astype(object).fillna(""))


def chosen_rates(choices: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """Chosen rates by (task, optimizer), without those an optimizer does not have.

    This is what a training script looks up for a rate given as ``auto``.
    """
    rows = choices.to_dict("records")
    return {
        (row["task"], row["optimizer"]): {
            row["further"] if rate == "further_value" else rate: float(row[rate])
            for rate in RATES
            if pd.notna(row[rate])
        }
        for row in rows
    }
