"""What the law rate does to the law and to the accuracy, from sweeps that choose no rates.

A law of x in every unit with rates (c₁, c₂) makes the same steps as a law of ones with
(x c₁, c₂ / x). So a law rate below the paper's grid stands for a larger initial law within it.
"""

from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.replication import law_dynamics, paper
from rllc.replication.law_dynamics import LawCurves
from rllc.replication.paper import LAW_RATE, STUDY
from rllc.suite.choose.selection import CELL, with_hyper
from rllc.suite.markdown import shown, span
from rllc.suite.plotting import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RC, VERMILION
from rllc.suite.score import readings
from rllc.suite.score.readings import READINGS
from rllc.suite.show import tables
from rllc.suite.show.figures import thousands
from rllc.suite.table import Column, Table, optimizer_column, seeds_column, task_column
from rllc.suite.templates import render

SWEEP = [*CELL, "learning_rate"]
LAW_RATES = Table((
    task_column(STUDY), optimizer_column(STUDY), Column("learning_rate", "learning rate", "g"),
    Column(LAW_RATE, "law rate", "g"), seeds_column(), Column("diverged"),
    Column("law_left", "law left", lambda row: shown(100 * row.law_left, ".0f", " %")),
    Column("drift", "drift", "+.2f"),
    *(Column(reading, f"accuracy, {reading}", ".2f") for reading in READINGS), Column("loss"),
    Column("paper_accuracy", "paper", ".2f"),
    Column("", "lowest loss", lambda row: shown(row.loss, ".4f")),
    Column("paper_loss", "paper", ".4f"),
))  # fmt: skip
EARLY = 2_000  # steps over which the drift is measured; no law has vanished by then
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE)
PAPER_LINE = "the paper's mean"


def runs(every: pd.DataFrame) -> pd.DataFrame:
    """Full-length runs asked for a question of the cells that have two law rates or more.

    Args:
      every: from `selection.default_variants`.

    Returns:
      Its rows at all learning rates of these cells.
    """
    every = with_hyper(every, [LAW_RATE])
    asked = every[(every.role == "question") & (every.steps == paper.STEPS)]
    asked = asked[asked[LAW_RATE].notna()].drop_duplicates([*CELL, "hyper", "seed"])
    return asked[asked.groupby(CELL)[LAW_RATE].transform("nunique") > 1]


def table(every: pd.DataFrame, records: Any) -> pd.DataFrame:
    """Accuracy and what is left of the law, by law rate.

    Args:
      every: from `selection.default_variants`.
      records: anything with ``curves`` and ``laws(runs)``.

    Returns:
      `LAW_RATES`, in the paper's order: mean test accuracy (%) at each stopping point; ``loss``,
      the lowest test loss along the curve; ``law_left``, the Euclidean norm of the law at the
      last step over that at the start; ``drift``, the change of that norm per step in the first
      `EARLY` steps, over the law rate. Means over seeds without the ``diverged`` runs.
    """
    found = runs(every)
    if found.empty:
        return LAW_RATES.empty()
    values = readings.readings(STUDY, found.assign(tuned=True), records.curves)
    by_run = values.pivot(index="run", columns="reading", values="test_accuracy")
    loss = values[values.reading == "best"].set_index("run").test_loss
    kept = found.status != "diverged"
    law_left, drift = _law_sizes(found, records)
    rows = found.join(by_run, on="run").assign(
        loss=found.run.map(loss), law_left=law_left, drift=drift, diverged=~kept
    )
    measured = [*READINGS, "loss", "law_left", "drift"]
    rows[measured] = rows[measured].where(kept)
    grouped = rows.groupby([*SWEEP, LAW_RATE], sort=True)
    means = grouped[measured].mean()
    counts = grouped.agg(seeds=("seed", "nunique"), diverged=("diverged", "sum"))
    theirs = paper.cells().rename(
        columns={"test_accuracy_mean": "paper_accuracy", "test_loss_mean": "paper_loss"}
    )
    whole = counts.join(means).reset_index()
    whole = whole.merge(theirs[[*CELL, "paper_accuracy", "paper_loss"]], on=CELL, how="left")
    return tables.ordered(STUDY, whole)[LAW_RATES.names]


def _law_sizes(found: pd.DataFrame, records: Any) -> tuple[pd.Series, pd.Series]:
    """Columns ``law_left`` and ``drift`` of `table`, per run."""
    laws = records.laws(found.run).sort_values(["run", "step"])
    laws = laws.assign(size=laws.law.map(np.linalg.norm).astype(float))
    by_run = laws.groupby("run")["size"]
    early = laws[laws.step == EARLY].set_index("run")["size"]
    per_step = found.run.map(early - by_run.first()) / EARLY
    return found.run.map(by_run.last() / by_run.first()), per_step / found[LAW_RATE]


def summary(table: pd.DataFrame) -> str:
    """Accuracy and what is left of the law, a column per law rate; empty without sweeps.

    Args:
      table: from `table`.
    """
    if table.empty:
        return ""
    rates = [f"{rate:g}" for rate in sorted(table[LAW_RATE].unique(), reverse=True)]
    by_rate = Table((
        Column("sweep", "test accuracy (%) by law rate"), *(Column(rate, rate) for rate in rates),
        Column("paper_accuracy", "paper", ".2f"),
    ))  # fmt: skip
    sweeps = [
        _by_rate(str(task), str(optimizer), rate, rows)
        for (task, optimizer, rate), rows in table.groupby(SWEEP, sort=False)
    ]
    wide = by_rate.to_markdown(pd.DataFrame(sweeps))
    return render(__file__, "law_rates.md", n=span(table.seeds), table=wide)


def _by_rate(task: str, optimizer: str, rate: float, rows: pd.DataFrame) -> dict[str, Any]:
    """Accuracies of one sweep, by law rate."""
    return {
        "sweep": f"{paper.pretty(optimizer)}, {paper.title(task)}, learning rate {rate:g}",
        **{f"{row.law_learning_rate:g}": _with_law_left(row) for row in rows.itertuples()},
        "paper_accuracy": rows.paper_accuracy.iloc[0],
    }


def _with_law_left(row: Any) -> str:
    if pd.isna(row.validated):
        return "diverged"
    return f"{row.validated:.2f} ({shown(100 * row.law_left, '.0f', ' %')})"


def figure(every: pd.DataFrame, records: Any, task: str) -> Figure:
    """Test accuracy and size of the law over training by law rate, a column per sweep of a task.

    Diverged runs are not drawn.

    Args:
      every: from `selection.default_variants`, with a sweep of this task.
      records: anything with ``curves`` and ``laws(runs)``.
      task: whose sweeps.
    """
    found = runs(every)
    found = found[found.task == task]
    optimizers = STUDY.row_order(found.optimizer)
    sweeps = sorted(
        found.groupby(["optimizer", "learning_rate"]), key=lambda s: optimizers.index(s[0][0])
    )
    n = span(found.groupby([*SWEEP, LAW_RATE]).seed.nunique())
    shades = dict(zip(sorted(found[LAW_RATE].unique()), cycle(COLOURS), strict=False))
    with mpl.rc_context(RC):
        drawn = Figure(figsize=(max(6.4, 3.4 * len(sweeps)), 5.2), layout="constrained")
        axes = drawn.subplots(2, len(sweeps), squeeze=False, sharex=True, sharey="row")
        for (accuracy, law), ((optimizer, rate), members) in zip(axes.T, sweeps, strict=True):
            accuracy.set_title(f"{paper.latex(optimizer)}, learning rate {rate:g}")
            for law_rate, at in members[members.status != "diverged"].groupby(LAW_RATE):
                _accuracy(accuracy, at, records.curves, shades[law_rate], law_rate)
                _law(law, law_dynamics.law_curves(records, at, task, optimizer), shades[law_rate])
            _paper_line(accuracy, task, optimizer)
            law.axhline(0, color=BLACK, linewidth=0.6)
            law.set_xlabel("iteration")
            law.xaxis.set_major_formatter(thousands)
        axes[0, 0].set_ylabel("test accuracy (%)")
        axes[0, 0].set_ylim(*_limits(axes[0]))
        axes[1, 0].set_ylabel("norm of the law, start = 1")
        labels = {
            label: handle
            for panel in axes[0]
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        order = [label for label in (*map(_named, shades), PAPER_LINE) if label in labels]
        drawn.legend(
            [labels[label] for label in order], order, loc="outside lower center", ncols=len(order),
            title=f"lines: mean over seeds (n = {n}); no band", title_fontproperties={"size": 8},
        )  # fmt: skip
        drawn.suptitle(f"Law rate, {paper.title(task)}", fontsize=11)
    return drawn


def _accuracy(
    axes: Axes, at: pd.DataFrame, curves: pd.DataFrame, colour: str, law_rate: float
) -> None:
    here = curves[curves.run.isin(set(at.run))]
    mean = 100 * here.groupby("step").test_accuracy.mean().astype(float)
    axes.plot(mean.index, mean, color=colour, label=_named(law_rate))


def _named(law_rate: float) -> str:
    return f"law rate {law_rate:g}"


def _law(axes: Axes, curves: LawCurves | None, colour: str) -> None:
    if curves is None:
        return
    size = np.linalg.norm(curves.law, axis=2)
    axes.plot(curves.steps, np.nanmean(size / size[:, :1], axis=0), color=colour)


def _paper_line(axes: Axes, task: str, optimizer: str) -> None:
    theirs = paper.cells()
    theirs = theirs[(theirs.task == task) & (theirs.optimizer == optimizer)]
    for value in theirs.test_accuracy_mean:
        axes.axhline(value, color=GREY, linestyle="--", linewidth=1, label=PAPER_LINE)


def _limits(panels: np.ndarray) -> tuple[float, float]:
    """Room for the paper's means and for everything after the first tenth of training."""
    lines = [np.asarray(line.get_ydata(), float) for axes in panels for line in axes.lines]
    if not lines:
        return 0.0, 100.0
    shown = np.concatenate([line[len(line) // 10 :] for line in lines])
    return np.nanmin(shown) - 0.5, np.nanmax(shown) + 0.5
