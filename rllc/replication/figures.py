"""Figures 1, 3, 4 and 5 of the paper, from whatever records exist."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.replication import paper
from rllc.replication.paper import STUDY
from rllc.suite.plotting import GREY, RC, grid_figure, not_measured, style
from rllc.suite.show.figures import Band, panels

# Drawn in Figures 1, 4 and 5: all eleven would hide each other.
FEATURED = (
    *paper.BASELINES,
    "M(0.9)",
    "M(0.9)+M(0.0)",
    "M(0.9)+M(0.8)+M(0.7)",
    "M(0.9)+M(0.0)+M2(0.6)",
)

# Drawn with bands in Figure 5, at every 1,000 steps: seven would hide each other.
BANDED = ("Momentum SGD", "Adam", "M(0.9)", "M(0.9)+M(0.8)+M(0.7)")
BAND_CADENCE = 1_000

BAND_TEXT = {
    "deviation": "",
    "range": "every 1,000 steps; lines: mean over the first 3 seeds; bands: lowest to highest",
    "none": "lines: mean over seeds (bands: Figure 5)",
}


def figure1(table: pd.DataFrame, optimizers: Sequence[str] = FEATURED) -> Figure:
    """Figure 1: test accuracy over iterations, CIFAR-10 ResNet-20.

    Args:
      table: from `figures.curve_table`.
      optimizers: labels drawn.
    """
    return panels(STUDY, table, [["cifar10_resnet20"]], optimizers, "deviation", (6.4, 4.4))


def figure4(
    table: pd.DataFrame, optimizers: Sequence[str] = FEATURED, band: Band = "none"
) -> Figure:
    """Figure 4 (and with ``band="range"`` Figure 5): accuracy of the MLP and Conv tasks, 2 x 3."""
    datasets = ("mnist", "fashion_mnist", "cifar10")
    layout = [[f"{data}_{network}" for data in datasets] for network in ("mlp", "conv")]
    return panels(STUDY, table, layout, optimizers, band, (10.0, 6.2), BAND_TEXT[band])


def figure5(table: pd.DataFrame, optimizers: Sequence[str] = BANDED) -> Figure:
    """Figure 5: as Figure 4, fewer lines, with the range of the first three seeds."""
    first = sorted(table.seed.unique())[: paper.SEEDS]
    shown = table.seed.isin(first) & (table.step % BAND_CADENCE == 0)
    return figure4(table[shown], optimizers, "range")


def figure3(timings: pd.DataFrame) -> Figure:
    """Figure 3: run time of one training step, CIFAR-10 with MLP, Conv and ResNet-20.

    Args:
      timings: columns network (``mlp``, ``conv``, ``resnet20``), optimizer,
        milliseconds_per_step, gflop_per_step, and optionally device.
    """
    with mpl.rc_context(RC):
        figure, axes = grid_figure(1, 3, 10.0, 3.8)
        names = STUDY.row_order(timings.optimizer)
        for network, panel in zip(("mlp", "conv", "resnet20"), axes.flat, strict=True):
            here = timings[timings.network == network].set_index("optimizer")
            panel.set_title(paper.title(f"cifar10_{network}"))
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
        colour = GREY if baseline else style(STUDY, name, names)[0]
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
