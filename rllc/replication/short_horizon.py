"""Does the law fall because gradients are noisy?

A correction asks what would have been better for one step. Under noise that is a smaller step than
what is best in the long run, the less signal the smaller: the short-horizon bias of Wu et al. 2018,
arXiv 1803.02021. `docs/laws.md` derives for M(0) that the correction is r / (1 + r) − η h on
average, with the power r of the true gradient over that of the noise, and negative at rest whatever
the noise. So it should be lower for smaller batches, fall as the loss falls, and end below zero.

The runs (`conf/experiment/short_horizon.yaml`) have a law rate so small that the law stays where it
begins, and differ in the batch size only: momentum SGD, with the corrections it would have got.
"""

import json
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.replication import paper
from rllc.replication.paper import LAW_RATE, STUDY
from rllc.suite.plotting import BLACK, BLUE, GREEN, ORANGE, RC, VERMILION, grid_figure
from rllc.suite.table import Column, Table, task_column
from rllc.suite.templates import render

OPTIMIZER = "M(0.9)"
YES, REVERSE, MIXED = "yes", "the reverse", "neither"
STILL = 1e-4  # law rate of the runs
BIASES = Table((
    task_column(STUDY), Column("batch_size", "batch size"), Column("step", "steps"),
    Column("seeds"), Column("loss", "training loss", ".4f"),
    Column("correction", "correction", "+.4f"),
    Column("deviation", "deviation over seeds", ".4f"),
))  # fmt: skip
COLOURS = (VERMILION, ORANGE, GREEN, BLUE)
CLAIMS = Table((
    task_column(STUDY), Column("early", "correction in the first window, by batch size"),
    Column("late", "in the last window"), Column("ordered", "larger batches, higher corrections"),
    Column("falls", "falls with the loss"), Column("negative", "ends below zero"),
))  # fmt: skip


def table(every: pd.DataFrame, records: Any) -> pd.DataFrame:
    """`BIASES`: the mean correction between evaluations, by batch size.

    Args:
      every: from `selection.tidy`.
      records: anything with ``curves`` and ``laws(runs)``.

    Returns:
      A row per task, batch size and evaluation after the first: the mean over ``seeds`` of the
      training ``loss`` there and of the ``correction`` per step since the evaluation before, which
      has no unit: the change of the law over its rate.
    """
    runs = _runs(every)
    if runs.empty:
        return BIASES.empty()
    laws = records.laws(runs.run)
    laws = laws.assign(law=laws.law.map(lambda value: float(np.ravel(value)[0])))
    found = records.curves[records.curves.run.isin(runs.run)].merge(laws, on=["run", "step"])
    found = found.merge(runs[["run", "task", "seed", "batch_size"]], on="run")
    found = found.sort_values(["run", "step"])
    between = found.groupby("run")[["law", "step"]].diff()
    found["correction"] = between.law / (between.step * STILL)
    grouped = found.dropna(subset="correction").groupby(["task", "batch_size", "step"])
    rows = grouped.agg(
        seeds=("seed", "nunique"), loss=("train_loss", "mean"),
        correction=("correction", "mean"), deviation=("correction", "std"),
    ).reset_index()  # fmt: skip
    order = {task: i for i, task in enumerate(STUDY.task_order(rows.task))}
    return rows.sort_values(
        ["task", "batch_size", "step"], key=lambda c: c.map(order) if c.name == "task" else c
    )[BIASES.names].reset_index(drop=True)


def _runs(every: pd.DataFrame) -> pd.DataFrame:
    rate = every[LAW_RATE] if LAW_RATE in every else pd.Series(np.nan, every.index)
    asked = every[(every.role == "question") & (every.optimizer == OPTIMIZER) & (rate == STILL)]
    sizes = [json.loads(text)["protocol"]["batch_size"] for text in asked.settings]
    return asked.assign(batch_size=sizes)


def judged(biases: pd.DataFrame) -> pd.DataFrame:
    """`CLAIMS`: what the theory says, by task.

    Args:
      biases: from `table`.

    Returns:
      ``ordered``: in the first window a larger batch has the higher correction, for all pairs of
      neighbours; ``falls``: for every batch size Spearman's correlation of loss and correction is
      above zero; ``negative``: for every batch size the mean of the last window is below zero.
      Each is `YES`, `REVERSE` where the opposite holds throughout, or `MIXED`.
    """
    rows = []
    for task, here in biases.groupby("task", sort=False):
        first, last = (
            here[here.step == step].set_index("batch_size").correction
            for step in (here.step.min(), here.step.max())
        )
        order = [
            part.loss.rank().corr(part.correction.rank()) for _, part in here.groupby("batch_size")
        ]
        rows.append({
            "task": task, "early": _listed(first), "late": _listed(last),
            "ordered": _word(np.diff(first)), "falls": _word(order), "negative": _word(-last),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=CLAIMS.names)


def _word(signs: Any) -> str:
    """Whether all of some numbers are above zero, or all below."""
    values = np.asarray(signs, float)
    return YES if (values > 0).all() else REVERSE if (values < 0).all() else MIXED


def _listed(values: pd.Series) -> str:
    return ", ".join(f"{size}: {value:+.3f}" for size, value in values.items())


def page(biases: pd.DataFrame) -> str:
    """The theory's three predictions against the runs.

    Args:
      biases: from `table`.
    """
    rows = judged(biases)
    return render(
        __file__, "short_horizon.md", judged=CLAIMS.to_markdown(rows), judged_rows=rows,
        reverse=REVERSE, biases=biases, rate=STILL,
    )  # fmt: skip


def figure(biases: pd.DataFrame) -> Figure:
    """Corrections against the training loss, which falls from left to right; a panel per task.

    Args:
      biases: from `table`, not empty.
    """
    tasks = STUDY.task_order(biases.task)
    with mpl.rc_context(RC):
        drawn, axes = grid_figure(1, len(tasks), 5.0 * len(tasks), 4.0)
        for task, panel in zip(tasks, axes.flat, strict=True):
            _panel(panel, biases[biases.task == task])
            panel.set_title(paper.title(task))
        axes[0, 0].legend(title="batch size")
    return drawn


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    for (size, part), colour in zip(rows.groupby("batch_size"), COLOURS, strict=False):
        axes.plot(part.loss, part.correction, ".-", color=colour, label=f"{size:,}")
        low, high = part.correction - part.deviation, part.correction + part.deviation
        axes.fill_between(part.loss, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.axhline(0, color=BLACK, linewidth=0.6)
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xlabel("training loss (nats)")
    axes.set_ylabel("correction per step")
