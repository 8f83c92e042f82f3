"""Statistics on arrays with fixed axes: o optimizers, t tasks, s seeds, e evaluations, q levels.

Everything is paired: seed i gives every optimizer the same start and the same batches, so
differences are taken seed by seed. Random generators are arguments.
"""

import functools
from collections.abc import Sequence
from math import comb, lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
LEVEL = 0.95  # confidence of every interval
RESAMPLES = 10_000
FINEST = 1e-3  # quantile of `RESAMPLES` resamples below which an interval would hang on a few
SMALL = (
    6  # below this many values intervals are Student's t: few values have few distinct resamples
)


class Interval(NamedTuple):
    """An estimate with its confidence interval (NaN ends where n < 2)."""

    estimate: float
    low: float
    high: float
    n: int

    def excludes(self, value: float) -> bool:
        """Whether the interval exists and does not hold `value`."""
        return bool(value < self.low or value > self.high)


class Comparison(NamedTuple):
    """A paired comparison: mean difference with its interval, and a two-sided p-value."""

    difference: Interval
    p_value: float


def tail(n: int, freedom: int, level: float = LEVEL) -> float:
    """Lower quantile of bootstrapped means at which an interval from few values begins.

    Plain percentiles are too narrow: by sqrt((n - 1) / n), since resamples vary as if n values had
    the variance with divisor n, and by the normal distribution in place of Student's t.
    This quantile corrects both: the expanded percentile interval of Hesterberg (2015), What
    teachers should know about the bootstrap.

    Args:
      n: values per stratum, at least 2.
      freedom: degrees of freedom of the spread, n - 1 summed over strata.
      level: confidence.
    """
    quantile = _student((1 - level) / 2, freedom)
    return float(stats.norm.cdf(np.sqrt(n / (n - 1)) * quantile))


@functools.cache  # a tenth of a millisecond each, for few different numbers
def _student(share: float, freedom: int) -> float:
    """Quantile of Student's t."""
    return float(stats.t.ppf(share, freedom))


def mean_interval(values: ArrayLike, rng: np.random.Generator, level: float = LEVEL) -> Interval:
    """Mean of values (s,): Student's t for fewer than `SMALL`, else the bootstrap (`tail`).

    Non-finite values are left out.
    """
    x = np.asarray(values, float)
    x = x[np.isfinite(x)]
    n = len(x)
    if n < 2:
        return Interval(float(x.mean()) if n else np.nan, np.nan, np.nan, n)
    mean = float(x.mean())
    if n < SMALL:
        half = float(_student((1 + level) / 2, n - 1) * x.std(ddof=1) / np.sqrt(n))
        return Interval(mean, mean - half, mean + half, n)
    means = rng.choice(x, (RESAMPLES, n)).mean(axis=1)
    return Interval(mean, *_between(means, tail(n, n - 1, level)), n)


def _between(resampled: Floats, lowest: float) -> tuple[float, float]:
    low, high = np.quantile(resampled, [lowest, 1 - lowest])
    return float(low), float(high)


def t_intervals(values: ArrayLike, level: float = LEVEL) -> tuple[Floats, Floats, Floats]:
    """Mean of values (s, …) over s and the ends of its interval (Student's t), each (…).

    Non-finite values are left out; with fewer than two there is no interval, and the ends are NaN.
    """
    x = np.asarray(values, float)
    x = np.where(np.isfinite(x), x, np.nan)
    n = np.isfinite(x).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(x, axis=0) / n
        std = np.sqrt(np.nansum((x - mean) ** 2, axis=0) / (n - 1))
        half = stats.t.ppf((1 + level) / 2, np.maximum(n - 1, 1)) * std / np.sqrt(n)
    half = np.where(n > 1, half, np.nan)
    return mean, mean - half, mean + half


def paired(ours: ArrayLike, theirs: ArrayLike, rng: np.random.Generator) -> Comparison:
    """Compares two arrays (s,) over the same seeds; the p-value is the paired t-test's.

    Without any spread the p-value is 1 for equal arrays and 0 for a constant shift; with
    fewer than two pairs it is NaN.
    """
    difference = np.asarray(ours, float) - np.asarray(theirs, float)
    difference = difference[np.isfinite(difference)]
    interval = mean_interval(difference, rng)
    if len(difference) < 2:
        return Comparison(interval, np.nan)
    spread = difference.std(ddof=1)
    if spread <= 1e-12 * np.abs(difference).max(initial=0.0):
        return Comparison(interval, float(not difference.any()))
    t = interval.estimate / (spread / np.sqrt(len(difference)))
    return Comparison(interval, float(2 * stats.t.sf(abs(t), len(difference) - 1)))


def holm(p_values: ArrayLike) -> Floats:
    """Holm's adjusted p-values (same shape (m,)); NaN stays NaN and does not count.

    Reference: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    p = np.asarray(p_values, float)
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def pooled_std(stds: ArrayLike, counts: ArrayLike) -> float:
    """Standard deviation pooled over groups of the given sizes; NaN where none has two values."""
    variances, freedom = np.square(np.asarray(stds, float)), np.asarray(counts, float) - 1
    use = np.isfinite(variances) & (freedom > 0)
    if not use.any():
        return float("nan")
    return float(np.sqrt((variances[use] * freedom[use]).sum() / freedom[use].sum()))


def spread_ratio(values: ArrayLike, is_ours: ArrayLike) -> Interval:
    """How much more some rows vary over seeds than the others, with a jackknife interval.

    The ratio of a task is that of its two pooled standard deviations; tasks are averaged on the log
    scale. The jackknife leaves out one seed of one task for all rows at once, since seeds are
    shared, and takes Student's t. ``n`` counts tasks.

    Args:
      values: (t, o, s), NaN where there is no run.
      is_ours: mask (o,).
    """
    x, ours = np.asarray(values, float), np.asarray(is_ours, bool)

    def log_ratio(task: Floats) -> float:
        known = np.isfinite(task).sum(axis=1)
        rows = [
            (row[np.isfinite(row)].std(ddof=1) if n > 1 else np.nan, n)
            for row, n in zip(task, known, strict=True)
        ]
        stds, counts = np.array(rows, float).T
        return float(
            np.log(pooled_std(stds[ours], counts[ours]) / pooled_std(stds[~ours], counts[~ours]))
        )

    logs, variance, freedom = [log_ratio(task) for task in x], 0.0, 0
    for task in x:
        seeds = np.flatnonzero(np.isfinite(task).any(axis=0))
        left = np.array([log_ratio(np.delete(task, seed, axis=1)) for seed in seeds])
        variance += (len(seeds) - 1) * left.var() / len(x) ** 2
        freedom += len(seeds) - 1
    mean = float(np.mean(logs))
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
    ratio, low, high = map(float, np.exp([mean, mean - half, mean + half]))
    return Interval(ratio, low, high, len(x))


def welch(
    mean: ArrayLike, std: ArrayLike, n: ArrayLike,
    other_mean: ArrayLike, other_std: ArrayLike, other_n: ArrayLike,
) -> Floats:  # fmt: skip
    """Two-sided p-values of Welch's test from means, deviations and counts that broadcast.

    NaN where either side has fewer than two values. A p-value below 0.05 means that the 95 %
    interval of the difference excludes 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            stats.ttest_ind_from_stats(
                *(np.asarray(x, float) for x in (mean, std, n, other_mean, other_std, other_n)),
                equal_var=False,
            ).pvalue,
            float,
        )


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all finite scores (any shape); a quarter is cut at each end."""
    x = np.asarray(scores, float).ravel()
    x = x[np.isfinite(x)]
    return float(stats.trim_mean(x, 0.25)) if len(x) else float("nan")


def balanced_interquartile_mean(scores: ArrayLike) -> float:
    """The estimate of `stratified_interquartile_mean` without its bootstrap; scores (t, s)."""
    tasks = _finite(scores)
    return interquartile_mean(_balanced(tasks)) if tasks else float("nan")


def stratified_interquartile_mean(
    scores: ArrayLike, rng: np.random.Generator, level: float = LEVEL
) -> Interval:
    """Interquartile mean of scores (t, s) with a bootstrap that resamples seeds within tasks.

    Missing seeds are NaN. Every task counts the same, however many seeds it has. ``n`` counts
    finite scores. Ends are widened for few seeds (`tail`), and NaN where that would be beyond
    `FINEST`; up to three scores of one task, whose middle half is all of them, take Student's t.

    Reference: Agarwal et al. (2021), Deep RL at the edge of the statistical precipice.
    """
    tasks = _finite(scores)
    n = sum(map(len, tasks))
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    estimate = interquartile_mean(_balanced(tasks))
    if len(tasks) == 1 and n <= 3:
        return mean_interval(tasks[0], rng, level)
    fewest = min(map(len, tasks))
    lowest = tail(fewest, n - len(tasks), level) if fewest > 1 else 0.0
    if lowest < FINEST:
        return Interval(estimate, np.nan, np.nan, n)
    drawn = [rng.choice(row, (RESAMPLES, len(row))) for row in tasks]
    means = _middle_mean(_balanced(drawn))
    return Interval(estimate, *_between(means, lowest), n)


def _middle_mean(x: Floats) -> Floats:
    """Mean of the middle half of each row, as scipy's `trim_mean` takes it, but five times faster.

    NumPy sorts a row by vector instructions, and partitions it without.
    """
    cut = x.shape[1] // 4
    mean: Floats = np.sort(x, axis=1)[:, cut : x.shape[1] - cut].mean(axis=1)
    return mean


def _finite(scores: ArrayLike) -> list[Floats]:
    """The finite scores of each task that has any."""
    tasks = [row[np.isfinite(row)] for row in np.atleast_2d(np.asarray(scores, float))]
    return [row for row in tasks if len(row)]


def _balanced(tasks: list[Floats]) -> Floats:
    """Scores (…, s) of several tasks side by side, repeated to the same number for each."""
    number = lcm(*(row.shape[-1] for row in tasks))
    return np.concatenate([np.repeat(x, number // x.shape[-1], axis=-1) for x in tasks], axis=-1)


def performance_profile(values: ArrayLike, levels: ArrayLike, higher: bool = True) -> Floats:
    """Fraction of values (o, …) at least as good as each level (q,): shape (o, q).

    NaN is a miss; so is ``inf`` where lower is better.
    """
    x = np.asarray(values, float).reshape(len(np.asarray(values)), -1, 1)
    q = np.asarray(levels, float)
    shares: Floats = ((x >= q) if higher else (x <= q)).mean(axis=1)
    return shares


def balanced_profile(tasks: Sequence[ArrayLike], levels: ArrayLike, higher: bool = True) -> Floats:
    """Mean over tasks of their `performance_profile`, whatever number of runs (s,) each has.

    Returns:
      Shape (q,).

    Raises:
      ValueError: there is no task.
    """
    if not len(tasks):
        raise ValueError("a profile needs a task")
    shares = [performance_profile(np.asarray(x, float)[None], levels, higher)[0] for x in tasks]
    mean: Floats = np.mean(shares, axis=0)
    return mean


def steps_to_target(steps: ArrayLike, accuracy: ArrayLike, target: float) -> Floats:
    """First step at which accuracy (s, e) reaches the target: shape (s,); a miss is ``inf``.

    Args:
      steps: (e,), increasing.
      accuracy: (s, e).
      target: same unit as accuracy.
    """
    reached = np.asarray(accuracy, float) >= target
    first = np.asarray(steps, float)[reached.argmax(axis=1)]
    return np.where(reached.any(axis=1), first, np.inf)


def sensitivity(losses: ArrayLike, tolerance: float = 0.01) -> float:
    """Fraction of a grid's losses (any shape) within `tolerance`, relative, of the lowest.

    Diverged points are ``inf`` and count in the denominator.
    """
    x = np.asarray(losses, float).ravel()
    return float((x <= (1 + tolerance) * x.min()).mean()) if np.isfinite(x).any() else 0.0


def expected_best(values: ArrayLike, lower: bool = True) -> Floats:
    """Expected best of n trials drawn at random from a grid without repetition, n = 1 … p.

    Closed form: the i-th best of p values is the best of n with probability
    C(p - i, n - 1) / C(p, n).

    Args:
      values: (p,), finite.
      lower: whether lower is better.

    Returns:
      (p,), the first the mean of the grid, the last its best.

    Reference: Dodge et al. (2019), Show your work (there with repetition).
    """
    ordered = np.sort(np.asarray(values, float))
    ordered = ordered if lower else ordered[::-1]
    p = len(ordered)
    chances = [[comb(p - i, n - 1) / comb(p, n) for i in range(1, p + 1)] for n in range(1, p + 1)]
    expected: Floats = np.array(chances) @ ordered
    return expected


def divergence_rate(diverged: ArrayLike) -> float:
    """Fraction of runs that diverged; NaN for no runs."""
    x = np.asarray(diverged, bool)
    return float(x.mean()) if x.size else float("nan")
