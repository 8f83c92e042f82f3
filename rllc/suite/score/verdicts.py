"""From two arrays of scores to a word about a claimed difference, and what it could have detected.

The main comparison is unpaired, with the deviation over seeds pooled over all cells of a task: runs
of one seed share their start and their batches, but their results do not correlate, so pairs would
only cost degrees of freedom. The paired comparison is the check.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from rllc.suite.score.statistics import LEVEL, Interval, pooled_std

POWER = 0.8  # chance to detect what is called detectable
REPLICATED, SMALLER, EQUIVALENT, REVERSED, INCONCLUSIVE = (
    "replicated", "smaller than claimed", "equivalent", "reversed", "inconclusive",
)  # fmt: skip


class Spread(NamedTuple):
    """A standard deviation over seeds and its degrees of freedom."""

    deviation: float
    freedom: int


class Effect(NamedTuple):
    """A difference of two means, its standard error and degrees of freedom."""

    estimate: float
    error: float
    freedom: int

    def interval(self, level: float = LEVEL) -> Interval:
        """Student's interval; NaN ends without degrees of freedom. ``n`` is freedom + 1."""
        if self.freedom < 1:
            return Interval(self.estimate, np.nan, np.nan, self.freedom + 1)
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        return Interval(self.estimate, self.estimate - half, self.estimate + half, self.freedom + 1)

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference; NaN without degrees of freedom, 0 or 1 without spread."""
        if self.freedom < 1:
            return float("nan")
        if self.error == 0:
            return float(self.estimate == 0)
        return float(2 * stats.t.sf(abs(self.estimate / self.error), self.freedom))


def pooled_spread(cells: Iterable[ArrayLike]) -> Spread:
    """Deviation over seeds pooled over cells, each an array (s,); NaN scores are left out."""
    known = [x[np.isfinite(x)] for x in (np.asarray(cell, float) for cell in cells)]
    known = [x for x in known if len(x) > 1]
    deviation = pooled_std([x.std(ddof=1) for x in known], [len(x) for x in known])
    return Spread(deviation, sum(len(x) - 1 for x in known))


def unpaired(ours: ArrayLike, theirs: ArrayLike, spread: Spread) -> Effect:
    """Difference of the means of two arrays, of any sizes, with a deviation known from elsewhere.

    Args:
      ours: (s,), NaN where there is no run.
      theirs: (s',).
      spread: from `pooled_spread`, of cells that may include these two.
    """
    x, y = (a[np.isfinite(a)] for a in (np.asarray(ours, float), np.asarray(theirs, float)))
    if not len(x) or not len(y):
        return Effect(np.nan, np.nan, 0)
    error = spread.deviation * np.sqrt(1 / len(x) + 1 / len(y))
    return Effect(float(x.mean() - y.mean()), float(error), spread.freedom)


def in_pairs(ours: ArrayLike, theirs: ArrayLike) -> Effect:
    """Mean difference of two arrays (s,) over the seeds that both have."""
    difference = np.asarray(ours, float) - np.asarray(theirs, float)
    difference = difference[np.isfinite(difference)]
    n = len(difference)
    if n < 2:
        return Effect(float(difference.mean()) if n else np.nan, np.nan, 0)
    error = float(difference.std(ddof=1) / np.sqrt(n))
    return Effect(float(difference.mean()), error, n - 1)


def is_equivalent(effect: Effect, margin: float, level: float = LEVEL) -> bool:
    """Whether two one-sided tests both find the difference nearer to 0 than a margin.

    At level 1 - α the interval of level 1 - 2α must lie within the margins, ends excluded.

    Reference: Schuirmann (1987), A comparison of the two one-sided tests procedure.
    """
    low, high = effect.interval(2 * level - 1)[1:3]
    return bool(-margin < low and high < margin)


def power(difference: float, effect: Effect, level: float = LEVEL) -> float:
    """Chance that an effect with this error is found to differ from 0, if the truth is so large."""
    if effect.freedom < 1 or not effect.error > 0:
        return float("nan")
    limit, freedom = stats.t.ppf((1 + level) / 2, effect.freedom), effect.freedom
    shift = abs(difference) / effect.error
    above = stats.nct.sf(limit, freedom, shift)
    if np.isnan(above):  # scipy's series fails far out
        return 1.0
    return float(above + stats.nct.cdf(-limit, freedom, shift))


def detectable(effect: Effect, chance: float = POWER, level: float = LEVEL) -> float:
    """The smallest true difference that is found with this chance, in the unit of the effect."""
    if effect.freedom < 1 or not effect.error > 0:
        return float("nan")

    def lack(errors: float) -> float:
        return power(errors * effect.error, effect, level) - chance

    most = 1.0
    while lack(most) < 0:
        most *= 2
    return float(optimize.brentq(lack, 0.0, most)) * effect.error


def verdict(effect: Effect, claimed: float, margin: float) -> str:
    """One word about the claim that a difference is positive.

    A limit that the 95 % interval contains, ends included, is never passed. In this order:

    - `REVERSED`: the interval lies below 0;
    - `REPLICATED`: it lies above 0 and reaches the claimed difference;
    - `SMALLER`: it lies above 0 and below the claimed difference;
    - `EQUIVALENT`: it holds 0, and the difference is within the margin (`is_equivalent`);
    - `INCONCLUSIVE`: otherwise; `detectable` says what could have been seen.

    Args:
      effect: positive where the claim is right.
      claimed: the difference that was claimed.
      margin: differences nearer to 0 do not matter.
    """
    _, low, high, _ = effect.interval()
    if high < 0:
        return REVERSED
    if low > 0:
        return REPLICATED if high >= claimed else SMALLER
    return EQUIVALENT if is_equivalent(effect, margin) else INCONCLUSIVE
