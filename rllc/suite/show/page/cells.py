"""The numbers of the page's table and of its forest plots, one entry per cell and reading."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import CELL
from rllc.suite.metrics import Metric
from rllc.suite.plotting import BLACK, style
from rllc.suite.score import comparisons, ranking
from rllc.suite.score.readings import READINGS
from rllc.suite.score.statistics import mean_interval
from rllc.suite.show import aggregation, tables
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.page.contents import Origin

DASHES = {"-": [1, 0], "--": [6, 3], ":": [2, 2], "-.": [7, 2, 2, 2]}
DARK = {BLACK: "#FFFFFF", "#7F7F7F": "#A8A8A8", "#0072B2": "#7C8CFF"}  # readable on black
Key = tuple[str, str, str]  # task, optimizer, reading


def short(value: Any, digits: int = 6) -> float | None:
    """A number of so many significant digits; None where there is none."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.{digits}g}")


def tasks(a: Analysis) -> list[dict[str, Any]]:
    """Measured tasks in the study's order: name, title, and their leading metric."""
    return [
        {"name": task, "title": a.study.title(task), **_metric(a.study.leading(task))}
        for task in a.study.task_order(a.final.task)
    ]


def _metric(metric: Metric) -> dict[str, Any]:
    unit = "points" if metric.unit == "%" else metric.unit
    return {
        "metric": metric.with_unit, "unit": unit, "form": metric.form, "lower": metric.lower,
    }  # fmt: skip


def optimizers(a: Analysis) -> list[dict[str, Any]]:
    """Measured optimizers in the study's order, with their lines."""
    names = a.study.row_order(a.final.optimizer)
    return [_optimizer(a, name, names) for name in names]


def _optimizer(a: Analysis, name: str, names: Sequence[str]) -> dict[str, Any]:
    colour, dashes = style(a.study, name, names)
    return {
        "label": name, "name": a.study.pretty(name), "baseline": name in a.study.baselines,
        "ours": name in a.study.optimizers, "light": colour, "dark": DARK.get(colour, colour),
        "dash": DASHES[dashes],
    }  # fmt: skip


def cells(a: Analysis) -> list[dict[str, Any]]:
    """Every cell at every reading: mean, its interval, the best baseline, the published number."""
    against = _against(a)
    intervals = _intervals(a)
    return [_cell(a, row, intervals, against) for row in a.cells.to_dict("records") if row["seeds"]]


def _cell(
    a: Analysis, row: dict[str, Any], intervals: dict[Key, Any], against: dict[Key, Any]
) -> dict[str, Any]:
    key = (row["task"], row["optimizer"], row["reading"])
    metric, source = a.study.leading(row["task"]), a.study.source
    low, high = intervals.get(key, (None, None))
    found = {
        "task": key[0], "optimizer": key[1], "reading": key[2], "n": int(row["seeds"]),
        "mean": short(row[f"{metric.column()}_mean"]), "low": low, "high": high,
        "std": short(row[f"{metric.column()}_std"], 4),
        "diverged": int(row["diverged"]), "chance": int(row["at_chance"]),
        **against.get(key, {}),
    }  # fmt: skip
    if a.study.published is not None:
        found |= {
            "published": short(row[f"{source}_{metric.name}"]),
            "away": short(row[f"{metric.name}_difference"], 4),
            "agrees": bool(row["agrees"]),
        }
    return found


def _intervals(a: Analysis) -> dict[Key, tuple[float | None, float | None]]:
    """Ends of each mean's 95 % interval, of the runs that did not diverge."""
    finished = a.rows[a.rows.status != "diverged"]
    found = {}
    for key, members in finished.groupby([*CELL, "reading"], sort=True):
        column = a.study.leading(key[0]).column()
        interval = mean_interval(members[column], comparisons.stream(*key))
        found[key] = (short(interval.low), short(interval.high))
    return found


def _against(a: Analysis) -> dict[Key, dict[str, Any]]:
    """Paired differences against the best baseline, in the leading metric."""
    return {
        (row.task, row.optimizer, row.reading): {
            "against": row.baseline, "gain": short(row.difference, 4),
            "gain_low": short(row.low, 4), "gain_high": short(row.high, 4),
            "pairs": int(row.n), "holm": short(row.p_holm, 3),
        }
        for row in a.against.itertuples()
        if row.metric == a.study.leading(row.task).column()
    }  # fmt: skip


def files(a: Analysis, origin: Origin) -> dict[str, str]:
    """Address of each file that holds a final run."""
    return {str(file): origin.link(file) for file in sorted(set(a.final.shard))}


def made(a: Analysis) -> list[dict[str, Any]]:
    """How each cell was made: hyperparameters, what falls short, and each of its runs."""
    runs = dict(iter(a.final.groupby(CELL, sort=True)))
    return [
        {
            "task": row.task, "optimizer": row.optimizer, "device": row.device,
            "hyper": {k: short(v) for k, v in json.loads(row.hyper).items()},
            "steps": int(row.steps), "training": row.training, "tuning": row.tuning,
            "short": tables.has_short_grid(row),
            "runs": [_run(run) for run in runs[row.task, row.optimizer].itertuples()],
        }
        for row in a.made.itertuples()
    ]  # fmt: skip


def _run(run: Any) -> dict[str, Any]:
    return {"run": run.run, "seed": int(run.seed), "status": run.status, "file": run.shard}


def rankings(a: Analysis) -> list[dict[str, Any]]:
    """The ranking over each set of tasks at each reading; tasks with short grids are left out."""
    rows, summary, _ = aggregation.from_whole_grids(a)
    sets = ranking.task_sets(a.study, ranking.field(a.study, rows, summary))
    return [
        {
            "reading": reading, "over": a.study.titles(names), "tasks": len(names),
            "rows": _ranked(a, found),
        }
        for names in sets
        for reading in READINGS
        for found in [ranking.ranking(a.study, rows, summary, names, reading, a.untuned)]
    ]  # fmt: skip


def _ranked(a: Analysis, table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "optimizer": row.optimizer, "gain": short(row.score, 4),
            "low": short(row.score_low, 4), "high": short(row.score_high, 4), "n": int(row.runs),
            **(_untuned(row) if "untuned" in table else {}),
        }
        for row in table.itertuples()
    ]  # fmt: skip


def _untuned(row: Any) -> dict[str, Any]:
    """The score at the optimizer's default point, None where it has no untuned runs."""
    ends = (row.untuned, row.untuned_low, row.untuned_high)
    return {"untuned": dict(zip(("gain", "low", "high"), (short(x, 4) for x in ends), strict=True))}
