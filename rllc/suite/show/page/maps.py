"""Maps of the tuning grids: how far each point is from the best, in the metric that chooses."""

from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import FIRST, hyper_names, name_in_words
from rllc.suite.score import tuning_analysis
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.page.cells import short


def of_task(a: Analysis, points: pd.DataFrame, task: str) -> list[dict[str, Any]]:
    """One entry per point of the maps of a task.

    Args:
      a: the analysis.
      points: from `tuning_analysis.chosen_by`, the widest grids.
      task: name.
    """
    here = points[points.task == task]
    return [
        entry
        for label in a.study.row_order(here.optimizer)
        for entry in _map(a, here[here.optimizer == label], task, label)
    ]


def _map(a: Analysis, points: pd.DataFrame, task: str, label: str) -> list[dict[str, Any]]:
    names = [name for name in hyper_names(points) if name != FIRST]
    upwards = names[0] if names else ""
    points = points.assign(up=points[upwards] if upwards else 0.0)
    metric = a.study.leading(task)
    excess = tuning_analysis.below_best(points.value.to_numpy(float), metric)
    points = points.assign(excess=excess).sort_values("excess", kind="stable")
    points = points.drop_duplicates(["up", FIRST])
    chosen = a.choices[(a.choices.task == task) & (a.choices.optimizer == label)]
    at = [(row["learning_rate"], row.get(upwards, 0.0)) for row in chosen.to_dict("records")]
    words = name_in_words(upwards)
    return [
        {
            "optimizer": label, "x": short(row["learning_rate"]),
            "y": short(row["up"]) if upwards else None, "up": words,
            "steps": int(row["steps"]), "seeds": int(row["seeds"]),
            "value": short(metric.scale * row["value"], 5), "excess": short(row["excess"], 4),
            "chosen": any(_same((row["learning_rate"], row["up"]), place) for place in at),
        }
        for row in points.to_dict("records")
    ]  # fmt: skip


def _same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return bool(np.allclose(one, other, rtol=1e-5, atol=0))
