"""What tuning chose, in words: the best points of a grid, their neighbours, and its edge."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.choose import selection
from rllc.suite.choose.selection import hyper_names, hyper_of
from rllc.suite.markdown import text_table
from rllc.suite.metrics import Metric
from rllc.suite.study import Study

SHOWN = 3  # points of a grid


def point(hyper: str) -> str:
    """The hyperparameters of a column ``hyper``.

    >>> point('{"law_learning_rate":0.01,"learning_rate":0.1}')
    'learning_rate 0.1, law_learning_rate 0.01'
    """
    return ", ".join(f"{name} {value:g}" for name, value in hyper_of(hyper).items())


def edge_warning(choice: Any) -> str:
    """What follows from a choice at the edge of its grid; empty for one inside.

    Args:
      choice: a row of `selection.choose`.
    """
    at = f"at the edge of its grid, {choice.edges}: a wider one may do better"
    return at if choice.edge else ""


def report(study: Study, names: Iterable[str], loaded: Any) -> list[str]:
    """The best points of the grids of some runs beside their neighbours, a text per cell.

    Args:
      study: for names; the metrics are those of the records.
      names: of the grids' runs, of one variant per cell.
      loaded: from `records.load`.
    """
    names = set(names)
    runs = selection.tidy(loaded.runs[loaded.runs.run.isin(names)])
    texts = []
    for metric, members in study.by_leading(runs):
        points = selection.tuning_points(members, loaded.curves, metric)
        chosen = selection.choose(points, metric).set_index(selection.CELL)
        for (task, optimizer), grid in points.groupby(selection.CELL, sort=False):
            where = f"{study.title(str(task))} · {study.pretty(str(optimizer))}"
            if (task, optimizer) not in chosen.index:
                texts.append(f"{where}: every point of the grid diverged; nothing is chosen")
                continue
            texts.append(_cell(where, metric, grid, chosen.loc[(task, optimizer)]))
    return texts


def _cell(where: str, metric: Metric, grid: pd.DataFrame, choice: Any) -> str:
    longest = grid[grid.steps == grid.steps.max()]
    better_first = longest.sort_values("value", ascending=metric.lower, kind="stable")
    top = better_first[better_first.hyper != choice.hyper].head(SHOWN - 1)
    around = neighbours(longest, choice.hyper)
    shown = pd.concat([longest[longest.hyper == choice.hyper], top, around])
    notes = dict.fromkeys(around.hyper, "neighbour") | {choice.hyper: "chosen"}
    rows = [
        _row(metric, row, notes.get(row.hyper, ""))
        for row in shown.drop_duplicates("hyper").itertuples()
    ]
    head = ["point", f"validation {metric.with_unit}", "seeds", ""]
    table = "\n".join(f"  {line}".rstrip() for line in text_table(head, rows).splitlines())
    warning = edge_warning(choice)
    return "\n".join(
        [f"{where}, of {len(longest)} points:", table, *[f"  {warning}"] * bool(warning)]
    )


def _row(metric: Metric, row: Any, note: str) -> list[str]:
    value = f"{metric.scale * row.value:{metric.form}}" if np.isfinite(row.value) else "diverged"
    return [point(row.hyper), value, str(row.seeds), note]


def neighbours(points: pd.DataFrame, hyper: str) -> pd.DataFrame:
    """The points next to one in its grid: one step lower or higher in a single hyperparameter.

    Args:
      points: of one grid, with a column for each hyperparameter.
      hyper: of the point.
    """
    names = [name for name in hyper_names(points) if points[name].nunique() > 1]
    places = points[names].rank(method="dense").to_numpy()
    here = places[(points.hyper == hyper).to_numpy()][0]
    return points[np.abs(places - here).sum(axis=1) == 1]
