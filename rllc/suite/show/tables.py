"""The tables of all metrics and of the leading one, beside published numbers where there are any.

Numbers live in data frames (written as CSV); `typesetting` turns them into Markdown and LaTeX.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import CELL
from rllc.suite.score import comparisons
from rllc.suite.score.provenance import FULL, NO_TUNING
from rllc.suite.score.readings import READINGS
from rllc.suite.study import Study
from rllc.suite.table import Table, csv_only


def metrics_table(study: Study, table: pd.DataFrame) -> Table:
    """Columns of the first table: every metric.

    Args:
      study: whose.
      table: from `cells`.
    """
    metrics, leading = study.union(table.task), _leading(study, table)
    names = [metric.name for metric in reversed(metrics)]
    ours = [f"test_{name}_{part}" for name in names for part in ("mean", "std")]
    ours += [f"batch_{name}_mean" for name in leading if f"batch_{name}_mean" in table]
    start = ["optimizer", "task", "reading", "seeds", "steps", "device"]
    columns = [*start, *ours, "diverged", "at_chance", "training", "tuning"]
    if study.published is not None:
        columns += [*(f"{study.source}_{name}" for name in names)]
        columns += [*(f"{name}_difference" for name in names), f"excludes_{study.source}", "agrees"]
    return Table(csv_only(*columns))


def results_table(study: Study, table: pd.DataFrame) -> Table:
    """Columns of the second table: the leading metric, its spread and its interval.

    Args:
      study: whose.
      table: from `cells`.
    """
    columns = ["optimizer", "task", "reading", "seeds"]
    for name in _leading(study, table):
        columns += [f"test_{name}_mean", f"test_{name}_std"]
        batch = [f"batch_{name}_mean", f"batch_{name}_std"]
        columns += [column for column in batch if column in table]
        columns += [f"{name}_low", f"{name}_high"]
        if study.published is not None:
            columns.append(f"{study.source}_{name}")
    if study.published is not None:
        columns.append(f"{study.source}_std")
        columns += [f"{name}_difference" for name in _leading(study, table)]
        columns += [f"excludes_{study.source}", "tolerance", "agrees"]
    return Table(csv_only(*columns))


def _leading(study: Study, table: pd.DataFrame) -> list[str]:
    """Names of the tasks' leading metrics."""
    tasks = study.task_order(table.task) or study.tasks
    return list(dict.fromkeys(study.leading(task).name for task in tasks))


class Mark(NamedTuple):
    """How a number stands in its column; nothing is marked until all baselines are there.

    Attributes:
      is_best_baseline: the best of the baselines.
      beats_baseline: no baseline, and better than the best of them.
      is_best: best of the column.
    """

    is_best_baseline: bool
    beats_baseline: bool
    is_best: bool


def cells(
    study: Study, rows: pd.DataFrame, summary: pd.DataFrame, made: pd.DataFrame
) -> pd.DataFrame:
    """All measured cells and readings with everything a table shows.

    Args:
      study: whose.
      rows: from `readings.readings`.
      summary: from `readings.summarize`.
      made: from `provenance.provenance`.

    Returns:
      Rows of `comparisons.beside_published` with ``training``, ``grid``, ``short_grid`` and
      ``tuning``, in the study's order.
    """
    table = comparisons.beside_published(study, rows, summary)
    table = table.merge(
        made[[*CELL, "training", "grid", "short_grid", "tuning"]], on=CELL, how="left"
    )
    return ordered(study, table)


def ordered(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Rows by the study's optimizers, then its tasks, then readings; others by alphabet."""
    orders = {
        "optimizer": study.row_order(table.optimizer),
        "task": study.task_order(table.task),
        "reading": list(READINGS),
    }
    keys = [column for column in orders if column in table]
    found = table.sort_values(keys, key=lambda column: column.map(orders[column.name].index))
    return found.reset_index(drop=True)


def marks(
    study: Study, table: pd.DataFrame, name: str | None = None
) -> dict[tuple[str, str], Mark]:
    """Marks of one reading's cells by (optimizer, task), in one metric.

    Args:
      study: whose baselines; without any, the best of a column is marked alone.
      table: from `cells`, of one reading.
      name: of the metric, None for the leading one of each task.
    """
    out = {}
    for task, members in table.groupby("task"):
        metric = study.of_column(str(task), f"test_{name}") if name else study.leading(str(task))
        if metric is None:
            continue
        value = metric.sign * members[f"{metric.column()}_mean"].set_axis(members.optimizer)
        base = value.reindex(list(study.baselines))
        top, hardest = (value.max(), base.max()) if base.notna().all() else (np.nan, np.nan)
        for label, x in value.items():
            baseline = label in study.baselines
            out[label, str(task)] = Mark(
                baseline and x == hardest, not baseline and x > hardest, x == top
            )
    return out


def is_reduced(row: pd.Series) -> bool:
    """Whether a cell was trained with fewer seeds or steps than the study's protocol."""
    training: str = row.training
    return training != FULL


def has_short_grid(row: pd.Series) -> bool:
    """Whether a cell's rates come from part of its grid, from shorter runs, or from no tuning."""
    return bool(row.short_grid) or row.grid == NO_TUNING
