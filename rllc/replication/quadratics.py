"""The map of noisy quadratics: what is left of the loss over condition number × gradient noise.

Read from ``results/quadratics/runs.csv``, which ``scripts/quadratic_map.py`` wrote. Excess losses
are in units of the one at the start; what is below `SOLVED` counts as that, so that cells without
noise, where many optimizers reach the smallest float32, are ties. Means are geometric, intervals
Student's t over seeds (95 %, of logarithms), ratios paired by seed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.records import RecordsError
from rllc.suite.score import statistics
from rllc.suite.table import Table, csv_only

MOMENTUM, ADAM = "Momentum SGD", "Adam"
DECAYED, ADAM_DECAYED = "Momentum (decayed)", "Adam (decayed)"
ADAM_ON_AXES = "Adam (axes)"
SINGLE, MIXED, VARIANT = "M(0.9)", "M(0.9)+M(0.0)", "multiplicative M(0.9)"
RIVALS = (MOMENTUM, ADAM, SINGLE, MIXED)  # no schedule, eigenvectors at random
ORDER = (*RIVALS, VARIANT, DECAYED, ADAM_DECAYED, ADAM_ON_AXES)
DEFAULT, DEFAULT_LAW_RATE = "default", 0.003  # role and law rate of the variant at momentum's rate
CELL = ("condition", "noise")
FACTORS = (0.01, 0.1, 1.0, 10.0)
LAW_RATES = (0.003, 0.01, 0.03)
SHOWN_LAW_RATE = 0.01  # the middle of the grid
SOLVED = 1e-12
START = 1.0  # the excess at the start, which a diverged run counts with
RUNS = [
    "role", "optimizer", *CELL, "seed", "learning_rate", "law_learning_rate", "factor", "excess",
    "diverged", "law_1", "law_2",
]  # fmt: skip
RATES = ["learning_rate", "law_learning_rate"]
POINT = [*CELL, "optimizer", *RATES]
WORTH = 1.05  # a ratio nearer to 1 is a tie
RATIO = ["ratio", "ratio_low", "ratio_high"]
CELLS = Table(csv_only(
    *CELL, "optimizer", *RATES, "edge", "seeds", "diverged", "excess", "excess_low", "excess_high",
    "worst", *RATIO, "verdict", "law_1", "law_2", "first_rate", "end_rate",
))  # fmt: skip
OFF = Table(csv_only(
    *CELL, "factor", "law_learning_rate", "seeds", "diverged", "excess", "excess_low",
    "excess_high", "worst", *RATIO, "verdict", "law_1", "end_rate",
))  # fmt: skip


def read(path: Path) -> pd.DataFrame:
    """The runs, columns `RUNS`; ``diverged`` is bool.

    Raises:
      RecordsError: there is no such file, or it lacks a column.
    """
    try:
        runs = pd.read_csv(path, comment="#", dtype=str)
    except (OSError, ValueError) as error:
        raise RecordsError(f"cannot read {path}: {error}") from None
    if missing := [name for name in RUNS if name not in runs]:
        raise RecordsError(f"{path} has no column {missing[0]}; scripts/quadratic_map.py writes it")
    numbers = runs[RUNS].drop(columns=["role", "optimizer"]).astype(float)  # NumPy's, exact
    return runs.assign(**numbers).astype({"seed": int, "diverged": bool})


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


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """A row per cell and optimizer, columns `CELLS`: the final runs at the chosen point.

    ``edge``: the chosen rates that are the first or last of their grid. ``verdict``: "lower" or
    "higher" than momentum, or "tie" (see `verdict`). ``first_rate`` and
    ``end_rate``: of M(0.9), learning rate × law at the start and at the end, in units of momentum's
    rate, medians over the seeds. Laws are medians, too.
    """
    final = _beside_momentum(runs, "final")
    grids = runs[runs.role == "tune"].groupby("optimizer")[RATES]
    first, last = grids.min(), grids.max()
    rows = []
    for (name, *cell), group in final.groupby(["optimizer", *CELL], sort=False):
        rates = group[RATES].iloc[0]
        at_edge = (rates == first.loc[name]) | (rates == last.loc[name])
        row = dict(zip(CELL, cell, strict=True)) | {"optimizer": name, **rates}
        rows.append(row | {"edge": " ".join(at_edge.index[at_edge])} | _measures(group))
    return _in_order(pd.DataFrame(rows).reindex(columns=CELLS.names))


def off(runs: pd.DataFrame) -> pd.DataFrame:
    """A row per cell, factor and law rate, columns `OFF`: M(0.9) from a wrong learning rate."""
    keys = [*CELL, "factor", "law_learning_rate"]
    rows = [
        dict(zip(keys, key, strict=True)) | _measures(group)
        for key, group in _beside_momentum(runs, "off").groupby(keys)
    ]
    return pd.DataFrame(rows).reindex(columns=OFF.names)


def at_default(runs: pd.DataFrame) -> pd.DataFrame:
    """The ratio of the untuned `VARIANT` to momentum by cell: `CELL`, `RATIO`, ``verdict``."""
    rows = [
        dict(zip(CELL, cell, strict=True)) | _ratio(group.difference)
        for cell, group in _beside_momentum(runs, DEFAULT).groupby(list(CELL))
    ]
    return pd.DataFrame(rows)


def _with_logs(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` with ``counts``, what each counts with, and its logarithm ``log``."""
    counts = runs.excess.clip(lower=SOLVED).where(_ended(runs), START)
    return runs.assign(log=np.log(counts), counts=counts, lost=~_ended(runs))


def _beside_momentum(runs: pd.DataFrame, role: str) -> pd.DataFrame:
    """Runs of a role with ``difference``, of logarithms from momentum's run of the same cell and
    seed, and ``first_rate`` and ``end_rate`` (see `cells`), NaN if diverged."""
    momentum = _with_logs(runs[(runs.role == "final") & (runs.optimizer == MOMENTUM)])
    theirs = momentum[[*CELL, "seed", "log", "learning_rate"]]
    joined = _with_logs(runs[runs.role == role]).merge(
        theirs, on=[*CELL, "seed"], how="left", suffixes=("", "_momentum"), validate="many_to_one"
    )
    rate = joined.learning_rate / joined.learning_rate_momentum  # the law begins at 1
    has_one = joined.optimizer.isin((SINGLE, VARIANT)) & ~joined.lost
    return joined.assign(
        difference=joined.log - joined.log_momentum,
        first_rate=rate.where(has_one), end_rate=(rate * joined.law_1).where(has_one),
    )  # fmt: skip


def _measures(group: pd.DataFrame) -> dict[str, Any]:
    """What `CELLS` and `OFF` say of the seeds of one point."""
    level, low, high = np.exp(statistics.t_intervals(group.log))
    return {
        "seeds": len(group), "diverged": int(group.lost.sum()), "worst": group.counts.max(),
        "excess": level, "excess_low": low, "excess_high": high, **_ratio(group.difference),
        **{name: group[name].where(~group.lost).median() for name in ("law_1", "law_2")},
        **{name: group[name].median() for name in ("first_rate", "end_rate")},
    }  # fmt: skip


def verdict(ratio: float, low: float, high: float) -> str:
    """ "lower" or "higher" where the interval of a ratio excludes 1 and the ratio is 5 % from it.

    >>> verdict(0.5, 0.4, 0.6), verdict(0.98, 0.97, 0.99), verdict(1.5, 0.9, 2.5)
    ('lower', 'tie', 'tie')
    """
    if ratio * WORTH <= 1 and high < 1:
        return "lower"
    return "higher" if ratio >= WORTH and low > 1 else "tie"


def winners(runs: pd.DataFrame) -> pd.DataFrame:
    """Per cell the best of `RIVALS`, and its ratio to the second with interval and verdict.

    Columns: `CELL`, ``best``, ``second``, `RATIO`, ``verdict`` ("lower" or "tie").
    """
    rows = []
    for cell, logs in _by_seed(runs):
        best, second = logs[list(RIVALS)].mean().sort_values(kind="stable").index[:2]
        row = dict(zip(CELL, cell, strict=True)) | {"best": best, "second": second}
        rows.append(row | _ratio(logs[best] - logs[second]))
    return pd.DataFrame(rows)


def against(runs: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Every optimizer's ratio to another one: `CELL`, ``optimizer``, `RATIO`, ``verdict``."""
    rows = [
        dict(zip(CELL, cell, strict=True))
        | {"optimizer": name}
        | _ratio(logs[name] - logs[reference])
        for cell, logs in _by_seed(runs)
        for name in logs
    ]
    return pd.DataFrame(rows)


def _by_seed(runs: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Per cell the logarithms of final excesses, seeds × optimizers."""
    final = _with_logs(runs[runs.role == "final"])
    for cell, group in final.groupby(list(CELL)):
        yield cell, group.pivot(index="seed", columns="optimizer", values="log")


def _ratio(differences: pd.Series) -> dict[str, Any]:
    ratio = [float(x) for x in np.exp(statistics.t_intervals(differences))]
    return dict(zip(RATIO, ratio, strict=True)) | {"verdict": verdict(*ratio)}


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    place = table.optimizer.map(ORDER.index)
    return table.assign(place=place).sort_values([*CELL, "place"]).drop(columns="place")
