"""Tables 1 and 2 of the paper from our records, beside the paper's own numbers.

Numbers live in data frames (written as CSV); `typesetting` turns them into Markdown and LaTeX.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.suite import comparisons
from rllc.suite.provenance import FULL
from rllc.suite.readings import READINGS
from rllc.suite.selection import CELL, is_loss

TABLE1 = [
    "optimizer", "task", "reading", "seeds", "steps", "device", "test_loss_mean", "test_loss_std",
    "test_accuracy_mean", "test_accuracy_std", "batch_accuracy_mean", "diverged", "at_chance",
    "training", "tuning", "paper_loss", "paper_accuracy", "loss_difference", "accuracy_difference",
    "excludes_paper", "agrees",
]  # fmt: skip
TABLE2 = [
    "optimizer", "task", "reading", "seeds", "test_accuracy_mean", "test_accuracy_std",
    "batch_accuracy_mean", "batch_accuracy_std", "accuracy_low", "accuracy_high",
    "paper_accuracy", "paper_std", "accuracy_difference", "excludes_paper", "tolerance", "agrees",
]  # fmt: skip


class Mark(NamedTuple):
    """How a number stands in its column; nothing is marked until all three baselines are there.

    Attributes:
      is_best_baseline: the best of the three baselines (the paper's blue).
      beats_baseline: no baseline, and better than the best of them (the paper's green).
      is_best: best of the column (the paper's bold).
    """

    is_best_baseline: bool
    beats_baseline: bool
    is_best: bool


def cells(rows: pd.DataFrame, summary: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """All measured cells and readings with everything a table shows.

    Args:
      rows: from `readings.readings`.
      summary: from `readings.summarize`.
      made: from `provenance.provenance`.

    Returns:
      Rows of `comparisons.beside_paper` with ``training``, ``grid``, ``short_grid`` and
      ``tuning``, in the paper's order.
    """
    table = comparisons.beside_paper(rows, summary)
    table = table.merge(
        made[[*CELL, "training", "grid", "short_grid", "tuning"]], on=CELL, how="left"
    )
    return in_paper_order(table)


def in_paper_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows by the paper's optimizers, then its tasks, then readings; others by alphabet."""
    orders = {
        "optimizer": paper.in_order(table.optimizer, paper.OPTIMIZERS),
        "task": paper.in_order(table.task, paper.TASKS),
        "reading": list(READINGS),
    }
    keys = [column for column in orders if column in table]
    ordered = table.sort_values(keys, key=lambda column: column.map(orders[column.name].index))
    return ordered.reset_index(drop=True)


def marks(table: pd.DataFrame, column: str) -> dict[tuple[str, str], Mark]:
    """Marks of one reading's cells in one column (`test_loss_mean` or `test_accuracy_mean`)."""
    out = {}
    sign = -1 if is_loss(column) else 1
    for task, members in table.groupby("task"):
        value = sign * members[column].set_axis(members.optimizer)
        base = value.reindex(paper.BASELINES)
        top, hardest = (value.max(), base.max()) if base.notna().all() else (np.nan, np.nan)
        for name, x in value.items():
            baseline = name in paper.BASELINES
            out[name, task] = Mark(
                baseline and x == hardest, not baseline and x > hardest, x == top
            )
    return out


def is_reduced(row: pd.Series) -> bool:
    """Whether a cell was trained with fewer seeds or steps than the paper's protocol."""
    return row.training != FULL


def has_short_grid(row: pd.Series) -> bool:
    """Whether a cell's rates come from part of its grid, or from shorter runs."""
    return bool(row.short_grid)


def write_csv(table: pd.DataFrame, columns: list[str], path: Path) -> None:
    """Writes the columns with fixed digits: the same table gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = table.reindex(columns=columns).copy()
    for column in out:
        if pd.api.types.is_float_dtype(out[column]):
            out[column] = [number(x, str(column)) for x in out[column]]
    out.to_csv(path, index=False, lineterminator="\n")


def number(value: float, column: str = "") -> str:
    """A number as the CSV files write it; empty where there is none.

    >>> number(98.12345, "test_accuracy_mean"), number(0.003, "learning_rate")
    ('98.1235', '0.003')
    """
    if pd.isna(value):
        return ""
    return f"{value:.6g}" if "rate" in column or "p_" in column else f"{value:.4f}"
