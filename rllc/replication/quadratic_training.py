"""The runs behind the map of noisy quadratics: tuned, final, and started at wrong rates.

Every optimizer has the same number of grid points and of tuning seeds in each cell of condition
number × gradient noise. One program trains all cells, seeds and points of an optimizer.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.replication import quadratics
from rllc.suite.engine import family
from rllc.suite.plan import configuration
from rllc.suite.plan.configuration import Conf
from tasks.known import quadratic

DIMENSION = 100
SPACING = "log"
FIELDS = ("learning_rate", "law_learning_rate")
TO_ZERO = ("schedule=linear", "schedule.warmup=0.0")  # a rate that falls to 0 in a straight line


class Entry(NamedTuple):
    """A row of the map.

    Attributes:
      label: of the optimizer.
      config: name of its config.
      grid: (points, 1 or 2); columns are `FIELDS`, the latter for RLLC alone.
      basis: eigenvectors of the quadratics.
      words: of a command line, behind the optimizer.
    """

    label: str
    config: str
    grid: np.ndarray
    basis: str = "random"
    words: tuple[str, ...] = ()


# Label -> role -> (factor on momentum's rate, law rate) of runs that nothing was tuned for.
ASIDE: Mapping[str, Mapping[str, list[tuple[float, float]]]] = MappingProxyType({
    quadratics.SINGLE: {
        "off": [(factor, rate) for factor in quadratics.FACTORS for rate in quadratics.LAW_RATES]
    },
    quadratics.VARIANT: {quadratics.DEFAULT: [(1.0, quadratics.DEFAULT_LAW_RATE)]},
})  # fmt: skip


class Size(NamedTuple):
    """How much is trained."""

    conditions: Sequence[float] = (1, 10, 100, 1000, 10_000)
    noises: Sequence[float] = (0, 0.01, 0.1, 1, 10)
    steps: int = 2000
    tuning_seeds: Sequence[int] = (100, 101, 102)
    final_seeds: Sequence[int] = tuple(range(10))


def entries() -> tuple[Entry, ...]:
    """The rows; 30 points each. Momentum is unstable without noise at rates of 3.8 or more."""
    momentum = _rounded(np.geomspace(3e-5, 3.5, 30))[:, None]
    adam = _rounded(np.geomspace(3e-5, 1.0, 30))[:, None]
    rates = [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    ours = np.array([(c1, c2) for c1 in rates for c2 in quadratics.LAW_RATES])
    return (
        Entry(quadratics.MOMENTUM, "momentum", momentum),
        Entry(quadratics.ADAM, "adam", adam),
        Entry(quadratics.SINGLE, "m_0.9", ours),
        Entry(quadratics.MIXED, "m_0.9_m_0.0", ours),
        Entry(quadratics.VARIANT, "m_0.9_multiplicative", ours),
        Entry(quadratics.DECAYED, "momentum", momentum, words=TO_ZERO),
        Entry(quadratics.ADAM_DECAYED, "adam", adam, words=TO_ZERO),
        Entry(quadratics.ADAM_ON_AXES, "adam", adam, basis="axes"),
    )


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.array([float(f"{value:.3g}") for value in values])


def train(
    conf: Conf,
    size: Size,
    rows: Sequence[Entry],
    progress: Callable[[str, int, int], Any] = lambda what, runs, steps: None,
) -> pd.DataFrame:
    """All runs, with `quadratics.RUNS`' columns.

    Args:
      conf: where the optimizers' configs are.
      size: what is trained.
      rows: with one called `quadratics.MOMENTUM`.
      progress: told what has trained how many steps, and of how many runs.
    """
    cells = _cells(size)
    parts = []
    for row in rows:
        every = np.broadcast_to(row.grid, (len(cells), *row.grid.shape))
        tell = partial(progress, f"tune {row.label}")
        found = _runs(conf, size, row, cells, every, size.tuning_seeds, tell)
        at = _chosen_points(cells, quadratics.chosen(found), row.grid.shape[1])
        tell = partial(progress, f"final {row.label}")
        last = _runs(conf, size, row, cells, at, size.final_seeds, tell)
        parts += [found.assign(role="tune"), last.assign(role="final")]
    whole = pd.concat(parts, ignore_index=True)
    beside = [
        _from_momentums_rate(conf, size, row, cells, whole, role, pairs, progress)
        for row in rows
        for role, pairs in ASIDE.get(row.label, {}).items()
    ]
    return pd.concat([whole, *beside], ignore_index=True)


def _cells(size: Size) -> pd.DataFrame:
    pairs = [(c, n) for n in size.noises for c in size.conditions]
    return pd.DataFrame(pairs, columns=list(quadratics.CELL), dtype=float)


def _chosen_points(cells: pd.DataFrame, chosen: pd.DataFrame, width: int) -> np.ndarray:
    """(cells, 1, width): the chosen hyperparameters in the order of the cells."""
    ordered = cells.merge(chosen, on=list(quadratics.CELL), how="left")
    points: np.ndarray = ordered[list(FIELDS[:width])].to_numpy(float)
    return points[:, None, :]


def _from_momentums_rate(
    conf: Conf,
    size: Size,
    row: Entry,
    cells: pd.DataFrame,
    whole: pd.DataFrame,
    role: str,
    pairs: Sequence[tuple[float, float]],
    progress: Callable[[str, int, int], Any],
) -> pd.DataFrame:
    """Final seeds at factors of the rate chosen for momentum, each with a law rate."""
    tuned = whole[(whole.role == "tune") & (whole.optimizer == quadratics.MOMENTUM)]
    rates = _chosen_points(cells, quadratics.chosen(tuned), 1)[:, 0, 0]
    points = np.array([[(f * rate, c2) for f, c2 in pairs] for rate in rates])
    tell = partial(progress, f"{row.label} from momentum's rates")
    found = _runs(conf, size, row, cells, points, size.final_seeds, tell)
    tuned_for = cells.assign(rate=rates)
    joined = found.merge(tuned_for, on=list(quadratics.CELL))
    return found.assign(role=role, factor=(joined.learning_rate / joined.rate).round(6))


def _runs(
    conf: Conf,
    size: Size,
    row: Entry,
    cells: pd.DataFrame,
    points: np.ndarray,
    seeds: Sequence[int],
    progress: Callable[[int, int], Any],
) -> pd.DataFrame:
    """Trains one optimizer at points (cells, points, 1-2); a table row per run."""
    words = ["task=known/quadratic", f"optimizer={row.config}", f"protocol.steps={size.steps}"]
    run = configuration.run_of(configuration.compose(conf, [*words, *row.words]), {})
    hyper = {name: points[..., i] for i, name in enumerate(FIELDS[: points.shape[-1]])}
    for name in set(run.traced) - set(hyper):
        value = np.asarray(run.traced[name], float)
        hyper[name] = np.broadcast_to(value, (*points.shape[:2], *value.shape))
    made = partial(quadratic.assembled, "quadratic", DIMENSION, spacing=SPACING, basis=row.basis)
    numbers = {name: cells[name].to_numpy() for name in quadratics.CELL}
    runs = len(cells) * len(seeds) * points.shape[1]
    ended = family.train(
        made, numbers, run.optimizer, hyper, seeds, size.steps,
        progress=lambda count: progress(runs, count),
    )  # fmt: skip
    return _table(row.label, cells, seeds, points, ended)


def _table(
    label: str, cells: pd.DataFrame, seeds: Sequence[int], points: np.ndarray, ended: family.Ended
) -> pd.DataFrame:
    c, s, r = (index.ravel() for index in np.indices(ended.metric.shape))
    table = cells.iloc[c].reset_index(drop=True)
    table["optimizer"], table["seed"] = label, np.asarray(seeds)[s]
    for i, name in enumerate(FIELDS[: points.shape[-1]]):
        table[name] = points[c, r, i]
    table["excess"], table["diverged"] = ended.metric.ravel(), ended.diverged.ravel()
    laws = ended.probes.get("law", np.zeros((*ended.metric.shape, 0)))
    for k in range(laws.shape[-1]):
        table[f"law_{k + 1}"] = laws[..., k].ravel()
    return table.reindex(columns=quadratics.RUNS)
