"""One figure on the open questions: how far each answer is from the paper, cell by cell."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rllc.replication import paper
from rllc.replication.question_verdicts import Verdict, verdict_on
from rllc.replication.questions import QUESTIONS
from rllc.suite.plotting import BLACK, BLUE, GREY, ORANGE, RC, VERMILION, not_measured
from rllc.suite.score.readings import READINGS

LANES = dict(zip(READINGS, (ORANGE, BLUE, VERMILION), strict=True))
MEASURES = {
    "accuracy_difference": "test accuracy, ours − paper (points)",
    "loss_difference_percent": "test loss, ours − paper (%)",
}


def questions_figure(table: pd.DataFrame) -> Figure:
    """Deviations from the paper, one row of panels per measured question.

    Args:
      table: from `deviations.deviations`.
    """
    asked = [question for question in QUESTIONS if (table.question == question.name).any()]
    answers = [table.answer[table.question == question.name].nunique() for question in asked]
    with mpl.rc_context(RC):
        height = 1.2 + sum(0.75 + 0.32 * count for count in answers)
        figure = Figure(figsize=(9.0, max(2.5, height)), layout="constrained")
        axes = figure.subplots(
            max(1, len(asked)), len(MEASURES), squeeze=False,
            height_ratios=[1.5 + count for count in answers] or [1],
        )  # fmt: skip
        if not asked:
            for panel in axes.flat:
                not_measured(panel)
        for question, row in zip(asked, axes, strict=False):
            here = table[table.question == question.name]
            for measure, panel in zip(MEASURES, row, strict=True):
                _panel(panel, here, measure)
            row[1].set_yticklabels([])
            row[0].set_title(
                f"{question.title}: {_outcome(verdict_on(here))}", loc="left", fontsize=9
            )
        for measure, panel in zip(MEASURES.values(), axes[-1], strict=True):
            panel.set_xlabel(measure)
        _legend(figure, table)
    return figure


def _outcome(v: Verdict) -> str:
    cells = f"{v.cells} cell" + ("s" if v.cells > 1 else "")
    reduced = f", {v.reduced} reduced" if v.reduced else ""
    best = f"best fit: {v.best}; " if v.best else ""
    return f"{v.word} ({best}{cells}{reduced})"


def _panel(axes: Axes, table: pd.DataFrame, measure: str) -> None:
    """Answers upwards, one lane each per stopping point: dots for cells, a bar for their mean."""
    answers = sorted(table.answer.unique(), reverse=True)
    stops = [stop for stop in ("", *READINGS) if (table.reading == stop).any()]
    offsets = np.linspace(0.25, -0.25, len(stops)) if len(stops) > 1 else [0.0]
    for height, answer in enumerate(answers):
        for stop, offset in zip(stops, offsets, strict=True):
            here = table[(table.answer == answer) & (table.reading == stop)]
            colour, y = LANES[stop or answer.split(",")[0]], height + offset
            for short, dots in here.groupby(here.steps < paper.STEPS):
                face = "none" if short else colour
                axes.scatter(
                    dots[measure], np.full(len(dots), y), s=16, facecolors=face, edgecolors=colour,
                    alpha=0.6, linewidths=0.8,
                )  # fmt: skip
            mean = here[measure].mean()
            axes.plot([mean, mean], [y - 0.11, y + 0.11], color=colour, linewidth=2.5)
    axes.axvline(0, color=BLACK, linewidth=0.8)
    default = set(table.answer[table.is_default.astype(bool)])
    labels = [f"{answer} (default)" if answer in default else answer for answer in answers]
    axes.set_yticks(range(len(answers)), labels)
    axes.set_ylim(-0.5, len(answers) - 0.5)
    axes.grid(axis="y", visible=False)


def _legend(figure: Figure, table: pd.DataFrame) -> None:
    lanes = [
        Line2D([], [], color=colour, linewidth=2.5, marker="o", markersize=4, label=stop)
        for stop, colour in LANES.items()
    ]
    note = "dots: cells (open: fewer steps than the paper); bars: their means; line at 0: the paper"
    if len(table):
        figure.legend(
            handles=lanes, loc="outside lower center", ncols=len(lanes),
            title=note, title_fontproperties={"size": 8},
        )  # fmt: skip
    else:
        figure.supxlabel(note, fontsize=8, color=GREY)
