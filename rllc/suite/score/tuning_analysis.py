"""What tuning tells beyond the choice: sensitivity, tuning budget, speed to a target."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rllc.suite.choose.selection import CELL, tuning_points, tuning_runs
from rllc.suite.metrics import Metric
from rllc.suite.score import comparisons
from rllc.suite.score.provenance import SCREEN_STEPS
from rllc.suite.score.statistics import divergence_rate, expected_best, sensitivity, steps_to_target
from rllc.suite.study import Study
from rllc.suite.table import Table, csv_only


def loss_points(study: Study, runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Grid points of the tuning runs with their lowest validation loss (`tuning_points`).

    Where a task has only metrics to maximise, its distance to a perfect value is the loss.
    """
    tasks = sorted(set(runs.task)) or study.tasks[:1]  # an empty table has columns, too
    parts = []
    for task in tasks:
        metric = study.loss(task)
        points = tuning_points(runs[runs.task == task], curves, metric)
        parts.append(points if metric.lower else points.assign(value=1.0 - points.value))
    return pd.concat(parts, ignore_index=True)


def chosen_by(study: Study, runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The widest grids, each point with what the choice looks at: its task's leading metric."""
    parts = [
        tuning_points(runs[runs.task == task], curves, study.leading(task))
        for task in sorted(set(runs.task)) or study.tasks[:1]
    ]
    return widest(pd.concat(parts, ignore_index=True))


def below_best(values: ArrayLike, metric: Metric) -> np.ndarray:
    """How much worse values are than the best of them: in points of a share, else in percent.

    Of a best value of 0 others are infinitely many percent away.

    Args:
      values: unscaled, any shape, infinite where a run diverged; such a point is infinitely worse.
      metric: theirs.
    """
    found = np.asarray(values, float)
    known = found[np.isfinite(found)]
    if not known.size:
        return np.full(found.shape, np.inf)
    best = known.min() if metric.lower else known.max()
    worse = np.where(np.isfinite(found), np.abs(found - best), np.inf)
    if metric.unit != "%" and not best:
        return np.where(worse > 0, np.inf, 0.0)
    return 100 * worse if metric.unit == "%" else 100 * worse / abs(best)


def loss_name(study: Study, tasks: Iterable[str]) -> str:
    """What `loss_points` has as value, in words: the loss, or what stands for it."""
    names = {study.loss(task): None for task in study.task_order(tasks) or study.tasks}
    return " or ".join(m.in_words if m.lower else f"1 − {m.in_words}" for m in names)


def widest(points: pd.DataFrame) -> pd.DataFrame:
    """Of each cell the most grid points of equal steps; of two such sets the longer.

    Cells of runs too short to tell the best rates are left out, unless there are no others.
    """
    counts = points.groupby([*CELL, "steps"]).size().rename("count").reset_index()
    order = counts.sort_values(["count", "steps"], kind="stable")
    steps = order.drop_duplicates(CELL, keep="last").drop(columns="count")
    kept = points.merge(steps, on=[*CELL, "steps"])
    return kept[kept.steps >= min(SCREEN_STEPS, kept.steps.max())]


def sensitivity_table(points: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """How much the rates matter, one row per cell.

    Args:
      points: from `loss_points`.
      runs: tidy runs, of one variant per cell.

    Returns:
      task, optimizer, steps, grid_points, best (lowest mean validation loss), within_1_percent and
      within_5_percent (fractions of the grid), diverged_share (fraction of the tuning runs).
    """
    tuning = tuning_runs(runs)
    rates = (tuning.status == "diverged").groupby([tuning.task, tuning.optimizer])
    diverged = rates.agg(divergence_rate)
    rows = [
        {
            **dict(zip(CELL, cell, strict=True)),
            "steps": members.steps.iloc[0],
            "grid_points": len(members),
            "best": members.value.min(),
            "within_1_percent": sensitivity(members.value, 0.01),
            "within_5_percent": sensitivity(members.value, 0.05),
            "diverged_share": diverged[cell],
        }
        for cell, members in widest(points).groupby(CELL, sort=True)
    ]
    return pd.DataFrame(rows, columns=SENSITIVITY.names)


SENSITIVITY = Table(csv_only(
    *CELL, "steps", "grid_points", "best", "within_1_percent", "within_5_percent", "diverged_share",
))  # fmt: skip
BUDGET = Table(csv_only(*CELL, "steps", "trials", "expected_best"))


def budget_table(study: Study, points: pd.DataFrame) -> pd.DataFrame:
    """Expected lowest validation loss after n random trials of the grid.

    Columns `BUDGET`; ``steps`` is the length of the trials.
    A diverged point counts with the loss of a guess.

    Args:
      study: says which metrics the tasks have.
      points: from `loss_points`.
    """
    parts = []
    for (task, optimizer), members in widest(points).groupby(CELL, sort=True):
        metric = study.loss(str(task))
        unscaled = metric._replace(scale=1.0)
        values = members.value if metric.lower else 1.0 - members.value
        guess = unscaled.guess_or_worst(values)
        best = expected_best(np.minimum(members.value, guess if metric.lower else 1.0 - guess))
        trials = np.arange(1, len(best) + 1)
        row = {"steps": members.steps.iloc[0], "trials": trials, "expected_best": best}
        parts.append(pd.DataFrame({"task": task, "optimizer": optimizer, **row}))
    return pd.concat(parts, ignore_index=True) if parts else BUDGET.empty()


def target_steps(
    study: Study, final: pd.DataFrame, curves: pd.DataFrame, summary: pd.DataFrame
) -> pd.DataFrame:
    """Steps each final run needs to reach the best baseline's final value on its task.

    Args:
      study: whose baselines, and which metric leads.
      final: from `readings.final_runs`.
      curves: evaluations.
      summary: from `readings.summarize`.

    Returns:
      task, optimizer, seed, baseline, target (as shown), steps (of training), reached (step,
      ``inf`` for a miss); only tasks with all baselines.
    """
    last = summary[summary.reading == "last"]
    best = comparisons.best_baselines(study, last)
    means = last.set_index(CELL)
    parts = []
    for task in sorted(comparisons.complete_tasks(study, last) & set(best)):
        metric, here = study.leading(task), final[final.task == task]
        target = means[f"{metric.column()}_mean"][task, best[task]]
        reached = here.run.map(_reached(curves[curves.run.isin(set(here.run))], metric, target))
        table = here[[*CELL, "seed", "steps"]].assign(baseline=best[task], target=target)
        parts.append(table.assign(reached=reached.to_numpy(float)))
    columns = [*CELL, "seed", "steps", "baseline", "target", "reached"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _reached(curves: pd.DataFrame, metric: Metric, target: float) -> pd.Series:
    wide = curves.pivot(index="run", columns="step", values=metric.column()).astype(float)
    values = metric.sign * metric.scale * wide.to_numpy()
    steps = steps_to_target(wide.columns, values, metric.sign * target)
    return pd.Series(steps, wide.index)


TARGET = Table(csv_only(
    *CELL, "baseline", "target", "runs", "reached_runs", "median_steps", "fewest_steps",
    "baseline_median_steps",
))  # fmt: skip


def target_table(table: pd.DataFrame) -> pd.DataFrame:
    """`target_steps` summarised, one row per cell; medians count a miss as ``inf``."""
    if table.empty:
        return TARGET.empty()
    grouped = table.groupby(CELL, sort=True)
    out = grouped.agg(
        baseline=("baseline", "first"),
        target=("target", "first"),
        runs=("seed", "nunique"),
        reached_runs=("reached", lambda x: int(np.isfinite(x).sum())),
        median_steps=("reached", lambda x: float(np.quantile(x, 0.5, method="higher"))),
        fewest_steps=("reached", "min"),
    ).reset_index()
    medians = out.set_index(CELL).median_steps
    keys = zip(out.task, out.baseline, strict=True)
    out["baseline_median_steps"] = [medians[key] for key in keys]
    return out[TARGET.names]
