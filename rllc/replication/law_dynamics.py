"""What the learning law does over training: the measures behind Figure 2 and its claims.

For M(β)⊕M(0.0) with law (L_1, L_2) the special laws are SGD (0, c), momentum SGD (c, 0) and
Nesterov's method (βc, c) (A.2), so the ratio L_1 / L_2 passes β where the optimizer is Nesterov's.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.suite.score.statistics import Floats

MIXED = "M(0.9)+M(0.0)"  # the optimizer of Figure 2a
COUPLED = "M(0.9)+M(0.8)+M(0.7)"  # the optimizer of Figure 2b
DECAY = 0.9
VANISHED = 0.05  # of the run's largest law; where the law is smaller its direction is noise
CROSSING_RANGE = (1_000, 4_000)  # within a factor of two of the paper's “around the 2k step”
MOST_SEEDS = 0.9  # all of three, nine of ten
NESTEROV_ANGLE = float(np.degrees(np.arctan(DECAY)))  # 42°


class LawCurves(NamedTuple):
    """Laws over training.

    Attributes:
      steps: (l,).
      law: (s, l, k); NaN after a run diverged.
      seeds: (s,).
    """

    steps: np.ndarray
    law: Floats
    seeds: np.ndarray


def law_curves(records: Any, final: pd.DataFrame, task: str, optimizer: str) -> LawCurves | None:
    """Laws of one cell's final runs, or None where none is recorded.

    Args:
      records: anything with ``laws(runs)``.
      final: from `readings.final_runs`.
      task: name.
      optimizer: label.
    """
    runs = final[(final.task == task) & (final.optimizer == optimizer)].sort_values("seed")
    laws = records.laws(runs.run) if len(runs) else pd.DataFrame()
    if not len(laws):
        return None
    laws = laws.sort_values(["run", "step"])
    steps = np.sort(laws.step.unique())
    by_run = dict(iter(laws.groupby("run")))
    kept = [run for run in runs.itertuples() if run.run in by_run]
    units = len(laws.law.iloc[0])
    law = np.full((len(kept), len(steps), units), np.nan)
    for row, run in enumerate(kept):
        members = by_run[run.run]
        law[row, np.searchsorted(steps, members.step)] = np.stack(members.law.to_list())
    return LawCurves(steps, law, np.array([run.seed for run in kept]))


def angle(law: Floats) -> Floats:
    """Direction of a law of M(β)⊕M(0.0), in degrees: 0 SGD, 42 Nesterov, 90 momentum SGD.

    Args:
      law: (…, 2).
    """
    return np.degrees(np.arctan2(law[..., 0], law[..., 1]))


def has_vanished(law: Floats) -> np.ndarray:
    """Where the norm of a law is below `VANISHED` of its largest over training.

    Args:
      law: (s, l, k); NaN after a run diverged, which is not called vanished.

    Returns:
      (s, l).
    """
    norm = np.linalg.norm(law, axis=-1)
    small: np.ndarray = norm < VANISHED * np.nanmax(norm, axis=-1, keepdims=True)
    return small


def nesterov_crossing(steps: np.ndarray, law: Floats, decay: float = DECAY) -> Floats:
    """Step at which L_1 / L_2 passes `decay` from above for the last time, per seed.

    Interpolated linearly between recorded laws; those that have vanished do not count. NaN where
    the ratio never passes or ends above.

    Args:
      steps: (l,).
      law: (s, l, 2).
      decay: β of the first unit.

    Returns:
      (s,).
    """
    excess = law[..., 0] - decay * law[..., 1]  # a sign change, so that L_2 = 0 does no harm
    steps, kept = np.asarray(steps, float), ~has_vanished(law)
    return np.array([_last_fall(steps[k], row[k]) for k, row in zip(kept, excess, strict=True)])


def _last_fall(steps: Floats, excess: Floats) -> float:
    """Last step at which `excess` falls through 0; NaN unless it ends below."""
    falls = np.flatnonzero((excess[:-1] >= 0) & (excess[1:] < 0))
    if not len(falls) or not excess[-1] < 0:
        return np.nan
    i = falls[-1]
    part = excess[i] / (excess[i] - excess[i + 1])
    return float(steps[i] + part * (steps[i + 1] - steps[i]))


def dominance(law: Floats, share: float = 0.1) -> tuple[Floats, Floats]:
    """Mean of L_1 - L_2 in the first and in the last `share` of training, per seed: two (s,).

    The start itself (the initial law) is left out.

    Args:
      law: (s, l, 2).
      share: fraction of training at each end.
    """
    gap = law[:, 1:, 0] - law[:, 1:, 1]
    count = max(1, round(share * gap.shape[1]))
    return gap[:, :count].mean(axis=1), gap[:, -count:].mean(axis=1)


def is_reversed(law: Floats) -> np.ndarray:
    """Whether L_1 dominates in the first tenth of training and L_2 in the last, per seed: (s,).

    Args:
      law: (s, l, 2).
    """
    early, late = dominance(law)
    return (early > 0) & (late < 0)


def is_as_in_paper(crossing: float) -> bool:
    """Whether a Nesterov crossing lies within `CROSSING_RANGE`; one that is NaN does not."""
    return CROSSING_RANGE[0] <= crossing <= CROSSING_RANGE[1]


def mostly_reversed(law: Floats) -> bool:
    """Whether a law (s, l, 2) is reversed (`is_reversed`) in nine seeds of ten."""
    return bool(is_reversed(law).mean() >= MOST_SEEDS)


def crosses_as_in_paper(crossings: Floats) -> bool:
    """Whether more than half of the seeds cross, and their median does around the paper's step.

    Args:
      crossings: from `nesterov_crossing`.
    """
    found = crossings[np.isfinite(crossings)]
    return 2 * len(found) > len(crossings) and is_as_in_paper(float(np.median(found)))


def coupling(law: Floats) -> tuple[Floats, Floats]:
    """How the last two coefficients go together, per seed.

    Args:
      law: (s, l, k).

    Returns:
      (correlation over training (s,), fraction of the second half of training in which their
      signs are opposite (s,)). A constant coefficient has correlation NaN.
    """
    a, b = law[..., -2], law[..., -1]
    x, y = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norm = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    correlation = np.divide((x * y).sum(axis=1), norm, out=np.full(len(a), np.nan), where=norm > 0)
    half = a.shape[1] // 2
    return correlation, (a[:, half:] * b[:, half:] < 0).mean(axis=1)
