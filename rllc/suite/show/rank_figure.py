"""Mean ranks over tasks on a line, optimizers that do not differ joined (Demšar 2006)."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.suite.plotting import BLACK, RC, grid_figure, style
from rllc.suite.score import meta_analysis, over_tasks
from rllc.suite.score.ranking import Field
from rllc.suite.study import Study


def rank_figure(study: Study, field: Field, names: list[str], tasks: list[str]) -> Figure:
    """Critical difference diagram of some optimizers over the tasks they all have.

    Args:
      study: whose names and colours.
      field: from `ranking.field`.
      names: three optimizers or more.
      tasks: two or more.
    """
    found = meta_analysis.friedman(over_tasks.means(field, names, tasks))
    order = np.argsort(found.mean_ranks, kind="stable")
    ranks = found.mean_ranks[order]
    groups = alike(ranks, found.critical)
    with mpl.rc_context(RC):
        height = 0.9 + 0.24 * len(names) + 0.12 * len(groups)
        figure, grid = grid_figure(1, 1, 7.0, height)
        axes = grid[0, 0]
        for place, (o, rank) in enumerate(zip(order, ranks, strict=True)):
            colour, _ = style(study, names[o], field.optimizers)
            axes.plot(rank, -place, "o", color=colour, markersize=6)
            axes.annotate(
                study.latex(names[o]), (rank, -place), (9, 0), textcoords="offset points",
                va="center", fontsize=8,
            )  # fmt: skip
        for bar, (first, last) in enumerate(groups):
            y = -len(names) - 0.5 * bar
            axes.plot(
                ranks[[first, last]], [y, y], color=BLACK, linewidth=2, solid_capstyle="round"
            )
        _critical_bar(axes, 1, found.critical)
        axes.set_xlim(0.8, len(names) + 0.8)
        axes.set_xticks(range(1, len(names) + 1))
        axes.set_yticks([])
        axes.set_xlabel(
            f"mean rank over {len(tasks)} tasks (1 is best); black bars join what Nemenyi's test "
            "cannot tell apart at 5 %"
        )
        axes.set_title(f"Mean ranks on {study.titles(tasks)}", fontsize=8)
        axes.grid(axis="x")
    return figure


def _critical_bar(axes: Axes, low: int, critical: float) -> None:
    axes.plot([low, low + critical], [1.2, 1.2], color=BLACK, linewidth=1, marker="|")
    axes.annotate(
        f"critical difference {critical:.1f}", (low + critical, 1.2), (6, 0),
        textcoords="offset points", va="center", fontsize=8,
    )  # fmt: skip


def alike(ranks: np.ndarray, critical: float) -> list[tuple[int, int]]:
    """First and last place of each longest run of sorted ranks within a critical difference.

    >>> alike(np.array([1.0, 2.0, 3.0, 6.0]), 2.0)
    [(0, 2)]
    """
    ends = [int(np.searchsorted(ranks, rank + critical, "right")) - 1 for rank in ranks]
    return [
        (first, last)
        for first, last in enumerate(ends)
        if last > first and (first == 0 or ends[first - 1] < last)
    ]
