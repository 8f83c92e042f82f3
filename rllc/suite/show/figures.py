"""Learning curves from whatever records exist.

Panels without records say so. Every panel states how many seeds it shows, and what its band is.
"""

from collections.abc import Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import counted, span
from rllc.suite.plotting import (
    GREY,
    NOT_MEASURED,
    RC,
    grid_figure,
    legend_below,
    not_measured,
    style,
)
from rllc.suite.study import Study

Band = Literal["deviation", "range", "none"]
BAND_TEXT = {
    "deviation": "lines: mean over seeds; bands: ± 1 standard deviation",
    "range": "lines: mean over seeds; bands: lowest to highest of them",
    "none": "lines: mean over seeds",
}


def curve_table(
    study: Study, final: pd.DataFrame, curves: pd.DataFrame, made: pd.DataFrame
) -> pd.DataFrame:
    """The leading metric on test data along training of the final runs.

    Args:
      study: says which metric leads.
      final: from `readings.final_runs`.
      curves: evaluations.
      made: from `provenance.provenance`.

    Returns:
      task, optimizer, seed, status, step, value (as shown) and ``short_grid`` (as in `made`).
    """
    keyed = final[["run", *CELL, "seed", "status"]].merge(made[[*CELL, "short_grid"]], on=CELL)
    joined = keyed.merge(curves, on="run")
    value = pd.Series(np.nan, joined.index)
    for metric, members in study.by_leading(joined):
        value[members.index] = metric.scale * members[metric.column()].astype(float)
    return joined[[*keyed, "step"]].assign(value=value)


def every_task(study: Study, table: pd.DataFrame) -> Figure:
    """Curves of the study's optimizers, a panel per measured task, up to three in a row.

    Args:
      study: whose.
      table: from `curve_table`.
    """
    tasks = study.task_order(table.task) or list(study.tasks)
    columns = min(3, len(tasks))
    padded = tasks + [""] * (-len(tasks) % columns)
    layout = [padded[i : i + columns] for i in range(0, len(padded), columns)]
    names = [name for name in study.row_order(table.optimizer) if name in study.optimizers]
    size = (max(6.4, 3.4 * columns), 2.6 * len(layout) + 1.0)
    return panels(study, table, layout, names or list(study.optimizers), "deviation", size)


def panels(
    study: Study,
    table: pd.DataFrame,
    layout: Sequence[Sequence[str]],
    optimizers: Sequence[str],
    band: Band,
    size: tuple[float, float],
    note: str = "",
) -> Figure:
    """A panel per task in a grid, with the curves of some optimizers.

    Args:
      study: whose names and styles.
      table: from `curve_table`.
      layout: rows of task names; "" leaves a place empty.
      optimizers: labels drawn.
      band: what is drawn around the means.
      size: width and height in inches.
      note: what lines and bands are, where `BAND_TEXT` does not say it all.
    """
    with mpl.rc_context(RC):
        figure, axes = grid_figure(len(layout), len(layout[0]), *size)
        for task, panel in zip(np.ravel(layout), axes.flat, strict=True):
            if task:
                _panel(study, panel, table[table.task == task], str(task), optimizers, band)
            else:
                panel.set_axis_off()
        legend_below(
            study,
            figure,
            axes.flat,
            note or BAND_TEXT[band],
            columns=min(4, 2 * len(layout[0]) + 1),
        )
    return figure


def _panel(
    study: Study,
    axes: Axes,
    table: pd.DataFrame,
    task: str,
    optimizers: Sequence[str],
    band: Band,
) -> None:
    metric = study.leading(task)
    axes.set_title(study.title(task))
    table = table[table.optimizer.isin(optimizers)]
    lost = table.status == "diverged"
    counts = table[lost].groupby("optimizer").seed.nunique()
    diverged = [f"{name}: {count} diverged, not drawn" for name, count in counts.items()]
    table = table[~lost]
    shown = [name for name in optimizers if name in set(table.optimizer)]
    if not shown:
        not_measured(axes, "\n".join(diverged) or NOT_MEASURED)
        return
    means = {}
    for name in shown:
        wide = table[table.optimizer == name].pivot(index="step", columns="seed", values="value")
        means[name] = _line(study, axes, wide, name, band)
    note = "\n".join([_count(table, shown, len(optimizers)), *diverged])
    least = (
        0.5 if metric.unit == "%" else 0.005 * max(abs(m).max() for m in means.values()) or 0.005
    )
    lines = [metric.sign * mean for mean in means.values()]
    axes.set_ylim(*sorted(metric.sign * end for end in limits(lines, 1 + note.count("\n"), least)))
    axes.set_xlabel("iteration")
    axes.set_ylabel(f"test {metric.with_unit}")
    axes.xaxis.set_major_formatter(thousands)
    axes.text(
        0.98, 0.97 if metric.lower else 0.03, note, ha="right",
        va="top" if metric.lower else "bottom", transform=axes.transAxes, fontsize=8, color=GREY,
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
    )  # fmt: skip


def thousands(step: float, _position: float = 0) -> str:
    """Tick label of a step.

    >>> thousands(2500), thousands(0), thousands(500)
    ('2.5k', '0', '500')
    """
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"


def _line(study: Study, axes: Axes, wide: pd.DataFrame, name: str, band: Band) -> pd.Series:
    """Mean over seeds of `wide` (step, seed) and its band; returns the mean."""
    colour, dashes = style(study, name, [name])
    mean = wide.mean(axis=1)
    front = 3 if name not in study.baselines else 2
    axes.plot(
        mean.index, mean, color=colour, linestyle=dashes, label=study.latex(name), zorder=front
    )
    low, high = wide.min(axis=1), wide.max(axis=1)
    if band == "deviation":
        low, high = mean - wide.std(axis=1), mean + wide.std(axis=1)
    if band != "none" and wide.shape[1] > 1:
        axes.fill_between(mean.index, low, high, color=colour, alpha=0.15, linewidth=0)
    return mean


def limits(means: list[pd.Series], note_lines: int, least: float = 0.5) -> tuple[float, float]:
    """Range that shows the differences: from the lowest after a seventh of training upwards.

    Below it is room for a note of that many lines. Higher is better in `means`; the range counts as
    `least` at least.
    """
    top = max(mean.max() for mean in means)
    late = [mean[mean.index >= mean.index.max() / 7] for mean in means]
    bottom = min(np.median([mean.iloc[0] for mean in late]), min(mean.iloc[-1] for mean in late))
    room = 0.04 * max(top - bottom, least)
    low, high = bottom - room, top + 2 * room
    return high - (high - low) / (0.97 - 0.07 * note_lines), high


def _count(table: pd.DataFrame, shown: list[str], wanted: int) -> str:
    seeds = table.groupby("optimizer").seed.nunique()
    lines = [f"n = {counted(span(seeds), 'seed')}"]
    if len(shown) < wanted:
        lines.append(f"{len(shown)} of {wanted} optimizers measured")
    if table.short_grid.any():
        lines.append("rates from a short grid")
    return "\n".join(lines)
