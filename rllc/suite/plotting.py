"""How figures look and how they are written: colour-blind-safe, and the same bytes every time."""

import textwrap
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from rllc.suite.study import Study, in_order

# Okabe & Ito's palette (without yellow, which is too faint on white).
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
SKY, ORANGE, PURPLE, BLACK, GREY = "#56B4E9", "#E69F00", "#CC79A7", "#000000", "#7F7F7F"
BASELINE_STYLES = ((GREY, ":"), (GREY, "--"), (BLACK, "-."))
SOLID = tuple((colour, "-") for colour in (BLUE, VERMILION, GREEN, SKY, ORANGE, PURPLE))
OTHERS = [(c, s) for s in ("--", ":", "-.") for c in (BLUE, VERMILION, GREEN, PURPLE)]
NOT_MEASURED = "not yet measured"
CHARACTERS_PER_INCH = 16  # of a footnote, about
# All of matplotlib's settings, so that no matplotlibrc of the user's changes a byte.
MACHINES = ("backend", "backend_fallback", "interactive", "toolbar")  # have no part in a file
DEFAULTS = {key: mpl.rcParamsDefault[key] for key in mpl.rcParamsDefault if key not in MACHINES}
RC: dict[Any, Any] = {
    **DEFAULTS,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "mathtext.fontset": "dejavusans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "svg.hashsalt": "rllc",
    "pdf.compression": 6,
}


def style(study: Study, optimizer: str, all_names: Iterable[str] = ()) -> tuple[str, str]:
    """Colour and line style of an optimizer; those that the study gives none take turns.

    Args:
      study: baselines are grey and black, the others of its optimizers coloured, where it gives no
        styles of its own.
      optimizer: label.
      all_names: labels drawn beside it, among which optimizers the study has not take turns.
    """
    styles = _default_styles(study)
    for name, (colour, line) in study.styles.items():
        usual = styles.get(name, ("", ""))
        styles[name] = (colour or usual[0], line or usual[1])
    if optimizer in styles:
        return styles[optimizer]
    others = [name for name in sorted(set(all_names)) if name not in styles]
    place = others.index(optimizer) if optimizer in others else 0
    return OTHERS[place % len(OTHERS)]


def _default_styles(study: Study) -> dict[str, tuple[str, str]]:
    others = [name for name in study.optimizers if name not in study.baselines]
    return dict(zip(study.baselines, cycle(BASELINE_STYLES), strict=False)) | dict(
        zip(others, cycle((*SOLID, *OTHERS)), strict=False)
    )


def grid_figure(
    rows: int, columns: int, width: float, height: float, **kwargs: Any
) -> tuple[Figure, np.ndarray]:
    """A figure with a grid of axes (rows, columns); sizes in inches. No global state."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    return figure, np.asarray(axes)


def footnote(figure: Figure, text: str) -> None:
    """Small grey text below a figure, its lines broken where the figure is too narrow for them."""
    most = int(CHARACTERS_PER_INCH * figure.get_figwidth())
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, most)]
    figure.supxlabel("\n".join(lines), fontsize=8, color=GREY)


def task_figure(study: Study, tasks: list[str], room: float) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a titled panel per task, up to four in a row, and `room` (inches) below."""
    columns = min(4, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, axes = grid_figure(rows, columns, max(3.0 * columns, 6.4), 2.7 * rows + room)
    for panel in axes.flat[len(tasks) :]:
        panel.set_axis_off()
    panels = dict(zip(tasks, axes.flat, strict=False))
    for task, panel in panels.items():
        panel.set_title(study.title(task))
    return figure, panels


def not_measured(axes: Axes, note: str = NOT_MEASURED) -> None:
    """Empties a panel that has no records."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.text(0.5, 0.5, note, ha="center", va="center", transform=axes.transAxes, color=GREY)


def legend_below(
    study: Study, figure: Figure, axes: Iterable[Axes], note: str, columns: int = 4
) -> None:
    """One legend for all panels, in the study's order, below them; `note` says what is drawn."""
    found: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    order = in_order(found, map(study.latex, study.optimizers))
    handles = [found[label] for label in order]
    figure.legend(
        handles, order, loc="outside lower center", ncols=max(1, min(columns, len(order))),
        title=note if order else None, title_fontproperties={"size": 8},
    )  # fmt: skip


def files(path: Path) -> list[Path]:
    """What `save` writes."""
    return [path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf")]


def save(figure: Figure, path: Path) -> list[Path]:
    """Writes PNG and PDF without dates or versions, so that the same figure gives the same bytes.

    Args:
      figure: any.
      path: without a suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    png, pdf = files(path)
    with mpl.rc_context(RC):
        FigureCanvasAgg(figure)
        _lay_out(figure)
        figure.savefig(png, metadata={"Software": None})
        FigureCanvasPdf(figure)
        dateless = {"CreationDate": None, "Producer": None, "Creator": None}
        figure.savefig(pdf, metadata=dateless)
    return [png, pdf]


def _lay_out(figure: Figure) -> None:
    """Places the axes once, as `savefig` would, and for good.

    It would draw the whole figure to do so, for every file: half of the time of both.
    """
    engine, dpi = figure.get_layout_engine(), figure.dpi
    if engine is None:
        return
    figure.dpi = RC["savefig.dpi"]
    engine.execute(figure)
    figure.dpi = dpi
    figure.set_layout_engine(None)
