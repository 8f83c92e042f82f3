"""One table that ranks every optimizer of the suite over all measured tasks.

The score of a run is how much nearer to a perfect value of the leading metric it comes than the
best baseline of its task with the same seed, in percent of that baseline's mean distance: with
accuracies how many fewer errors it makes, with losses how much lower they are. 0 is level, 10 a
tenth of the distance. Unlike the metrics it can be averaged over tasks. Means are interquartile,
intervals come from resampling seeds within tasks. A task has no score where its best baseline is
perfect, or where values lie beyond what its metric calls perfect: a log likelihood, a return.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from rllc.suite.markdown import with_interval
from rllc.suite.score import comparisons
from rllc.suite.score.readings import HEADLINE
from rllc.suite.score.statistics import (
    FINEST,
    RESAMPLES,
    Floats,
    stratified_interquartile_mean,
    tail,
)
from rllc.suite.study import Study
from rllc.suite.table import Column, Table, csv_only, optimizer_column
from rllc.suite.templates import render

UNTUNED = ["untuned", "untuned_low", "untuned_high", "untuned_runs"]


def ranking_table(study: Study, tasks: Sequence[str] = (), untuned: bool = False) -> Table:
    """The columns of `ranking` over some tasks, `UNTUNED` with them where there are such runs."""
    saved, best = study.saved(tasks), "best baseline" if study.baselines else "best"
    return Table((
        *csv_only("reading", "over"), Column("rank", "rank"), optimizer_column(study),
        *csv_only("family", "tasks"), Column("runs", "runs"),
        Column("score", f"{saved} than {best} (%)",
               lambda row: with_interval(row.score, row.score_low, row.score_high, "+.1f")),
        *csv_only("score_low", "score_high"),
        *(_UNTUNED if untuned else ()),
        Column("mean_rank", "mean rank", lambda row: with_interval(
            row.mean_rank, row.mean_rank_low, row.mean_rank_high, ".1f"
        )),
        *csv_only("mean_rank_low", "mean_rank_high"),
        Column("beats_best_baseline", f"beats {best}",
               lambda row: f"{row.beats_best_baseline} of {row.tasks}"),
        Column("diverged_runs", "diverged runs"),
    ))  # fmt: skip


_UNTUNED = (
    Column(
        "untuned", "untuned (%)",
        lambda row: with_interval(row.untuned, row.untuned_low, row.untuned_high, "+.1f"),
    ),
    *csv_only(*UNTUNED[1:]),
)  # fmt: skip


class Field(NamedTuple):
    """The scores that are ranked.

    Attributes:
      optimizers: o labels, the study's first.
      tasks: t names, those with all baselines.
      value: (o, t, s), the leading metric, its sign so that higher is better; NaN where there is no
        run.
      score: (o, t, s), percent nearer to a perfect value than the best baseline with the same seed;
        NaN also on tasks without a score.
      best: t labels, the tasks' best baselines.
      perfect: (t,), the best possible values, with that sign.
      lost: (optimizer, task) of the cells with a diverged run, which counts with a guess.
    """

    optimizers: list[str]
    tasks: list[str]
    value: Floats
    score: Floats
    best: list[str]
    perfect: Floats
    lost: frozenset[tuple[str, str]] = frozenset()

    @property
    def unscored(self) -> list[str]:
        """The tasks without a score."""
        known = np.ravel(np.isfinite(self.score).any(axis=(0, 2)))
        return [task for task, scored in zip(self.tasks, known, strict=True) if not scored]


def field(
    study: Study, rows: pd.DataFrame, summary: pd.DataFrame, reading: str = HEADLINE
) -> Field:
    """Scores of every optimizer on every task that has all baselines.

    Args:
      study: whose baselines; without any, the best optimizer of a task takes their place.
      rows: from `readings.readings`.
      summary: from `readings.summarize`.
      reading: stopping point.
    """
    rows, summary = rows[rows.reading == reading], summary[summary.reading == reading]
    best = comparisons.best_baselines(study, summary)
    tasks = study.task_order(comparisons.complete_tasks(study, summary))
    rows = rows[rows.task.isin(tasks)]
    optimizers = study.row_order(rows.optimizer)
    sign, perfect = (
        np.array([getattr(study.leading(task), name) for task in tasks], float)[:, None]
        for name in ("sign", "perfect")
    )
    value = sign * comparisons.scores(study, rows, optimizers, tasks)
    base = np.array([value[optimizers.index(best[t]), i] for i, t in enumerate(tasks)])
    reach = sign * perfect
    distance = reach - _mean(base)[:, None] if tasks else base
    bounded = (distance > 0) & ~(value > reach).any(axis=(0, 2))[:, None]
    score = 100 * (value - base) / np.where(bounded, distance, np.nan)
    diverged = rows[rows.status == "diverged"]
    return Field(
        optimizers, tasks, value, score, [best[t] for t in tasks], reach[:, 0],
        frozenset(zip(diverged.optimizer, diverged.task, strict=True)),
    )  # fmt: skip


def ranking(
    study: Study,
    rows: pd.DataFrame,
    summary: pd.DataFrame,
    tasks: list[str],
    reading: str = HEADLINE,
    untuned: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The ranking of the optimizers measured on all of some tasks, best first (`ranking_table`).

    ``mean_rank`` is the mean over tasks of the rank by mean value; ``beats_best_baseline``
    counts tasks.

    Args:
      study: whose baselines.
      rows: from `readings.readings`.
      summary: from `readings.summarize`.
      tasks: one of `task_sets`.
      reading: stopping point.
      untuned: as `rows`, of untuned runs; with any, `UNTUNED` are columns, too.
    """
    whole = field(study, rows, summary, reading)
    inside = np.isin(whole.tasks, tasks)
    columns = ranking_table(study, untuned=untuned is not None and len(untuned) > 0)
    if not inside.any():
        return columns.empty()
    ranked = [o for o, row in enumerate(_measured(whole)[:, inside]) if row.all()]
    table = pd.DataFrame([_scored(whole, o, inside) for o in ranked])
    places = ["mean_rank", "mean_rank_low", "mean_rank_high"]
    table[places] = _mean_ranks(whole.value[ranked][:, inside])
    table["family"] = table.optimizer.map(rows.groupby("optimizer").family.first())
    table["diverged_runs"] = table.optimizer.map(_diverged(rows, reading, tasks))
    table = table.sort_values(["score", "mean_rank"], ascending=[False, True], kind="stable")
    table = table.assign(rank=range(1, len(table) + 1), reading=reading, over=" ".join(tasks))
    if untuned is not None and len(untuned):
        own = untuned_scores(study, whole, untuned[untuned.reading == reading], tasks)
        table = table.merge(own, on="optimizer", how="left")
    return table[columns.names].reset_index(drop=True)


def untuned_scores(
    study: Study, whole: Field, rows: pd.DataFrame, tasks: Sequence[str]
) -> pd.DataFrame:
    """Scores of untuned runs against the tuned best baselines, by optimizer.

    Seeds are others than those of the tuned runs, so each run is held against the mean of its
    task's best baseline.

    Args:
      study: whose metrics.
      whole: of the tuned runs.
      rows: of untuned runs, one reading.
      tasks: an optimizer with untuned runs on all of them has a score.

    Returns:
      ``optimizer`` and `UNTUNED`.
    """
    at = [whole.tasks.index(task) for task in tasks]
    names = study.row_order(rows.optimizer)
    sign = np.array([study.leading(task).sign for task in tasks])[:, None]
    value = sign * comparisons.scores(study, rows[rows.task.isin(tasks)], names, list(tasks))
    base = np.array([_mean(whole.value[whole.optimizers.index(whole.best[i]), i]) for i in at])
    score = 100 * (value - base[:, None]) / (whole.perfect[at] - base)[:, None]
    found = [
        (name, *stratified_interquartile_mean(each, comparisons.stream("untuned", name)))
        for name, each in zip(names, score, strict=True)
        if np.isfinite(each).any(axis=1).all()
    ]
    return pd.DataFrame(found, columns=["optimizer", *UNTUNED])


def task_sets(study: Study, whole: Field) -> list[list[str]]:
    """The sets of tasks that are ranked over, in the order of the tables.

    First the tasks that the study's optimizers were all measured on (while there is none, those of
    most optimizers); then, where other optimizers lack some of these, the tasks of most optimizers.
    """
    first, most = _shared_by_the_study(study, whole), _shared_by_most(whole)
    return [
        tasks for tasks in ([first or most] + [most] * (most != first and bool(first))) if tasks
    ]


def _shared_by_the_study(study: Study, whole: Field) -> list[str]:
    tabled = np.isin(whole.optimizers, study.optimizers)
    every = np.sum(_measured(whole)[tabled], axis=0) == len(study.optimizers)
    return [task for task, keep in zip(whole.tasks, every, strict=True) if keep]


def _shared_by_most(whole: Field) -> list[str]:
    counts = np.sum(_measured(whole), axis=0)
    return [t for t, count in zip(whole.tasks, counts, strict=True) if count == counts.max()]


def _measured(whole: Field) -> np.ndarray:
    """Mask (o, t) of the cells with runs."""
    return np.asarray(np.isfinite(whole.value).any(axis=2))


def _scored(whole: Field, o: int, tasks: np.ndarray) -> dict[str, Any]:
    name, score = whole.optimizers[o], whole.score[o, tasks]
    estimate, low, high, n = stratified_interquartile_mean(
        score, comparisons.stream("ranking", name)
    )
    best = [whole.optimizers.index(whole.best[t]) for t in np.flatnonzero(tasks)]
    lead = _mean(whole.value[o, tasks]) - _mean(whole.value[best, tasks])
    wins = int((np.where(np.isfinite(score).any(axis=1), _mean(score), lead) > 1e-9).sum())
    interval = {"score": estimate, "score_low": low, "score_high": high}
    n = n or int(np.isfinite(whole.value[o, tasks]).sum())
    counts = {"tasks": int(tasks.sum()), "runs": n, "beats_best_baseline": wins}
    return {"optimizer": name, **interval, **counts}


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of the finite values; NaN where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    return np.where(
        count > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan
    )


def _mean_ranks(accuracy: Floats) -> Floats:
    """Mean rank over tasks with its interval, (o, 3), from accuracies (o, t, s).

    The interval resamples seeds, the same for all optimizers, so that pairing is kept; its ends
    are widened, or NaN, for the fewest seeds of any cell (`statistics.tail`).
    """
    rng = comparisons.stream("ranks")
    known = np.isfinite(accuracy)
    seeds, fewest = accuracy.shape[2], int(known.sum(axis=2).min())
    exact = _ranks(_mean(accuracy)[None])
    lowest = tail(fewest, fewest - 1) if fewest > 1 else 0.0
    if lowest < FINEST:
        return np.stack([exact[0], *np.full((2, len(accuracy)), np.nan)], axis=1)
    drawn = rng.integers(seeds, size=(RESAMPLES, seeds))
    counts = np.stack([np.bincount(row, minlength=seeds) for row in drawn])  # (draws, s)
    totals = np.einsum("ots,ds->dot", np.where(known, accuracy, 0.0), counts)
    weights = np.einsum("ots,ds->dot", known.astype(float), counts)
    usable = (weights > 0).all(axis=(1, 2))
    resampled = _ranks(totals[usable] / weights[usable])
    low, high = np.quantile(resampled, [lowest, 1 - lowest], axis=0)
    return np.stack([exact[0], low, high], axis=1)


def _ranks(means: Floats) -> Floats:
    """Mean over tasks of ranks (1 = best, ties share) of means (d, o, t): shape (d, o)."""
    ranks: Floats = stats.rankdata(-means, axis=1).mean(axis=2)
    return ranks


def _diverged(rows: pd.DataFrame, reading: str, tasks: list[str]) -> pd.Series:
    here = rows[(rows.reading == reading) & rows.task.isin(tasks)]
    return (here.status == "diverged").groupby(here.optimizer).sum()


def page(
    study: Study,
    ranked: list[tuple[list[str], pd.DataFrame]],
    reading: str = HEADLINE,
    left_out: Sequence[str] = (),
    unscored: Sequence[str] = (),
) -> str:
    """The rankings in Markdown.

    Args:
      study: whose names.
      ranked: sets of tasks (`task_sets`) with their `ranking`.
      reading: stopping point.
      left_out: measured tasks that are not ranked over, since rates come from short grids.
      unscored: tasks without a score.
    """
    return render(
        __file__, "ranking.md", study=study, reading=reading, left_out=left_out,
        unscored=unscored,
        saved=study.saved(task for tasks, _ in ranked for task in tasks),
        sections=[
            (tasks, rows, ranking_table(study, tasks, "untuned" in rows)) for tasks, rows in ranked
        ],
    )  # fmt: skip
