"""How long a training step takes: by a benchmark, or by records that bear each other out.

Records note how long a group trained, evaluation and compilation included. That compares optimizers
only if nothing else ran beside it, which a record cannot know. But a cell is trained twice, to tune
it and for its final runs. Recorded times of a task are believed if both say the same of every
optimizer's speed beside the others', all was on one device, and no training was short.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import CELL
from rllc.suite.records.roles import CHOOSING

COLUMNS = [*CELL, "milliseconds_per_step", "device"]
AGREE = 1.25  # largest ratio of two times that say the same
LEAST = 30.0  # seconds of training, below which compilation is a good part of them


class StepTimes(NamedTuple):
    """Times of a step, and where they are from.

    Attributes:
      table: `COLUMNS`.
      benchmark: whether they are of a benchmark; else of the records.
      ratio: how far tuning and final runs disagree about an optimizer's speed at most
        (`disagreement`); NaN where no cell noted both.
    """

    table: pd.DataFrame
    benchmark: bool
    ratio: float

    @property
    def disagree(self) -> bool:
        """Whether recorded times contradict each other."""
        return self.ratio > AGREE


def found(runs: pd.DataFrame, measured: pd.DataFrame | None = None) -> StepTimes:
    """The times that tables show.

    Args:
      runs: tidy runs, of one variant per cell.
      measured: `COLUMNS` of a benchmark; None takes the recorded ones that can be compared.
    """
    trained = recorded(runs)
    tasks = {str(task): members for task, members in trained.groupby("task", sort=True)}
    ratio = max((disagreement(members) for members in tasks.values()), default=np.nan)
    if measured is not None:
        return StepTimes(measured[COLUMNS].reset_index(drop=True), True, ratio)
    kept = [task for task, members in tasks.items() if is_comparable(members)]
    tuned = trained[trained.task.isin(kept) & ~trained.final]
    return StepTimes(tuned[COLUMNS].reset_index(drop=True), False, ratio)


def recorded(runs: pd.DataFrame) -> pd.DataFrame:
    """Time of one step of one run in the tuning and in the final runs of each cell.

    Args:
      runs: tidy runs, of one variant per cell.

    Returns:
      `COLUMNS`, ``final`` (whether of the final runs) and ``seconds`` (of all their groups); one
      row per cell, ``final`` and device.
    """
    runs = runs[runs.role.isin([*CHOOSING, "final"])]
    groups = runs.drop_duplicates(["shard", "group", "seconds", "trained_together"])
    groups = groups.assign(
        seconds=groups.seconds.astype(float), final=groups.role == "final",
        run_steps=(groups.steps * groups.trained_together).astype(float),
    )  # fmt: skip
    groups = groups[groups.seconds > 0]
    sums = groups.groupby([*CELL, "final", "device"])[["seconds", "run_steps"]].sum().reset_index()
    return sums.assign(milliseconds_per_step=1e3 * sums.seconds / sums.run_steps)


def is_comparable(trained: pd.DataFrame) -> bool:
    """Whether recorded times of one task tell its optimizers apart.

    Args:
      trained: from `recorded`, of one task.
    """
    long = trained.seconds.min() >= LEAST
    return bool(long and trained.device.nunique() == 1 and disagreement(trained) <= AGREE)


def disagreement(trained: pd.DataFrame) -> float:
    """How far tuning and final runs of one task disagree about how slow an optimizer is.

    The time of its final over that of its tuning runs, over the median of that ratio: groups of
    another size may be faster, but then all are. The largest over optimizers, or its inverse where
    that is larger; NaN without two optimizers timed twice on a device.

    Args:
      trained: from `recorded`, of one task.
    """
    keys = ["device", "optimizer"]
    both = trained.pivot(index=keys, columns="final", values="milliseconds_per_step")
    both = np.log(both.reindex(columns=[False, True]).dropna())
    ratios = (both[True] - both[False]).groupby("device")
    apart = (both[True] - both[False] - ratios.transform("median")).abs()
    many = apart[ratios.transform("size") > 1]
    return float(np.exp(many.max()))
