"""Whether the screen of a grid may have dropped its best point, judged by what kept points gained.

A screened grid has runs of two lengths: every point for a few steps, the best of them to the end.
A dropped point would overtake the chosen one only by gaining more after the screen than its
distance then to the chosen point's end. What points gain depends on the task and on what is tuned
beside the learning rate: of RLLC, a fast law has ended its training by then, a slow one has not.
Lower points tend to gain more than the kept ones, so a passed check is evidence, not proof.
"""

import json
from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import CELL, FIRST, hyper_names, name_in_words, tuning_values
from rllc.suite.metrics import Metric
from rllc.suite.records.identity import canonical
from rllc.suite.study import Study
from rllc.suite.table import Table, csv_only
from rllc.suite.templates import render

POINT = [*CELL, "hyper", "screen", "points", "kept", "steps", "screen_steps", "value", "gained"]
SCREENS = Table(csv_only(
    *CELL, "points", "kept", "steps", "screen_steps", "value",
    "dropped_hyper", "dropped_value", "needed", "gained", "in_doubt",
))  # fmt: skip


def dropped(
    study: Study, runs: pd.DataFrame, curves: pd.DataFrame, choices: pd.DataFrame
) -> pd.DataFrame:
    """The points that screens dropped, lost ones aside, one row each.

    Args:
      study: says which metric leads.
      runs: tidy runs, of one variant per cell.
      curves: evaluations.
      choices: from `selection.choose`.

    Returns:
      The cell, the point's ``hyper`` and its validation value after the ``screen`` (all as shown);
      how many ``points`` the grid has and how many were ``kept``, their ``steps`` and those of the
      screen; ``value`` of the chosen point; ``needed``: what the dropped one would have to gain
      after the screen to draw level; ``gained``: the most that a kept point of its task did with
      all but the learning rate as here (where there is none, one with the same hyperparameters
      of any values); ``in_doubt``: the second is no less than the first.
    """
    screened = choices[choices.screened_points.astype(float) > 0]
    parts = [
        _dropped(metric, tuning, choice)
        for metric, members in study.by_leading(screened)
        for task, grids in members.groupby("task", sort=False)
        for tuning in [tuning_values(runs[runs.task == task], curves, metric)]
        for choice in grids.to_dict("records")
    ]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=POINT)
    sign = found.task.map(lambda task: study.leading(task).sign).astype(float)
    needed = sign * (found.value - found.screen)
    return found.assign(needed=needed, in_doubt=needed <= found.gained)


def table(points: pd.DataFrame) -> pd.DataFrame:
    """Of each screened grid the dropped point that comes closest to the chosen one (`SCREENS`).

    Args:
      points: from `dropped`.
    """
    short = points.needed - points.gained
    closest = points.loc[short.groupby([points[key] for key in CELL], sort=True).idxmin()]
    closest = closest.rename(columns={"hyper": "dropped_hyper", "screen": "dropped_value"})
    return closest[SCREENS.names].reset_index(drop=True)


def doubtful(screens: pd.DataFrame) -> set[tuple[str, str]]:
    """(task, optimizer) of the grids whose screen may have dropped the best point."""
    found = screens[screens.in_doubt.astype(bool)]
    return set(zip(found.task, found.optimizer, strict=True))


def _dropped(metric: Metric, task: pd.DataFrame, choice: dict[str, Any]) -> pd.DataFrame:
    """`dropped` points of one grid; `task` has the tuning values of its task."""
    short, long = int(choice["screened_steps"]), int(choice["steps"])
    others = [_others(hyper) for hyper in task.hyper]
    task = task.assign(value=metric.scale * task.value, others=[canonical(x) for x in others])
    points = _values(task, [*CELL, "hyper", "others"], short, long)
    points = points[points.optimizer == choice["optimizer"]]
    wanted = set(_others(choice["hyper"]))
    alike = task[np.array([set(x) == wanted for x in others], bool)]
    points = points.assign(
        points=len(points), kept=int(points.end.notna().sum()), steps=long, screen_steps=short,
        value=metric.scale * choice["value"],
        gained=_gains(metric.sign, alike, points.others, short, long),
    )  # fmt: skip
    return points[points.end.isna() & np.isfinite(points.screen)].drop(columns="end")


def _others(hyper: str) -> dict[str, float]:
    """What is tuned beside the learning rate, by name."""
    return {name: value for name, value in json.loads(hyper).items() if name != FIRST}


def _values(tuning: pd.DataFrame, keys: list[str], short: int, long: int) -> pd.DataFrame:
    """`keys`, and mean values ``screen`` and ``end`` of the runs of `short` and `long` steps."""
    parts = {
        name: tuning[tuning.steps == steps].groupby(keys, dropna=False).value.mean()
        for name, steps in (("screen", short), ("end", long))
    }
    return pd.concat(parts, axis=1).reset_index()


def _gains(
    sign: float, tuning: pd.DataFrame, others: pd.Series, short: int, long: int
) -> pd.Series:
    """The most that a run gained between two lengths with others as given; where none, with any."""
    runs = _values(tuning, [*CELL, "hyper", "others", "seed"], short, long)
    runs = runs[np.isfinite(runs.end) & np.isfinite(runs.screen)]
    gain = sign * (runs.end - runs.screen)
    most = gain.groupby(runs.others).max()
    return others.map(most).astype(float).fillna(gain.max()).fillna(np.inf)


def sentence(study: Study, screens: pd.DataFrame) -> str:
    """How many screens are beyond doubt, and which are not; empty where none is known.

    Args:
      study: whose names.
      screens: from `table`.
    """
    if screens.empty:
        return ""
    others = [name_in_words(x) for x in hyper_names(screens, "dropped_hyper") if x != FIRST]
    leading = {study.leading(task).in_words: None for task in study.task_order(screens.task)}
    return render(
        __file__, "screens.md", study=study, screens=screens, leading=leading, others=others,
        number=_number, doubts=screens[screens.in_doubt.astype(bool)],
    )  # fmt: skip


def _number(study: Study, task: str, value: float) -> str:
    return f"{value:.1f}" if study.leading(task).unit == "%" else f"{value:.2g}"
