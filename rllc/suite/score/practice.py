"""What an optimizer costs and gains in practice, task by task.

Beside the test number of the final runs stand the chance of one run against one of the best
baseline, the time of a step, what tuning cost, what few random trials of the grid would have given,
and the default point's number where there are untuned runs.
"""

from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import CELL, tuning_runs
from rllc.suite.markdown import shown, with_interval
from rllc.suite.metrics import Metric
from rllc.suite.score import comparisons, ranking
from rllc.suite.score.meta_analysis import improvement
from rllc.suite.score.readings import HEADLINE
from rllc.suite.score.statistics import expected_best, mean_interval
from rllc.suite.score.step_times import AGREE, StepTimes
from rllc.suite.study import Study
from rllc.suite.table import Column, Table, csv_only, optimizer_column, seeds_column
from rllc.suite.templates import render

TRIALS = (1, 3, 6)
UNTUNED = ["untuned", "untuned_low", "untuned_high", "untuned_seeds"]
COUNTS = ("grid_points", "tuning_steps", "untuned_seeds")


def practice_table(study: Study, task: str = "", untuned: bool = False) -> Table:
    """The columns of `practice`, written for one task.

    Args:
      study: whose metrics.
      task: which metric is shown; the study's first without.
      untuned: with the columns of untuned runs.
    """
    metric = study.leading(task or study.tasks[0])
    best = "best baseline" if study.baselines else "best optimizer"
    return Table((
        *csv_only("task"), optimizer_column(study), *csv_only("metric"), seeds_column(),
        *csv_only("diverged"), *_number("mean", "low", "high", metric.with_unit, metric.form),
        *(_untuned(metric) if untuned else ()),
        *_number("improvement", "improvement_low", "improvement_high",
                 f"chance to beat the {best}", ".2f"),
        Column("relative_time", "time per step", lambda row: shown(row.relative_time, ".2f", " ×")),
        *csv_only("milliseconds_per_step", "time_device"),
        Column("grid_points", "grid points", lambda row: shown(row.grid_points)),
        Column("failed_share", "failed", lambda row: shown(100 * row.failed_share, ".0f", " %")),
        Column("tuning_steps", "tuning steps", lambda row: shown(row.tuning_steps, ",")),
        *(Column(f"best_of_{k}", f"best of {k}", metric.form) for k in TRIALS),
    ))  # fmt: skip


def _number(value: str, low: str, high: str, title: str, form: str) -> tuple[Column, ...]:
    def text(row: Any) -> str:
        return with_interval(getattr(row, value), getattr(row, low), getattr(row, high), form)

    return (Column(value, title, text), *csv_only(low, high))


def _untuned(metric: Metric) -> tuple[Column, ...]:
    value, low, high, seeds = UNTUNED
    return (*_number(value, low, high, "untuned", metric.form), *csv_only(seeds))


def practice(
    study: Study,
    rows: pd.DataFrame,
    summary: pd.DataFrame,
    runs: pd.DataFrame,
    points: pd.DataFrame,
    times: StepTimes,
    untuned: pd.DataFrame,
) -> pd.DataFrame:
    """One row per cell with final runs, each task's best optimizer first (`practice_table`).

    Args:
      study: whose metrics and baselines.
      rows: from `readings.readings`.
      summary: from `readings.summarize`.
      runs: tidy runs, of one variant per cell.
      points: from `tuning_analysis.chosen_by`.
      times: of steps.
      untuned: as `rows`, of untuned runs.
    """
    columns = practice_table(study, untuned=len(untuned) > 0)
    here = rows[rows.reading == HEADLINE]
    if here.empty:
        return columns.empty()
    table = _results(study, here, "")
    parts = [
        _chances(study, rows, summary), _relative(times.table, here), _tuning(study, runs, points)
    ]  # fmt: skip
    if len(untuned):
        at_default = _results(study, untuned[untuned.reading == HEADLINE], "untuned")
        at_default = at_default.drop(columns=["metric", "diverged"])
        parts.append(at_default.set_axis([*CELL, UNTUNED[3], *UNTUNED[:3]], axis=1))
    for part in parts:
        table = table.merge(part, on=CELL, how="left")
    sign = table.task.map(lambda task: study.leading(task).sign)
    order = {task: place for place, task in enumerate(study.task_order(table.task))}
    table = table.assign(place=table.task.map(order), worth=sign * table["mean"])
    table = table.sort_values(["place", "worth"], ascending=[True, False], kind="stable")
    counts = [name for name in COUNTS if name in table]
    table = table.astype(dict.fromkeys(counts, "Int64"))  # whole, and missing where not known
    return table[columns.names].reset_index(drop=True)


def _results(study: Study, rows: pd.DataFrame, stream: str) -> pd.DataFrame:
    """Mean of the leading metric with its interval, over the runs that did not diverge."""
    found = []
    for (task, optimizer), members in rows.groupby(CELL, sort=True):
        metric = study.leading(str(task))
        lost = members.status == "diverged"
        rng = comparisons.stream(str(task), str(optimizer), stream or HEADLINE)
        interval = mean_interval(members[metric.column()][~lost], rng)
        counts = (members.seed.nunique(), int(lost.sum()))
        found.append((task, optimizer, metric.name, *counts, *interval[:3]))
    names = [*CELL, "metric", "seeds", "diverged", "mean", "low", "high"]
    return pd.DataFrame(found, columns=names)


def _chances(study: Study, rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """How often a run beats one of its task's best baseline, which has no such number itself."""
    field = ranking.field(study, rows, summary)
    found = []
    for t, task in enumerate(field.tasks):
        best = field.value[field.optimizers.index(field.best[t]), t]
        for o, name in enumerate(field.optimizers):
            if name != field.best[t] and np.isfinite(field.value[o, t]).any():
                rng = comparisons.stream("improvement", task, name)
                found.append((task, name, *improvement(field.value[o, t], best, rng)[:3]))
    names = ["improvement", "improvement_low", "improvement_high"]
    return pd.DataFrame(found, columns=[*CELL, *names])


def _relative(times: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Time of a step over that of the task's fastest optimizer with final runs."""
    shown = times.merge(rows[CELL].drop_duplicates(), on=CELL)
    least = shown.groupby("task").milliseconds_per_step.transform("min")
    shown = shown.assign(relative_time=shown.milliseconds_per_step / least)
    return shown.rename(columns={"device": "time_device"})


def _tuning(study: Study, runs: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """What tuning took, and what few random trials of the grid would have given."""
    names = [*CELL, "grid_points", "failed_share", *(f"best_of_{k}" for k in TRIALS)]
    found = []
    for (task, optimizer), members in points.groupby(CELL, sort=True):
        metric = study.leading(str(task))
        values = metric.scale * members.value.to_numpy(float)
        share = float(is_failed(values, metric).mean())
        best = best_of(values, metric)
        at = [best[k - 1] if k <= len(best) else np.nan for k in TRIALS]
        found.append((task, optimizer, len(members), share, *at))
    steps = tuning_runs(runs).groupby(CELL).steps.sum().rename("tuning_steps").reset_index()
    return pd.DataFrame(found, columns=names).merge(steps, on=CELL, how="outer")


def is_failed(values: np.ndarray, metric: Metric) -> np.ndarray:
    """Which points of a grid diverged, or were at their best no better than a guess.

    Args:
      values: best validation values (p,), scaled, infinite where a run diverged.
      metric: theirs.
    """
    at_chance = metric.sign * values <= metric.sign * metric.chance
    return np.asarray(~np.isfinite(values) | at_chance)


def best_of(values: np.ndarray, metric: Metric) -> np.ndarray:
    """Expected best of k random trials without repetition, k = 1 … p (`expected_best`).

    A diverged point counts with a guess, as everywhere.

    Args:
      values: as of `is_failed`.
      metric: theirs.
    """
    guess = metric.guess_or_worst(values)
    if not np.isfinite(guess):
        return np.full(len(values), np.nan)
    return expected_best(np.where(np.isfinite(values), values, guess), metric.lower)


def page(study: Study, table: pd.DataFrame, times: StepTimes) -> str:
    """The table in Markdown, task by task.

    Args:
      study: whose names.
      table: from `practice`.
      times: of steps.
    """
    untuned = "untuned" in table
    sections = [
        (task, rows, practice_table(study, str(task), untuned))
        for task, rows in table.groupby("task", sort=False)
    ]
    devices = sorted(set(table.time_device.dropna()))
    return render(
        __file__, "practice.md", study=study, sections=sections, times=times, devices=devices,
        untuned=untuned, reading=HEADLINE, agree=AGREE,
    )  # fmt: skip
