"""From readings to comparisons: score arrays, best baselines, paired differences, the paper."""

import zlib

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.suite.readings import HEADLINE
from rllc.suite.selection import CELL, is_loss
from rllc.suite.statistics import (
    LEVEL,
    Floats,
    holm,
    mean_interval,
    paired,
    pooled_std,
    welch,
)

CHANCE = 10.0  # accuracy (%) that a diverged run counts with: guessing among ten classes
GUESSING = float(np.log(10))  # cross-entropy of guessing, likewise
TOLERANCE = 0.3  # accuracy points within which a cell agrees with the paper at least


def stream(*names: str) -> np.random.Generator:
    """A generator named by its use, so that new cells leave the intervals of others alone."""
    return np.random.default_rng(zlib.crc32("/".join(names).encode()))


def scores(
    rows: pd.DataFrame, optimizers: list[str], tasks: list[str], metric: str = "test_accuracy"
) -> Floats:
    """Array (o, t, s) of one reading's numbers; missing seeds are NaN.

    A diverged run counts with the accuracy or the loss of guessing.

    Args:
      rows: from `readings.readings`, of one reading.
      optimizers: o labels.
      tasks: t names.
      metric: column of `rows`.
    """
    seeds = sorted(rows.seed.unique())
    values = rows[metric].where(rows.status != "diverged", GUESSING if is_loss(metric) else CHANCE)
    index = pd.MultiIndex.from_frame(rows[["optimizer", "task", "seed"]])
    whole = pd.MultiIndex.from_product([optimizers, tasks, seeds])
    flat = pd.Series(values.to_numpy(float), index).reindex(whole)
    return flat.to_numpy(float).reshape(len(optimizers), len(tasks), len(seeds))


def best_baselines(summary: pd.DataFrame, metric: str = "test_accuracy") -> dict[str, str]:
    """Label of the best measured baseline of each task, by test mean: the hardest to beat.

    A diverged run counts with the accuracy or the loss of guessing, as in `scores`.

    Args:
      summary: from `readings.summarize`, of one reading.
      metric: ``test_accuracy``, ``batch_accuracy`` or ``test_loss``.
    """
    baselines = summary[summary.optimizer.isin(paper.BASELINES)]
    guess, share = GUESSING if is_loss(metric) else CHANCE, baselines.diverged / baselines.seeds
    means = (1 - share) * baselines[f"{metric}_mean"].fillna(guess) + share * guess
    best = baselines.assign(mean=means).sort_values(
        "mean", ascending=is_loss(metric), kind="stable"
    )
    return dict(best.groupby("task").first().optimizer) if len(best) else {}


def complete_tasks(summary: pd.DataFrame) -> set[str]:
    """Tasks on which all three baselines are measured, so that the best of them has a meaning."""
    measured = summary[summary.optimizer.isin(paper.BASELINES)]
    counts = measured.groupby("task").optimizer.nunique()
    return set(counts[counts == len(paper.BASELINES)].index)


def against_baselines(
    rows: pd.DataFrame,
    summary: pd.DataFrame,
    reading: str = HEADLINE,
    metric: str = "test_accuracy",
) -> pd.DataFrame:
    """Paired differences of every optimizer that is no baseline against its task's best baseline.

    Args:
      rows: from `readings.readings`.
      summary: from `readings.summarize`.
      reading: stopping point.
      metric: column compared; differences are positive where the optimizer is better.

    Returns:
      task, optimizer, baseline, difference, low, high, n (pairs), p_value, p_holm (over all
      tasks and the paper's optimizers; apart from these, over all others). Only tasks with all
      three baselines measured.
    """
    rows, summary = rows[rows.reading == reading], summary[summary.reading == reading]
    best = best_baselines(summary, metric)
    tasks = sorted(complete_tasks(summary) & set(best))
    others = sorted(set(summary.optimizer) - set(paper.BASELINES))
    names = [*others, *sorted(set(best.values()))]
    whole = dict(zip(names, scores(rows, names, tasks, metric), strict=True))
    table = [
        {"task": task, "optimizer": optimizer, "baseline": best[task]}
        | _paired(whole[optimizer][t], whole[best[task]][t], task, optimizer, best[task], metric)
        for t, task in enumerate(tasks)
        for optimizer in others
    ]
    columns = [*CELL, "baseline", "difference", "low", "high", "n", "p_value"]
    frame = pd.DataFrame(table, columns=columns)
    frame = frame[frame.n > 0].reset_index(drop=True)
    of_paper = frame.optimizer.isin(paper.OPTIMIZERS)
    return frame.assign(p_holm=frame.groupby(of_paper).p_value.transform(holm))


def difference(
    rows: pd.DataFrame, task: str, optimizer: str, other: str, metric: str = "test_accuracy"
) -> dict[str, float]:
    """Paired difference of two optimizers on one task (positive: `optimizer` is better)."""
    ours, theirs = scores(rows[rows.task == task], [optimizer, other], [task], metric)[:, 0]
    return _paired(ours, theirs, task, optimizer, other, metric)


def _paired(
    ours: Floats, theirs: Floats, task: str, optimizer: str, other: str, metric: str
) -> dict[str, float]:
    sign = -1.0 if is_loss(metric) else 1.0
    rng = stream(task, optimizer, other, metric)
    (estimate, low, high, n), p_value = paired(sign * ours, sign * theirs, rng)
    return {"difference": estimate, "low": low, "high": high, "n": n, "p_value": p_value}


def beside_paper(rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """`summary` with the paper's numbers and how ours compare.

    Accuracies are compared in the paper's metric, the mean over test batches.

    Returns:
      `summary` plus paper_loss, paper_accuracy, paper_std, accuracy_difference (points,
      ours minus the paper's), loss_difference, accuracy_low, accuracy_high (our interval of the
      mean), excludes_paper (the interval of the difference of the two means excludes 0),
      tolerance (points), agrees (within it, and no run diverged or ended at chance; NaN for cells
      the paper has not).
    """
    names = {
        "test_loss_mean": "paper_loss",
        "test_accuracy_mean": "paper_accuracy",
        "test_accuracy_std": "paper_std",
    }
    table = summary.merge(paper.cells().rename(columns=names), on=CELL, how="left")
    intervals = _intervals(rows)
    table = table.merge(intervals, on=[*CELL, "reading"], how="left")
    table["accuracy_difference"] = table.batch_accuracy_mean - table.paper_accuracy
    table["loss_difference"] = table.test_loss_mean - table.paper_loss
    finished = table.seeds - table.diverged
    ours = (table.batch_accuracy_mean, table.batch_accuracy_std, finished)
    theirs = (table.paper_accuracy, table.paper_std, paper.SEEDS)
    table["excludes_paper"] = welch(*ours, *theirs) < 1 - LEVEL
    pairs = zip(table.batch_accuracy_std, table.paper_std, finished, strict=True)
    pooled = np.array([pooled_std([s, p], [n, paper.SEEDS]) for s, p, n in pairs], float)
    table["tolerance"] = np.fmax(TOLERANCE, 2 * pooled)
    lost = table.diverged + table.at_chance  # one makes the deviation too wide to differ from
    table["agrees"] = (table.accuracy_difference.abs() <= table.tolerance) & (lost == 0)
    return table


def _intervals(rows: pd.DataFrame) -> pd.DataFrame:
    """Interval of each cell's mean over seeds, in the paper's metric; diverged runs left out."""
    finished = rows[rows.status != "diverged"]
    found = []
    for key, members in finished.groupby([*CELL, "reading"], sort=True):
        names = dict(zip([*CELL, "reading"], key, strict=True))
        interval = mean_interval(members.batch_accuracy, stream(*names.values()))
        found.append(names | {"accuracy_low": interval.low, "accuracy_high": interval.high})
    ends = ["accuracy_low", "accuracy_high"]
    return pd.DataFrame(found, columns=[*CELL, "reading", *ends]).astype(dict.fromkeys(ends, float))
