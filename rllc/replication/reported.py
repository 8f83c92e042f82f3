"""Which value along a curve the paper may have reported, beside what agreement is worth.

Counts of cells that agree mean nothing without their null: the paper's own momentum SGD number,
given for every RLLC cell of its task, without any run of ours.
"""

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import STUDY
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import markdown_table
from rllc.suite.score import readings
from rllc.suite.score.readings import READINGS
from rllc.suite.score.statistics import pooled_std

CADENCE = 1_000  # steps between evaluations; chosen because it fits the MLP baselines best
LIKELY = f"best_{CADENCE}"
NULL = "Momentum SGD"
COLUMNS = [
    "reading", *CELL, "seeds", "diverged", "accuracy", "loss", "paper_accuracy", "paper_loss",
    "null_accuracy", "accuracy_difference", "loss_difference_percent", "null_difference",
    "tolerance", "agrees", "null_agrees",
]  # fmt: skip


def table(final: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Every cell at every reading, `LIKELY` included, beside the paper's number and the null's.

    Args:
      final: from `readings.final_runs`.
      curves: evaluations.

    Returns:
      `COLUMNS`: means over the test examples, then over the ``seeds`` that did not diverge.
      ``tolerance`` (points) is the paper's alone and so the same for every reading and the null: 2
      deviations between two means of its 3 seeds, the deviation pooled over the task's column, and
      at least `paper.TOLERANCE`. A cell with a diverged run does not agree. ``null_`` columns are
      of RLLC cells only.
    """
    rows = pd.concat(
        [
            readings.readings(STUDY, final, curves),
            readings.best_every(STUDY, final, curves, CADENCE),
        ]
    )
    ours = readings.summarize(STUDY, rows)[[
        "reading", *CELL, "seeds", "diverged", "test_accuracy_mean", "test_loss_mean",
    ]].rename(columns={"test_accuracy_mean": "accuracy", "test_loss_mean": "loss"})  # fmt: skip
    found = _theirs().merge(ours, on=CELL)
    found["accuracy_difference"] = found.accuracy - found.paper_accuracy
    found["loss_difference_percent"] = 100 * (found.loss / found.paper_loss - 1)
    found["null_difference"] = found.null_accuracy - found.paper_accuracy
    close = found.accuracy_difference.abs() <= found.tolerance
    found["agrees"] = close & (found.diverged == 0)
    found["null_agrees"] = found.null_difference.abs() <= found.tolerance
    places = {
        "reading": [*READINGS, LIKELY], "task": list(paper.TASKS),
        "optimizer": list(paper.OPTIMIZERS),
    }  # fmt: skip
    found = found.sort_values(list(places), key=lambda c: c.map(places[str(c.name)].index))
    return found.reset_index(drop=True)[COLUMNS]


def _theirs() -> pd.DataFrame:
    """The paper's cells with ``tolerance`` and ``null_accuracy``, NaN for baselines."""
    cells = paper.cells().rename(
        columns={"test_accuracy_mean": "paper_accuracy", "test_loss_mean": "paper_loss"}
    )
    spread = cells.groupby("task").test_accuracy_std.agg(
        lambda stds: pooled_std(stds, [paper.SEEDS] * len(stds))
    )
    between = 2 * np.sqrt(2 / paper.SEEDS) * cells.task.map(spread)
    null = cells[cells.optimizer == NULL].set_index("task").paper_accuracy
    return cells.assign(
        tolerance=np.maximum(paper.TOLERANCE, between),
        null_accuracy=cells.task.map(null).where(~cells.optimizer.isin(paper.BASELINES)),
    )


def to_markdown(found: pd.DataFrame) -> str:
    """Agreement by reading, beside the null.

    Args:
      found: from `table`.
    """
    head = [
        "reading", "baselines that agree", "RLLC cells that agree", "together",
        "mean difference, baselines (points)", "mean distance, RLLC (points)",
        "median distance of the loss (%)",
    ]  # fmt: skip
    body = [
        _row(reading, found[found.reading == reading])
        for reading in (*READINGS, LIKELY)
        if (found.reading == reading).any()
    ]
    cells = found.drop_duplicates(CELL)
    rllc = cells[cells.null_accuracy.notna()]
    null = (
        f"The null, the paper's own {NULL} number for every RLLC cell of its task, agrees in "
        f"{rllc.null_agrees.sum()} of {len(rllc)} RLLC cells, with "
        f"{rllc.null_difference.abs().mean():.2f} points of mean distance."
    )
    return "\n\n".join([_INTRO, markdown_table(head, body), null, _RULE]) + "\n"


def _row(reading: str, rows: pd.DataFrame) -> list[str]:
    ours = rows.null_accuracy.notna()
    counts = [f"{part.agrees.sum()} of {len(part)}" for part in (rows[~ours], rows[ours], rows)]
    return [
        f"`{reading}`", *counts, f"{rows.accuracy_difference[~ours].mean():+.2f}",
        f"{rows.accuracy_difference[ours].abs().mean():.2f}",
        f"{rows.loss_difference_percent.abs().median():.1f}",
    ]  # fmt: skip


_INTRO = (
    "# Which number did the paper report?\n\nOur final runs (rates chosen on validation data) at "
    "four readings of a curve, against the paper's Tables 1 and 2; means over all test examples. "
    f"`{LIKELY}` is the best value among evaluations every {CADENCE:,} steps: the paper's likely "
    "reading, and exploratory, as the cadence was chosen by its fit. It stops on test data, so it "
    "is never a number of ours."
)
_RULE = (
    "A cell agrees within max("
    f"{paper.TOLERANCE} points, 2 deviations between two means of the paper's three seeds), the "
    "deviation being the paper's, pooled over the task's column: it does not grow with our noise, "
    "and is the same for the null."
)
