"""Which value along a curve the paper may have reported, beside what agreement is worth.

Counts of cells that agree mean nothing without their null: the paper's own momentum SGD number,
given for every RLLC cell of its task, without any run of ours.
"""

from typing import Any

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import STUDY
from rllc.suite.choose.selection import CELL
from rllc.suite.score import readings
from rllc.suite.score.readings import READINGS
from rllc.suite.score.statistics import pooled_std
from rllc.suite.table import Column, Table, csv_only
from rllc.suite.templates import render

CADENCE = 1_000  # steps between evaluations; chosen because it fits the MLP baselines best
LIKELY = f"best_{CADENCE}"
NULL = "Momentum SGD"
LOSS_TOLERANCE = 5.0  # per cent, set when medians were known; the paper has no deviations of losses
REPORTED_CELLS = Table(csv_only(
    "reading", *CELL, "seeds", "diverged", "accuracy", "loss", "paper_accuracy", "paper_loss",
    "null_accuracy", "null_loss", "accuracy_difference", "loss_difference_percent",
    "null_difference", "null_loss_percent", "tolerance", "agrees", "null_agrees",
    "loss_agrees", "null_loss_agrees",
))  # fmt: skip
AGREEMENT = Table((
    Column("reading", "reading", lambda row: f"`{row.reading}`"),
    Column("baselines", "baselines that agree"), Column("rllc", "RLLC cells that agree"),
    Column("every", "together"),
    Column("baseline_difference", "mean difference, baselines (points)", "+.2f"),
    Column("rllc_distance", "mean distance, RLLC (points)", ".2f"),
    Column("loss_distance", "median distance of the loss (%)", ".1f"),
    Column("baseline_losses", "baselines whose loss agrees"),
    Column("rllc_losses", "RLLC cells whose loss agrees"),
))  # fmt: skip


def table(final: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Every cell at every reading, `LIKELY` included, beside the paper's number and the null's.

    Args:
      final: from `readings.final_runs`.
      curves: evaluations.

    Returns:
      `REPORTED_CELLS`: means over the test examples, then over the ``seeds`` that did not diverge.
      ``tolerance`` (points) is the paper's alone and so the same for every reading and the null: 2
      deviations between two means of its 3 seeds, the deviation pooled over the task's column, and
      at least `paper.TOLERANCE`; a loss agrees within `LOSS_TOLERANCE`. A cell with a diverged run
      does not agree. ``null_`` columns are of RLLC cells only.
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
    found["null_loss_percent"] = 100 * (found.null_loss / found.paper_loss - 1)
    found["null_difference"] = found.null_accuracy - found.paper_accuracy
    close = found.accuracy_difference.abs() <= found.tolerance
    found["agrees"] = close & (found.diverged == 0)
    found["null_agrees"] = found.null_difference.abs() <= found.tolerance
    near = found.loss_difference_percent.abs() <= LOSS_TOLERANCE
    found["loss_agrees"] = near & (found.diverged == 0)
    found["null_loss_agrees"] = found.null_loss_percent.abs() <= LOSS_TOLERANCE
    places = {
        "reading": [*READINGS, LIKELY], "task": list(paper.TASKS),
        "optimizer": list(paper.OPTIMIZERS),
    }  # fmt: skip
    found = found.sort_values(list(places), key=lambda c: c.map(places[str(c.name)].index))
    return found.reset_index(drop=True)[REPORTED_CELLS.names]


def _theirs() -> pd.DataFrame:
    """The paper's cells with ``tolerance``, ``null_accuracy``, ``null_loss``, NaN for baselines."""
    cells = paper.cells().rename(
        columns={"test_accuracy_mean": "paper_accuracy", "test_loss_mean": "paper_loss"}
    )
    spread = cells.groupby("task").test_accuracy_std.agg(
        lambda stds: pooled_std(stds, [paper.SEEDS] * len(stds))
    )
    between = 2 * np.sqrt(2 / paper.SEEDS) * cells.task.map(spread)
    null = cells[cells.optimizer == NULL].set_index("task")
    ours = ~cells.optimizer.isin(paper.BASELINES)
    return cells.assign(
        tolerance=np.maximum(paper.TOLERANCE, between),
        null_accuracy=cells.task.map(null.paper_accuracy).where(ours),
        null_loss=cells.task.map(null.paper_loss).where(ours),
    )


def page(found: pd.DataFrame) -> str:
    """Agreement by reading, beside the null.

    Args:
      found: from `table`.
    """
    rows = [_agreement(*group) for group in found.groupby("reading", sort=False)]
    cells = found.drop_duplicates(CELL)
    return render(
        __file__, "reported.md", agreement=AGREEMENT.to_markdown(pd.DataFrame(rows)), paper=paper,
        rllc=cells[cells.null_accuracy.notna()], likely=LIKELY, cadence=CADENCE, null=NULL,
        loss_tolerance=LOSS_TOLERANCE,
    )  # fmt: skip


def _agreement(reading: str, rows: pd.DataFrame) -> dict[str, Any]:
    """A row of `AGREEMENT`."""
    ours = rows.null_accuracy.notna()
    parts = {"baselines": rows[~ours], "rllc": rows[ours], "every": rows}
    return {
        "reading": reading,
        **{name: f"{part.agrees.sum()} of {len(part)}" for name, part in parts.items()},
        "baseline_difference": rows.accuracy_difference[~ours].mean(),
        "rllc_distance": rows.accuracy_difference[ours].abs().mean(),
        "loss_distance": rows.loss_difference_percent.abs().median(),
        "baseline_losses": f"{rows.loss_agrees[~ours].sum()} of {(~ours).sum()}",
        "rllc_losses": f"{rows.loss_agrees[ours].sum()} of {ours.sum()}",
    }
