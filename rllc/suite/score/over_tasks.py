"""What holds over tasks: per-task effects first, then estimates in which the task is random.

An effect is how many percent of the best baseline's distance to a perfect value an optimizer saves
on one task (see `ranking`). Two means of runs differ, unpaired, with a deviation over seeds that is
pooled over the optimizers of the task. Tasks are few and unlike, so an estimate over them takes its
interval from how they differ, not from how many seeds they had.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, stats

from rllc.suite.markdown import markdown_table
from rllc.suite.score import comparisons, verdicts
from rllc.suite.score.ranking import Field
from rllc.suite.score.statistics import LEVEL, RESAMPLES, Floats, Interval
from rllc.suite.study import Study

COLUMNS = [
    "optimizer", "tasks", "effect", "effect_low", "effect_high", "between_tasks", "next_low",
    "next_high", "mean_rank", "improvement", "improvement_low", "improvement_high",
]  # fmt: skip
EFFECTS = ["task", "optimizer", "effect", "error", "low", "high", "n"]
_INTRO = """\
# What holds over tasks

An effect is the share (%) that an optimizer saves of the distance of a task's {best} to a perfect \
test value; with accuracies, of its errors. Means of runs are compared unpaired, with a deviation \
over seeds pooled over the optimizers of the task. The {best} of a task is chosen on the test data \
it is compared on, which favours it. Over tasks, the task is a random effect (Paule and Mandel's \
τ, interval of Hartung, Knapp, Sidik and Jonkman), and \"a following task\" is where the true \
effect on one more task like these is expected. The chance is that of one run against one run; its \
interval resamples seeds, the others tell tasks apart. A task on which a run diverged is noisy and \
weighs little in the mean effect; ranks and chances count it in full. All intervals are 95 %."""


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
    estimate = float(np.mean([_wins(a, b) for a, b in pairs]))
    if min(min(len(a), len(b)) for a, b in pairs) < 3:
        return Interval(estimate, np.nan, np.nan, len(pairs))
    drawn = np.mean(
        [
            _wins(rng.choice(a, (RESAMPLES, len(a))), rng.choice(b, (RESAMPLES, len(b))))
            for a, b in pairs
        ],
        axis=0,
    )
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, float(low), float(high), len(pairs))


def _wins(ours: Floats, theirs: Floats) -> Floats:
    """Share of pairs (…, s) × (…, s') that ours wins, ties counting half: shape (…)."""
    difference = ours[..., :, None] - theirs[..., None, :]
    return np.asarray(((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1)))


def effects(field: Field, tasks: list[str]) -> pd.DataFrame:
    """Each optimizer's effect on each of some tasks it was measured on, baselines included.

    Args:
      field: from `ranking.field`.
      tasks: t names of it.

    Returns:
      `EFFECTS`: percent of the best baseline's distance saved, with its standard error and its
      95 % interval; ``n`` runs. The best baseline is level with itself, with the error of a second
      sample of its runs. Cells with a diverged run are left out of the pooled deviation; a pair
      with such a cell has its own. Without a second run anywhere on a task, errors are NaN.
    """
    rows = []
    for task in tasks:
        t = field.tasks.index(task)
        value, base = field.value[:, t], field.optimizers.index(field.best[t])
        unit = 100 / (field.perfect[t] - np.nanmean(value[base]))
        lost = [o for o, name in enumerate(field.optimizers) if (name, task) in field.lost]
        steady = verdicts.pooled_spread(np.delete(value, lost, axis=0))
        for o, name in enumerate(field.optimizers):
            own = {o, base} & set(lost)
            spread = verdicts.pooled_spread(value[[o, base]]) if own else steady
            n = int(np.isfinite(value[o]).sum())
            if n:
                effect = verdicts.unpaired(value[o], value[base], spread)
                estimate, low, high, _ = (unit * x for x in effect.interval())
                rows.append((task, name, estimate, unit * effect.error, low, high, n))
    return pd.DataFrame(rows, columns=EFFECTS)


def table(field: Field, tasks: list[str]) -> pd.DataFrame:
    """Estimates over tasks of every optimizer that was measured on all of them, best first.

    Args:
      field: from `ranking.field`.
      tasks: names of it.

    Returns:
      `COLUMNS`: the mean effect (percent of the best baseline's distance saved) with its interval,
      the deviation between tasks, the interval of a following task, the mean rank over tasks, and
      the chance that a run beats one of its task's best baseline.
    """
    inside = [field.tasks.index(task) for task in tasks]
    names, found = measured_on_all(field, tasks), effects(field, tasks)
    if not names:
        return pd.DataFrame(columns=COLUMNS)
    ranks = stats.rankdata(-means(field, names, tasks), axis=0).mean(axis=1)
    rows = [
        _over(field, found[found.optimizer == name], name, inside) | {"mean_rank": rank}
        for name, rank in zip(names, ranks, strict=True)
    ]
    columns = pd.DataFrame(rows)[COLUMNS]
    return columns.sort_values("effect", ascending=False, kind="stable").reset_index(drop=True)


def measured_on_all(field: Field, tasks: list[str]) -> list[str]:
    """Labels of the optimizers that have runs on all of some tasks, in the field's order."""
    inside = [field.tasks.index(task) for task in tasks]
    known = np.asarray(np.isfinite(field.value[:, inside]).any(axis=2))
    return [name for name, row in zip(field.optimizers, known, strict=True) if row.all()]


def means(field: Field, names: list[str], tasks: list[str]) -> Floats:
    """Mean over seeds of the leading metric, (o, t), its sign so that higher is better."""
    o, t = (
        [known.index(name) for name in wanted]
        for known, wanted in ((field.optimizers, names), (field.tasks, tasks))
    )
    return np.nanmean(field.value[np.ix_(o, t)], axis=2)


def _over(field: Field, found: pd.DataFrame, name: str, inside: list[int]) -> dict:
    over = random_effects(found.effect, found.error)
    o = field.optimizers.index(name)
    best = [field.optimizers.index(field.best[t]) for t in inside]
    theirs = field.value[best, inside]
    chance = improvement(field.value[o, inside], theirs, comparisons.stream("improvement", name))
    return {
        "optimizer": name, "tasks": over.mean.n,
        "effect": over.mean.estimate, "effect_low": over.mean.low, "effect_high": over.mean.high,
        "between_tasks": over.between,
        "next_low": over.following[0], "next_high": over.following[1],
        "improvement": chance.estimate,
        "improvement_low": chance.low, "improvement_high": chance.high,
    }  # fmt: skip


def to_markdown(study: Study, field: Field, sets: list[list[str]]) -> str:
    """Per-task effects, then estimates over tasks, for each set of tasks, in Markdown."""
    best = "best baseline" if study.baselines else "best optimizer"
    parts = [_INTRO.format(best=best)]
    for tasks in sets:
        found, over = effects(field, tasks), table(field, tasks)
        parts += [f"## {study.titles(tasks)}", _ranked(study, field, list(over.optimizer), tasks)]
        parts += [_each(study, found, list(over.optimizer), tasks), _whole(study, over, best)]
    return "\n\n".join(parts if sets else [*parts, "Not yet measured."]) + "\n"


def _ranked(study: Study, field: Field, names: list[str], tasks: list[str]) -> str:
    if len(names) < 3 or len(tasks) < 2:
        return "Too few optimizers or tasks to test whether ranks differ."
    found = friedman(means(field, names, tasks))
    ranks = found.mean_ranks
    apart = [
        f"{study.pretty(names[a])} from {study.pretty(names[b])}"
        for a, b in zip(*np.nonzero(ranks[None] - ranks[:, None] > found.critical), strict=True)
    ]
    return (
        f"{len(names)} optimizers on {len(tasks)} tasks. That all rank alike: p = "
        f"{found.p_value:.2g} (Friedman). Mean ranks differ at 5 % where they are more than "
        f"{found.critical:.1f} apart (Nemenyi): {', '.join(apart) or 'none are'}."
    )


def _each(study: Study, found: pd.DataFrame, names: list[str], tasks: list[str]) -> str:
    cells = {(row.optimizer, row.task): row for row in found.itertuples()}
    body = [
        [study.pretty(name), *(_interval(*_ends(cells[name, task])) for task in tasks)]
        for name in names
    ]
    return markdown_table(["effect on", *map(study.title, tasks)], body)


def _ends(row: Any) -> tuple[float, float, float]:
    return row.effect, row.low, row.high


def _whole(study: Study, over: pd.DataFrame, best: str) -> str:
    head = [
        "over tasks", "mean effect", "τ between tasks", "a following task", "mean rank",
        f"chance to beat the {best}",
    ]  # fmt: skip
    body = [
        [
            study.pretty(row.optimizer), _interval(row.effect, row.effect_low, row.effect_high),
            "–" if pd.isna(row.between_tasks) else f"{row.between_tasks:.1f}",
            "–" if pd.isna(row.next_low) else f"{row.next_low:+.1f} to {row.next_high:+.1f}",
            f"{row.mean_rank:.1f}",
            _interval(row.improvement, row.improvement_low, row.improvement_high, ".2f"),
        ]
        for row in over.itertuples()
    ]  # fmt: skip
    return markdown_table(head, body)


def _interval(value: float, low: float, high: float, form: str = "+.1f") -> str:
    ends = "" if pd.isna(low) else f" [{low:{form}}, {high:{form}}]"
    return f"{value:{form}}{ends}"
