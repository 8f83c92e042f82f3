"""The map of noisy quadratics: what is left of the loss over condition number × gradient noise.

Read from ``results/quadratics/runs.csv``, which ``scripts/quadratic_map.py`` wrote. Excess losses
are in units of the one at the start; what is below `SOLVED` counts as that, so that cells without
noise, where every optimizer runs into the end of float32, are ties.
"""

import numpy as np
import pandas as pd

MOMENTUM, ADAM, ADAM_ON_AXES = "Momentum SGD", "Adam", "Adam (axes)"
SINGLE, MIXED = "M(0.9)", "M(0.9)+M(0.0)"
ORDER = (MOMENTUM, ADAM, ADAM_ON_AXES, SINGLE, MIXED)
CELL = ("condition", "noise")
FACTORS = (0.01, 0.1, 1.0, 10.0)
LAW_RATES = (0.003, 0.01, 0.03)
SHOWN_LAW_RATE = 0.01  # the middle of the grid
SOLVED = 1e-12
RUNS = [
    "role", "optimizer", *CELL, "seed", "learning_rate", "law_learning_rate", "factor", "excess",
    "diverged", "law_1", "law_2",
]  # fmt: skip
POINT = [*CELL, "optimizer", "learning_rate", "law_learning_rate"]


def chosen(runs: pd.DataFrame) -> pd.DataFrame:
    """The point with the lowest mean excess over the tuning seeds, per cell and optimizer.

    A diverged run counts as infinitely bad. Of equal points, which only 0 makes, the one with the
    lowest rates is taken.
    """
    tidy = runs.assign(excess=runs.excess.where(_ended(runs), np.inf))
    points = tidy.groupby(POINT, dropna=False, as_index=False).excess.mean()
    ordered = points.sort_values(["excess", "learning_rate", "law_learning_rate"], kind="stable")
    return ordered.groupby([*CELL, "optimizer"], as_index=False).first()


def _ended(runs: pd.DataFrame) -> pd.Series:
    return ~runs.diverged & np.isfinite(runs.excess)
