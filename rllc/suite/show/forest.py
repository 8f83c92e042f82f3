"""Every optimizer against the best baseline: a forest plot, one panel per task."""

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.suite.metrics import Metric
from rllc.suite.plotting import BLACK, BLUE, GREY, RC, VERMILION, footnote, not_measured
from rllc.suite.score.readings import HEADLINE
from rllc.suite.study import Study

BETTER, WORSE, LEVEL = (BLUE, "^"), (VERMILION, "v"), (GREY, "o")
FAR = 4  # intervals longer than so many times a panel's median reach are cut
NOTE = (
    "paired difference over seeds, positive where the optimizer is better, and its 95 % interval "
    "(▲ above 0, ▼ below 0, ● includes 0);\n"
    "grey names: not of the study; …: goes on beyond the panel"
)


def compared(study: Study, against: pd.DataFrame, reading: str = HEADLINE) -> pd.DataFrame:
    """Rows of `against` at one reading, in the leading metric of their task.

    Args:
      study: says which metric leads.
      against: of an `Analysis`.
      reading: stopping point.
    """
    leads = [row.metric == study.leading(row.task).column() for row in against.itertuples()]
    return against[np.array(leads, bool) & (against.reading == reading).to_numpy()]


def forest_figure(study: Study, against: pd.DataFrame, reading: str = HEADLINE) -> Figure:
    """A panel per task, best optimizer on top; tasks with most optimizers first, two in a row.

    Args:
      study: whose names.
      against: of an `Analysis`.
      reading: stopping point.
    """
    here = compared(study, against, reading)
    counts = here.task.value_counts()
    order = study.task_order(here.task)
    tasks = sorted(order, key=lambda task: (-counts[task], order.index(task))) or [""]
    columns = min(2, len(tasks))
    padded = tasks + [""] * (-len(tasks) % columns)
    rows = [padded[i : i + columns] for i in range(0, len(padded), columns)]
    heights = [0.19 * max(int(counts.get(task, 0)) for task in row) + 0.9 for row in rows]
    with mpl.rc_context(RC):
        figure = Figure(figsize=(5.4 * columns, sum(heights) + 0.5), layout="constrained")
        axes = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
        for task, panel in zip(np.ravel(rows), axes.flat, strict=True):
            if task:
                _panel(study, panel, here[here.task == task], str(task))
            else:
                panel.set_axis_off()
        if here.empty:
            not_measured(axes[0, 0])
        footnote(figure, f"reading: {reading}; {NOTE}")
    return figure


def _panel(study: Study, axes: Axes, rows: pd.DataFrame, task: str) -> None:
    rows = rows.sort_values("difference", kind="stable").reset_index(drop=True)
    metric = study.leading(task)
    cut, lost = _inside(rows)
    for place, row in enumerate(rows.itertuples()):
        colour, marker = BETTER if row.low > 0 else WORSE if row.high < 0 else LEVEL
        low, middle, high = cut(row.low), cut(row.difference), cut(row.high)
        axes.hlines(place, low, high, color=colour, linewidth=1.5)
        axes.plot(middle, place, marker=marker, color=colour, markersize=5)
    axes.axvline(0, color=BLACK, linewidth=0.8)
    labels = [
        f"{study.latex(row.optimizer)}{' …' if far else ''}, n = {int(row.n)}"
        for row, far in zip(rows.itertuples(), lost, strict=True)
    ]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    for name, label in zip(rows.optimizer, axes.get_yticklabels(), strict=True):
        label.set_color(BLACK if name in study.optimizers else GREY)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    against = " or ".join(study.latex(name) for name in study.row_order(rows.baseline))
    axes.set_title(f"{study.title(task)}: against {against}")
    axes.set_xlabel(_unit(metric), fontsize=8)
    axes.grid(axis="y", visible=False)


def _unit(metric: Metric) -> str:
    points = " (points)" if metric.unit == "%" else f" ({metric.unit})" if metric.unit else ""
    return f"better in test {metric.in_words} by{points}"


def _inside(rows: pd.DataFrame) -> tuple[Callable[[float], float], list[bool]]:
    """What cuts numbers to a panel's range, and which rows it cuts.

    One of two runs that diverged gives an interval that would hide all others.
    """
    reach = rows[["low", "difference", "high"]].abs().max(axis=1).to_numpy(float)
    far = FAR * float(np.median(reach)) if len(reach) else 0.0
    return (lambda x: float(np.clip(x, -far, far))), list(reach > far)
