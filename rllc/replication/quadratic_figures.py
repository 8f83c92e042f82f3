"""Figures of the map of noisy quadratics: who is left with how much, and what the law does."""

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

from rllc.replication import quadratics
from rllc.replication.paper import pretty
from rllc.suite.plotting import BLUE, GREY, ORANGE, SKY, grid_figure

COLOURS = {
    quadratics.MOMENTUM: GREY, quadratics.ADAM: ORANGE, quadratics.SINGLE: SKY,
    quadratics.MIXED: BLUE,
}  # fmt: skip
SHORT = {
    quadratics.MOMENTUM: "Mom.", quadratics.ADAM: "Adam", quadratics.SINGLE: "M(0.9)",
    quadratics.MIXED: "M(0.9)\n⊕M(0.0)",
}  # fmt: skip
TITLES = {
    quadratics.ADAM_ON_AXES: "Adam, eigenvectors on axes",
    quadratics.DECAYED: "Momentum, decaying to 0",
}
# Ends of colour scales. A `LogNorm` of all figures would make each depend on those before it, whose
# images it holds for as long as they live, and a drawer of figures could recognise none.
EXCESS = 1e-9, 1.0
RATIO = 1 / 16, 16.0
RATE = 1e-2, 1e2
DIVERGING = "RdBu_r"  # blue: less than momentum has, red: more
EMPTY = "#F2F2F2"
TEXT, TITLE = 6.5, 9  # points


def map_figure(cells: pd.DataFrame, winners: pd.DataFrame) -> Figure:
    """Above the excess of each optimizer, below its ratio to momentum's and the best of all."""
    figure, axes = grid_figure(2, len(quadratics.ORDER), 2.5 * len(quadratics.ORDER), 6.3)
    for place, name in enumerate(quadratics.ORDER):
        its = cells[cells.optimizer == name]
        _panel(axes[0, place], its, "excess", "viridis", EXCESS, _excess_text)
        axes[0, place].set_title(_title(name), fontsize=TITLE)
        if name == quadratics.MOMENTUM:
            _best(axes[1, place], winners)
            continue
        _panel(axes[1, place], its, "ratio", DIVERGING, RATIO, _ratio_text)
        axes[1, place].set_title(f"{pretty(name)}\n÷ momentum", fontsize=TITLE)
    _label(axes)
    _bar(figure, axes[0], "viridis", EXCESS, "final excess (× start)")
    _bar(figure, axes[1], DIVERGING, RATIO, "× momentum's excess")
    figure.supxlabel(
        "Rates tuned in each cell; geometric means over final seeds, bold: lowest of the first "
        "four. ≈0: below 1e−12. = and tie: less than 5 % apart, or the 95 % "
        "interval of the ratio holds 1.",
        fontsize=8, color=GREY,
    )  # fmt: skip
    _frame(axes[0], winners)
    return figure


def law_figure(off: pd.DataFrame) -> Figure:
    """M(0.9) from wrong rates: where its effective rate ends, and what that costs."""
    shown = off[np.isclose(off.law_learning_rate, quadratics.SHOWN_LAW_RATE)]
    figure, axes = grid_figure(2, len(quadratics.FACTORS), 11.5, 6.1)
    for place, factor in enumerate(quadratics.FACTORS):
        its = shown[np.isclose(shown.factor, factor)]
        _panel(axes[0, place], its, "end_rate", "PuOr_r", RATE, _rate_text)
        _panel(axes[1, place], its, "ratio", DIVERGING, RATIO, _ratio_text)
        axes[0, place].set_title(f"from {factor:g} × momentum's rate", fontsize=TITLE)
    _label(axes)
    _bar(figure, axes[0], "PuOr_r", RATE, "effective rate at the end\n(× momentum's tuned rate)")
    _bar(figure, axes[1], DIVERGING, RATIO, "× tuned momentum's excess")
    figure.supxlabel(
        f"M(0.9), law rate {quadratics.SHOWN_LAW_RATE:g}, initial law 1; effective rate: learning "
        "rate × law. =: less than 5 % apart, or the 95 % interval of the ratio holds 1. †: with "
        "runs that diverged.",
        fontsize=8, color=GREY,
    )  # fmt: skip
    return figure


def _title(name: str) -> str:
    return TITLES.get(name, pretty(name))


def _panel(
    axes: Axes,
    rows: pd.DataFrame,
    column: str,
    cmap: str,
    ends: tuple[float, float],
    text: Callable[[Any], str],
) -> None:
    """A heat map, condition to the right and noise upwards, with a text in each cell."""
    norm = LogNorm(*ends)
    grid = rows.pivot(index="noise", columns="condition", values=column)
    values = grid.to_numpy(float)
    clipped = np.clip(values, norm.vmin, norm.vmax)
    colours = mpl.colormaps[cmap].with_extremes(bad=EMPTY)
    axes.imshow(clipped, norm=norm, cmap=colours, origin="lower", aspect="auto")
    for _, row in rows.iterrows():
        y, x = grid.index.get_loc(row.noise), grid.columns.get_loc(row.condition)
        _write(axes, x, y, text(row), colours(norm(np.ma.masked_invalid(clipped))[y, x]))
    _ticks(axes, grid)


def _write(axes: Axes, x: int, y: int, text: str, background: Any) -> None:
    """A text that can be read on its background."""
    light = np.dot(background[:3], (0.299, 0.587, 0.114)) > 0.55
    colour = "black" if light else "white"
    written = axes.text(x, y, text, ha="center", va="center", fontsize=TEXT, color=colour)
    written.set_in_layout(False)  # of which there are hundreds


def _ticks(axes: Axes, grid: pd.DataFrame) -> None:
    axes.set_xticks(range(len(grid.columns)), [_power(value) for value in grid.columns])
    labels = [f"{value:g}" for value in grid.index]
    axes.set_yticks(range(len(grid.index)), labels)
    axes.tick_params(length=0, labelsize=8)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _power(value: float) -> str:
    return f"$10^{{{np.log10(value):.0f}}}$" if value >= 1000 else f"{value:g}"


def _best(axes: Axes, winners: pd.DataFrame) -> None:
    """Which optimizer has the lowest excess, and by how much before the second."""
    names = list(COLOURS)
    codes = winners.assign(code=winners.best.map(names.index).astype(float))
    codes.loc[codes.verdict == "tie", "code"] = np.nan
    grid = codes.pivot(index="noise", columns="condition", values="code")
    colours = ListedColormap([COLOURS[name] for name in names], bad=EMPTY)
    axes.imshow(grid, cmap=colours, vmin=-0.5, vmax=len(names) - 0.5, origin="lower", aspect="auto")
    for _, row in winners.iterrows():
        y, x = grid.index.get_loc(row.noise), grid.columns.get_loc(row.condition)
        tie = row.verdict == "tie"
        text = "tie" if tie else f"{SHORT[row.best]}\n{_times(row.ratio)}"
        _write(axes, x, y, text, (1, 1, 1) if tie else colours(names.index(row.best)))
    _ticks(axes, grid)
    axes.set_title("Best of the first four ÷ second", fontsize=TITLE)


def _frame(axes: np.ndarray, winners: pd.DataFrame) -> None:
    """Bold text for the best in each panel of the upper row."""
    columns, index = sorted(set(winners.condition)), sorted(set(winners.noise))
    for _, row in winners.iterrows():
        panel = axes[quadratics.ORDER.index(row.best)]
        place = columns.index(row.condition), index.index(row.noise)
        for text in panel.texts:
            if text.get_position() == place:
                text.set_fontweight("bold")


def _label(axes: np.ndarray) -> None:
    for panel in axes[-1]:
        panel.set_xlabel("condition number", fontsize=8)
    for panel in axes[:, 1:].flat:
        panel.tick_params(labelleft=False)
    for panel in axes[:, 0]:
        panel.set_ylabel("gradient noise\n(gradient ≈ 1 at the start)", fontsize=8)


def _bar(
    figure: Figure, axes: np.ndarray, cmap: str, ends: tuple[float, float], label: str
) -> None:
    colours = ScalarMappable(LogNorm(*ends), cmap)
    bar = figure.colorbar(colours, ax=list(axes), pad=0.01, aspect=25, extend="both")
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _excess_text(row: Any) -> str:
    solved = row.excess <= quadratics.SOLVED * 1.001
    return "≈0" if solved else _scientific(row.excess, 1) + _lost(row)


def _ratio_text(row: Any) -> str:
    return ("=" if row.verdict == "tie" else _times(row.ratio)) + _lost(row)


def _rate_text(row: Any) -> str:
    return ("–" if pd.isna(row.end_rate) else _times(row.end_rate)) + _lost(row)


def _lost(row: Any) -> str:
    return "†" if row.diverged else ""


def _times(factor: float) -> str:
    """Two or three digits.

    >>> [_times(x) for x in (0.0123, 0.98, 1.0, 12.3, 250.0, 6.4e4)]
    ['0.012', '0.98', '1.0', '12', '250', '6e4']
    """
    if factor >= 1000:
        return _scientific(factor, 0)
    digits = 0 if factor >= 9.95 else 1
    return f"{factor:.{digits}f}" if factor >= 0.995 else f"{factor:.2g}"


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")
