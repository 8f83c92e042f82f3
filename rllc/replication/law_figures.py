"""Figure 2: the learning law's coefficients over training."""

from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.replication import law_dynamics, paper
from rllc.replication.law_dynamics import COUPLED, MIXED, NESTEROV_ANGLE, LawCurves
from rllc.replication.paper import STUDY
from rllc.suite.markdown import counted
from rllc.suite.plotting import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RC,
    SKY,
    VERMILION,
    not_measured,
)
from rllc.suite.show.figures import thousands

UNIT_COLOURS = (BLUE, VERMILION, GREEN, PURPLE)
# Bands of the direction panel end halfway between the special laws.
REGIONS = (
    ("SGD", 0.0, -20.0, NESTEROV_ANGLE / 2, ORANGE),
    ("Nesterov", NESTEROV_ANGLE, NESTEROV_ANGLE / 2, (NESTEROV_ANGLE + 90) / 2, GREEN),
    ("momentum", 90.0, (NESTEROV_ANGLE + 90) / 2, 110.0, SKY),
)


def figure2(
    records: Any, final: pd.DataFrame, task: str | None = None, start: str = "", note: str = ""
) -> Figure:
    """Figure 2: laws of M(0.9)⊕M(0.0) with its special laws, and of M(0.9)⊕M(0.8)⊕M(0.7).

    Args:
      records: anything with ``laws(runs)``.
      final: from `readings.final_runs`.
      task: whose laws; None takes the first task, in the paper's order, that has both.
      start: the initial law in words, "" for the default.
      note: what else is to be said of the runs.
    """
    task = task or default_task(final)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(10.0, 4.8), layout="constrained")
        mosaic = figure.subplot_mosaic([["a", "b"], ["angle", "b"]], height_ratios=[2, 1.2])
        mixed = law_dynamics.law_curves(records, final, task, MIXED)
        coupled = law_dynamics.law_curves(records, final, task, COUPLED)
        _coefficients(mosaic["a"], mixed, MIXED, "(a)")
        _direction(mosaic["angle"], mixed)
        _coefficients(mosaic["b"], coupled, COUPLED, "(b)")
        _sum_of_last_two(mosaic["b"], coupled)
        if mixed is not None:
            mosaic["angle"].set_xlim(mosaic["a"].get_xlim())
            _mark_crossing([mosaic["a"], mosaic["angle"]], mixed)
        notes = ["thin lines: seeds; thick: their mean", *([note] if note else [])]
        if mixed is not None and law_dynamics.has_vanished(mixed.law).any():
            smallest = f"{law_dynamics.VANISHED:.0%} of its largest"
            notes.append(f"no direction where the law is below {smallest}")
        start = f", from {start}" if start else ""
        figure.suptitle(f"Learning law over training, {paper.title(task)}{start}", fontsize=11)
        figure.supxlabel("; ".join(notes), fontsize=8, color=GREY)
    return figure


def default_task(final: pd.DataFrame) -> str:
    """First task with both optimizers of Figure 2, else with one, else the paper's first."""
    counts = final[final.optimizer.isin([MIXED, COUPLED])].groupby("task").optimizer.nunique()
    tasks = STUDY.task_order(counts.index)
    return max(tasks, key=lambda task: counts[task], default=paper.TASKS[0])


def like_the_paper(records: Any, finals: Mapping[str, pd.DataFrame]) -> tuple[str, str] | None:
    """The initial law and task whose laws do what the paper's Figure 2a says of them.

    In most seeds M(0.9) dominates first and M(0) later, and their ratio passes 0.9 around the
    paper's step.

    Args:
      records: anything with ``laws(runs)``.
      finals: initial law -> final runs.

    Returns:
      The first such (initial law, task), the paper's order of tasks; those with the laws of Figure
      2b, too, come before the others. None if there is none.
    """
    found = list(_like_the_paper(records, finals))
    whole = (
        (answer, task)
        for answer, task in found
        if ((finals[answer].task == task) & (finals[answer].optimizer == COUPLED)).any()
    )
    return next(whole, found[0] if found else None)


def _like_the_paper(records: Any, finals: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, str]]:
    for answer, final in finals.items():
        for task in STUDY.task_order(final.task[final.optimizer == MIXED]):
            curves = law_dynamics.law_curves(records, final, task, MIXED)
            if curves is None or not law_dynamics.mostly_reversed(curves.law):
                continue
            crossings = law_dynamics.nesterov_crossing(curves.steps, curves.law)
            if law_dynamics.crosses_as_in_paper(crossings):
                yield answer, task


def _coefficients(axes: Axes, curves: LawCurves | None, optimizer: str, letter: str) -> None:
    if curves is None:
        axes.set_title(f"{letter} {paper.latex(optimizer)}")
        not_measured(axes)
        return
    axes.set_title(f"{letter} {paper.latex(optimizer)}, n = {counted(len(curves.seeds), 'seed')}")
    for unit, name in enumerate(optimizer.split("+")):
        values, colour = curves.law[:, :, unit], UNIT_COLOURS[unit]
        axes.plot(curves.steps, values.T, color=colour, alpha=0.3, linewidth=0.6)
        label = paper.latex(name)
        axes.plot(curves.steps, values.mean(axis=0), color=colour, label=label)
    axes.axhline(0, color=BLACK, linewidth=0.6)
    axes.set_ylabel("coefficient of the law")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.16 * (high - low))  # room for the legend
    _legend(axes)
    axes.xaxis.set_major_formatter(thousands)
    axes.set_xlabel("iteration")


def _sum_of_last_two(axes: Axes, curves: LawCurves | None) -> None:
    if curves is None:
        return
    total = curves.law[:, :, -2:].sum(axis=2).mean(axis=0)
    label = "sum of the last two"
    axes.plot(curves.steps, total, color=BLACK, linestyle="--", linewidth=1, label=label)
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper center", ncols=4, columnspacing=1, handlelength=1.5, fontsize=8)


def _direction(axes: Axes, curves: LawCurves | None) -> None:
    """Direction of the law between SGD and momentum, with the regions of the special laws."""
    if curves is None:
        not_measured(axes)
        return
    vanished = law_dynamics.has_vanished(curves.law)
    angles = np.where(vanished, np.nan, law_dynamics.angle(curves.law))
    for name, centre, low, high, colour in REGIONS:
        axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0)
        axes.axhline(centre, color=colour, linewidth=1)
        axes.text(1.01, centre, name, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.plot(curves.steps, angles.T, color=BLACK, alpha=0.3, linewidth=0.6)
    axes.plot(curves.steps, angles.mean(axis=0), color=BLACK)
    axes.set_ylim(min(-15, np.nanmin(angles) - 5), max(105, np.nanmax(angles) + 5))
    axes.set_yticks([0, round(NESTEROV_ANGLE), 90])
    axes.set_ylabel("direction (°)\n" + r"atan $L_{M(0.9)} / L_{M(0.0)}$", fontsize=8)
    axes.set_xlabel("iteration")
    axes.xaxis.set_major_formatter(thousands)
    axes.grid(False)


def _mark_crossing(panels: list[Axes], curves: LawCurves) -> None:
    """Marks the median step of the Nesterov crossing and its range over seeds."""
    crossings = law_dynamics.nesterov_crossing(curves.steps, curves.law)
    found = crossings[np.isfinite(crossings)]
    share = f"{len(found)} of {counted(len(crossings), 'seed')}"
    if not len(found):
        panels[1].set_title(f"Nesterov crossing: {share}", fontsize=8)
        return
    middle = float(np.median(found))
    for axes in panels:
        axes.axvline(middle, color=PURPLE, linewidth=1.2, linestyle="--")
        axes.axvspan(found.min(), found.max(), color=PURPLE, alpha=0.15, linewidth=0)
    where = f"step {middle:,.0f} ({share})"
    if len(found) > 1:
        where = f"median step {middle:,.0f} ({found.min():,.0f} to {found.max():,.0f}; {share})"
    text = f"Nesterov crossing (ratio passes 0.9): {where}"
    panels[1].set_title(text, fontsize=8)
