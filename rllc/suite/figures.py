"""Figures 1, 3, 4 and 5 of the paper, from whatever records exist.

Panels without records say so. Every panel states how many seeds it shows, and what its band is.
"""

from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.replication import paper
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
from rllc.suite.selection import CELL

# Drawn in Figures 1, 4 and 5: all eleven would hide each other.
FEATURED = (
    *paper.BASELINES,
    "M(0.9)",
    "M(0.9)+M(0.0)",
    "M(0.9)+M(0.8)+M(0.7)",
    "M(0.9)+M(0.0)+M2(0.6)",
)
Band = Literal["deviation", "range", "none"]
BAND_TEXT = {
    "deviation": "lines: mean over seeds; bands: ± 1 standard deviation",
    "range": "lines: mean over the first 3 seeds; bands: lowest to highest of them",
    "none": "lines: mean over seeds (bands: Figure 5)",
}


def curve_table(final: pd.DataFrame, curves: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy (%) along training of the final runs.

    Args:
      final: from `readings.final_runs`.
      curves: evaluations.
      made: from `provenance.provenance`.

    Returns:
      task, optimizer, seed, status, step, accuracy and ``short_grid`` (as in `made`).
    """
    keyed = final[["run", *CELL, "seed", "status"]].merge(made[[*CELL, "short_grid"]], on=CELL)
    joined = keyed.merge(curves[["run", "step", "test_accuracy"]], on="run")
    return joined.assign(accuracy=100.0 * joined.test_accuracy.astype(float))


def figure1(table: pd.DataFrame, optimizers: tuple[str, ...] = FEATURED) -> Figure:
    """Figure 1: test accuracy over iterations, CIFAR-10 ResNet-20.

    Args:
      table: from `curve_table`.
      optimizers: labels drawn.
    """
    return _panels(table, [["cifar10_resnet20"]], optimizers, "deviation", (6.4, 4.4))


def figure4(
    table: pd.DataFrame, optimizers: tuple[str, ...] = FEATURED, band: Band = "none"
) -> Figure:
    """Figure 4 (and with ``band="range"`` Figure 5): accuracy of the MLP and Conv tasks, 2 x 3."""
    datasets = ("mnist", "fashion_mnist", "cifar10")
    layout = [[f"{data}_{network}" for data in datasets] for network in ("mlp", "conv")]
    return _panels(table, layout, optimizers, band, (10.0, 6.2))


def figure5(table: pd.DataFrame, optimizers: tuple[str, ...] = FEATURED) -> Figure:
    """Figure 5: as Figure 4, with the range of the first three seeds."""
    first = sorted(table.seed.unique())[: paper.SEEDS]
    return figure4(table[table.seed.isin(first)], optimizers, "range")


def _panels(
    table: pd.DataFrame,
    layout: list[list[str]],
    optimizers: tuple[str, ...],
    band: Band,
    size: tuple[float, float],
) -> Figure:
    with mpl.rc_context(RC):
        figure, axes = grid_figure(len(layout), len(layout[0]), *size)
        for task, panel in zip(np.ravel(layout), axes.flat, strict=True):
            _panel(panel, table[table.task == task], str(task), optimizers, band)
        legend_below(figure, axes.flat, BAND_TEXT[band], columns=min(4, 2 * len(layout[0]) + 1))
    return figure


def _panel(
    axes: Axes, table: pd.DataFrame, task: str, optimizers: tuple[str, ...], band: Band
) -> None:
    axes.set_title(str(paper.title(task)))
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
        wide = table[table.optimizer == name].pivot(index="step", columns="seed", values="accuracy")
        means[name] = _line(axes, wide, name, band)
    note = "\n".join([_count(table, shown, len(optimizers)), *diverged])
    axes.set_ylim(*_limits(list(means.values()), 1 + note.count("\n")))
    axes.set_xlabel("iteration")
    axes.set_ylabel("test accuracy (%)")
    axes.xaxis.set_major_formatter(thousands)
    axes.text(
        0.98, 0.03, note, ha="right", va="bottom", transform=axes.transAxes, fontsize=8, color=GREY,
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
    )  # fmt: skip


def thousands(step: float, _position: float = 0) -> str:
    """Tick label of a step.

    >>> thousands(2500), thousands(0), thousands(500)
    ('2.5k', '0', '500')
    """
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"


def _line(axes: Axes, wide: pd.DataFrame, name: str, band: Band) -> pd.Series:
    """Mean over seeds of `wide` (step, seed) and its band; returns the mean."""
    colour, dashes = style(name, [name])
    mean = wide.mean(axis=1)
    front = 3 if name not in paper.BASELINES else 2
    axes.plot(
        mean.index, mean, color=colour, linestyle=dashes, label=paper.latex(name), zorder=front
    )
    low, high = wide.min(axis=1), wide.max(axis=1)
    if band == "deviation":
        low, high = mean - wide.std(axis=1), mean + wide.std(axis=1)
    if band != "none" and wide.shape[1] > 1:
        axes.fill_between(mean.index, low, high, color=colour, alpha=0.15, linewidth=0)
    return mean


def _limits(means: list[pd.Series], note_lines: int) -> tuple[float, float]:
    """Range that shows the differences: from the lowest after a seventh of training upwards.

    Below it is room for a note of that many lines.
    """
    top = max(mean.max() for mean in means)
    late = [mean[mean.index >= mean.index.max() / 7] for mean in means]
    bottom = min(np.median([mean.iloc[0] for mean in late]), min(mean.iloc[-1] for mean in late))
    room = 0.04 * max(top - bottom, 0.5)
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


def figure3(timings: pd.DataFrame) -> Figure:
    """Figure 3: run time of one training step, CIFAR-10 with MLP, Conv and ResNet-20.

    Args:
      timings: columns network (``mlp``, ``conv``, ``resnet20``), optimizer,
        milliseconds_per_step, gflop_per_step, and optionally device.
    """
    with mpl.rc_context(RC):
        figure, axes = grid_figure(1, 3, 10.0, 3.8)
        names = paper.in_order(timings.optimizer, paper.OPTIMIZERS)
        for network, panel in zip(("mlp", "conv", "resnet20"), axes.flat, strict=True):
            here = timings[timings.network == network].set_index("optimizer")
            panel.set_title(str(paper.title(f"cifar10_{network}")))
            _bars(panel, here, names, labelled=panel is axes.flat[0])
        devices = sorted(set(timings.device)) if "device" in timings else []
        note = "number beside a bar: time relative to Adam, GFLOP per step"
        figure.supxlabel("; ".join([note, *devices]), fontsize=8, color=GREY)
    return figure


def _bars(axes: Axes, here: pd.DataFrame, names: list[str], labelled: bool) -> None:
    if here.empty:
        not_measured(axes)
        return
    times = here.milliseconds_per_step.groupby(level=0).median()
    flops = here.gflop_per_step.groupby(level=0).median()
    for place, name in enumerate(names):
        if name not in times:
            continue
        baseline = name in paper.BASELINES
        colour = GREY if baseline else style(name, names)[0]
        axes.barh(place, times[name], color=colour, height=0.7)
        ratio = f"×{times[name] / times['Adam']:.2f}" if "Adam" in times else ""
        work = f"{flops[name]:.3g} GFLOP" if np.isfinite(flops[name]) else ""
        text = ", ".join(part for part in (ratio, work) if part)
        axes.text(times[name], place, f" {text}", va="center", fontsize=7)
    axes.set_yticks(range(len(names)), [paper.latex(n) if labelled else "" for n in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, times.max() * 1.6)
    axes.set_xlabel("milliseconds per step")
    axes.grid(axis="y", visible=False)
