"""Estimates over tasks that are a sample of tasks: random effects, ranks, the chance to win."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from rllc.suite.score.statistics import LEVEL, RESAMPLES, Floats, Interval


class RandomEffects(NamedTuple):
    """An estimate over tasks.

    Attributes:
      mean: with its 95 % interval; ``n`` counts tasks.
      between: standard deviation between tasks of the true effects, τ.
      following: 95 % interval of the true effect on one more task like these.
    """

    mean: Interval
    between: float
    following: tuple[float, float]


class Friedman(NamedTuple):
    """Whether optimizers differ in rank at all, and by how much two have to.

    Attributes:
      mean_ranks: (o,), 1 is best, ties share.
      p_value: of Friedman's test, that all optimizers rank alike.
      critical: two mean ranks further apart than this differ at 5 % by Nemenyi's test.
    """

    mean_ranks: Floats
    p_value: float
    critical: float


def random_effects(effects: ArrayLike, errors: ArrayLike) -> RandomEffects:
    """The mean effect over tasks that are a sample of tasks.

    τ² is that of Paule and Mandel, the interval that of Hartung, Knapp, Sidik and Jonkman, never
    narrower than with their factor at 1, which few tasks can undershoot by chance.

    Args:
      effects: (t,), of tasks.
      errors: (t,), their standard errors, positive.

    Returns:
      Intervals without ends for fewer than two tasks; no following task for fewer than three.

    Reference: Röver, Knapp, Friede (2015), Hartung-Knapp-Sidik-Jonkman approach and its
    modification for random-effects meta-analysis with few studies; Higgins, Thompson,
    Spiegelhalter (2009) for the following task.
    """
    y, v = np.asarray(effects, float), np.square(np.asarray(errors, float))
    n, none = len(y), (float("nan"), float("nan"))
    if n < 2:
        return RandomEffects(Interval(float(y.mean()) if n else np.nan, *none, n), np.nan, none)
    variance = _between(y, v)
    weights = 1 / (v + variance)
    mean, scatter = _weighted(y, weights)
    error = np.sqrt(max(1.0, scatter / (n - 1)) / weights.sum())
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * error
    following = none
    if n > 2:
        wide = stats.t.ppf((1 + LEVEL) / 2, n - 2) * np.sqrt(variance + error**2)
        following = float(mean - wide), float(mean + wide)
    return RandomEffects(
        Interval(mean, float(mean - half), float(mean + half), n), np.sqrt(variance), following
    )


def _weighted(y: Floats, weights: Floats) -> tuple[float, float]:
    """The weighted mean, and the weighted squares around it."""
    mean = float((weights * y).sum() / weights.sum())
    return mean, float((weights * (y - mean) ** 2).sum())


def _between(y: Floats, v: Floats) -> float:
    """Paule and Mandel's τ²: with it, the weighted squares are what n tasks should give."""

    def excess(variance: float) -> float:
        return _weighted(y, 1 / (v + variance))[1] - (len(y) - 1)

    if excess(0.0) <= 0:
        return 0.0
    most = float(y.var(ddof=1))  # with equal weights; more is never needed but for rounding
    while excess(most) > 0:
        most *= 2
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-12))


def friedman(means: ArrayLike) -> Friedman:
    """Friedman's test of means (o, t), higher is better, and Nemenyi's critical difference.

    Raises:
      ValueError: fewer than three optimizers or two tasks.

    Reference: Demšar (2006), Statistical comparisons of classifiers over multiple data sets.
    """
    x = np.asarray(means, float)
    k, n = x.shape
    if k < 3 or n < 2:
        raise ValueError(f"{k} optimizers on {n} tasks; Friedman's test needs 3 on 2")
    p_value = float(stats.friedmanchisquare(*x).pvalue)
    quantile = stats.studentized_range.ppf(LEVEL, k, np.inf) / np.sqrt(2)
    ranks = np.asarray(stats.rankdata(-x, axis=0).mean(axis=1), float)
    return Friedman(ranks, p_value, float(quantile * np.sqrt(k * (k + 1) / (6 * n))))


def improvement(ours: ArrayLike, theirs: ArrayLike, rng: np.random.Generator) -> Interval:
    """Chance that a run of ours beats one of theirs, on a task drawn at random.

    The mean over tasks of how often one of all pairs of runs wins, ties counting half. The
    interval resamples runs within tasks, so it tells seeds apart, not tasks.

    Args:
      ours: (t, s), higher is better; NaN where there is no run.
      theirs: (t, s').
      rng: resamples.

    Returns:
      Without ends where a task has fewer than three runs on a side; ``n`` counts tasks.

    Reference: Agarwal et al. (2021), Deep RL at the edge of the statistical precipice.
    """
    pairs = [
        (a[np.isfinite(a)], b[np.isfinite(b)])
        for a, b in zip(np.atleast_2d(ours), np.atleast_2d(theirs), strict=True)
    ]
    pairs = [(a, b) for a, b in pairs if len(a) and len(b)]
    if not pairs:
        return Interval(np.nan, np.nan, np.nan, 0)
    wins = [(a[:, None] > b) + 0.5 * (a[:, None] == b) for a, b in pairs]
    estimate = float(np.mean([share.mean() for share in wins]))
    if min(min(share.shape) for share in wins) < 3:
        return Interval(estimate, np.nan, np.nan, len(pairs))
    drawn = np.mean([_resampled(share, rng) for share in wins], axis=0)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, float(low), float(high), len(pairs))


def _resampled(wins: Floats, rng: np.random.Generator) -> Floats:
    """Share of pairs (s, s') won, of `RESAMPLES` draws of the runs of both sides."""
    ours, theirs = (_times_drawn(n, rng) for n in wins.shape)
    shares: Floats = ((ours @ wins) * theirs).sum(axis=1) / wins.size
    return shares


def _times_drawn(n: int, rng: np.random.Generator) -> Floats:
    """How often each of n runs is in each resample of n: shape (RESAMPLES, n)."""
    drawn = rng.choice(n, (RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
    return np.bincount(drawn.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(float)
