"""Plots of the measured tables."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    grid_figure,
    save,
)
from rllc.suite.speed import store, update
from rllc.suite.speed.setups import ENGINE
from rllc.suite.study import Study

COLOURS = {
    update.COPY: (GREY, ":"), update.MOMENTUM: (GREY, "--"), update.ADAM: (BLACK, "-."),
    "k=1": (BLUE, "-"), "k=2": (VERMILION, "-"), "k=3": (GREEN, "-"), "k=4": (ORANGE, "-"),
}  # fmt: skip
AXES = {
    "runs": ("runs in one program", "ms per step of the group"),
    "width": ("width of the MLP's hidden layers", "ms per step of the group"),
    "units": ("memory units k", "ms per update, $n = 10^6$"),
}


def write(study: Study, folder: Path, device: str) -> list[Path]:
    """Draws what has been measured on a device, as PNG and PDF."""
    drawn = []
    for name, draw in (
        ("update", update_figure), ("scaling", scaling_figure), ("throughput", throughput_figure)
    ):  # fmt: skip
        table = store.read(folder, name)
        table = table[table.device == device] if len(table) else table
        if len(table):
            with mpl.rc_context(RC):
                drawn += save(draw(study, table, device), folder / name)
    return drawn


def update_figure(_: Study, table: pd.DataFrame, device: str) -> Figure:
    """Nanoseconds per parameter against n; beside it, against the bytes model at n = 10⁷."""
    figure, axes = grid_figure(1, 2, 9.0, 3.6)
    left, right = axes.flat
    for case, rows in table.groupby("case", sort=False):
        colour, line = COLOURS[str(case)]
        rows = rows.sort_values("n")
        left.loglog(rows.n, rows.ns_per_parameter, line, color=colour, label=case, marker=".")
    left.set_xlabel("parameters n")
    left.set_ylabel("ns per parameter")
    left.set_ylim(top=4 * table.ns_per_parameter.max())
    left.legend(fontsize=6, ncols=3, loc="upper left")
    _bytes_model(right, table)
    figure.suptitle("Update alone, in place")
    figure.supxlabel(device, fontsize=8, color=GREY)
    return figure


def _bytes_model(axes: Axes, table: pd.DataFrame) -> None:
    largest = table[table["size"] <= update.REFERENCE]["size"].max()
    here = table[table["size"] == largest].set_index("case")
    per_number = here.ns_per_parameter[update.COPY] / 2
    for place, (case, row) in enumerate(here.iterrows()):
        axes.barh(place, row.ns_per_parameter, color=COLOURS[str(case)][0], height=0.6)
        expected = row.numbers_per_parameter * per_number
        axes.plot([expected, expected], [place - 0.4, place + 0.4], color=PURPLE, linewidth=2)
    axes.set_yticks(range(len(here)), list(here.index))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"ns per parameter, n = {largest:,}\nline: numbers moved, at copy speed")


def scaling_figure(_: Study, table: pd.DataFrame, device: str) -> Figure:
    """Cost against runs, width and memory units, both axes logarithmic."""
    figure, axes = grid_figure(1, len(AXES), 10.0, 3.2)
    for (axis, labels), panel in zip(AXES.items(), axes.flat, strict=True):
        rows = table[table["axis"] == axis].sort_values("size")
        panel.loglog(rows["size"], rows.milliseconds, "-", color=BLUE, marker="o", markersize=4)
        if len(rows):
            known = rows.gflop.notna().all()
            cost, label = (rows.gflop, "FLOPs") if known else (rows["size"], "units")
            line = cost * rows.milliseconds.iloc[-1] / cost.iloc[-1]
            panel.loglog(rows["size"], line, ":", color=GREY, label=f"proportional to {label}")
            panel.legend(fontsize=7)
            _sizes_as_ticks(panel, rows["size"])
        panel.set_xlabel(labels[0])
        panel.set_ylabel(labels[1])
    figure.supxlabel(device, fontsize=8, color=GREY)
    return figure


def throughput_figure(study: Study, table: pd.DataFrame, device: str) -> Figure:
    """Run-steps per second against the runs in a program, peers as level lines."""
    tasks = study.task_order(table.task)
    columns = min(4, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, axes = grid_figure(rows, columns, 2.8 * columns + 0.6, 2.5 * rows + 0.6)
    for panel in axes.flat[len(tasks) :]:
        panel.set_axis_off()
    for task, panel in zip(tasks, axes.flat, strict=False):
        here = table[table.task == task]
        _throughput_panel(study, panel, here)
        _sizes_as_ticks(panel, here.runs[here.case == ENGINE])
        panel.set_title(study.title(task), fontsize=9)
    axes.flat[0].legend(fontsize=6)
    figure.supxlabel(f"runs in one program; {device}", fontsize=8, color=GREY)
    figure.supylabel("run-steps per second", fontsize=8)
    return figure


def _sizes_as_ticks(axes: Axes, sizes: pd.Series) -> None:
    """The measured sizes in place of powers of ten."""
    shown = sorted(set(sizes))
    axes.set_xticks(shown, [str(size) for size in shown])
    axes.set_xticks([], minor=True)


def _throughput_panel(study: Study, axes: Axes, table: pd.DataFrame) -> None:
    lines = {"Flax + optax loop": BLACK, "PyTorch": VERMILION, "learned_optimization": GREEN}
    for (optimizer, case), rows in table.groupby(["optimizer", "case"], sort=False):
        rows = rows.sort_values("runs")
        if case == ENGINE:
            colour = BLUE if optimizer == "Momentum SGD" else SKY
            label = f"engine, {study.latex(str(optimizer))}"
            axes.loglog(rows.runs, rows.run_steps_per_second, color=colour, marker=".", label=label)
        elif optimizer == "Momentum SGD":
            level = rows.run_steps_per_second.iloc[0]
            axes.axhline(level, color=lines[str(case)], linestyle="--", label=case)
