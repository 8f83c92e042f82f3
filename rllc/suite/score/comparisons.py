"""From readings to comparisons: score arrays, best baselines, paired differences, published ones.

Numbers are as shown: accuracies in percent. Where a column is left out, the leading metric of each
task is meant.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import CELL
from rllc.suite.score.readings import HEADLINE
from rllc.suite.score.statistics import (
    LEVEL,
    Floats,
    holm,
    mean_interval,
    paired,
    pooled_std,
    welch,
)
from rllc.suite.study import Study


def stream(*names: str) -> np.random.Generator:
    """A generator named by its use, so that new cells leave the intervals of others alone."""
    return np.random.default_rng(zlib.crc32("/".join(names).encode()))


def scores(
    study: Study,
    rows: pd.DataFrame,
    optimizers: list[str],
    tasks: list[str],
    column: str | None = None,
) -> Floats:
    """Array (o, t, s) of one reading's numbers; missing seeds are NaN.

    A diverged run counts with the value of a guess (see `Metric.guess_or_worst`).

    Args:
      study: says which metrics the tasks have.
      rows: from `readings.readings`, of one reading.
      optimizers: o labels.
      tasks: t names.
      column: of `rows`.
    """
    seeds = sorted(rows.seed.unique())
    values = np.full(len(rows), np.nan)
    lost = (rows.status == "diverged").to_numpy()
    for task in set(rows.task):
        metric = study.of_column(task, column) if column else study.leading(task)
        if metric is not None:
            here = (rows.task == task).to_numpy()
            known = rows[column or metric.column()].to_numpy(float)
            guess = metric.guess_or_worst(known[here & ~lost])
            values[here] = np.where(lost, guess, known)[here]
    out: Floats = np.full((len(optimizers), len(tasks), len(seeds)), np.nan)
    axes = ((optimizers, rows.optimizer), (tasks, rows.task), (seeds, rows.seed))
    places = [pd.Index(names).get_indexer(column.to_numpy()) for names, column in axes]
    wanted = (np.array(places) >= 0).all(axis=0)
    out[tuple(place[wanted] for place in places)] = values[wanted]
    return out


def best_baselines(
    study: Study, summary: pd.DataFrame, column: str | None = None, without: str = ""
) -> dict[str, str]:
    """Label of the best measured baseline of each task, by test mean: the hardest to beat.

    A diverged run counts with the value of a guess, as in `scores`. In a study without baselines
    every optimizer is one.

    Args:
      study: whose baselines.
      summary: from `readings.summarize`, of one reading.
      column: such as ``test_accuracy``, ``batch_accuracy`` or ``test_loss``.
      without: label that is not asked for.
    """
    named = study.baselines or sorted(set(summary.optimizer))
    here = summary[summary.optimizer.isin(named) & (summary.optimizer != without)]
    best = {}
    for task, members in here.groupby("task", sort=True):
        task = str(task)
        metric = study.of_column(task, column) if column else study.leading(task)
        if metric is not None:
            finished = members[f"{column or metric.column()}_mean"]
            guess, share = metric.guess_or_worst(finished), members.diverged / members.seeds
            finished = finished.fillna(guess)
            means = metric.sign * ((1 - share) * finished + share * guess)
            if means.notna().any():
                best[task] = str(members.optimizer[means.idxmax()])
    return best


def complete_tasks(study: Study, summary: pd.DataFrame) -> set[str]:
    """Tasks on which all baselines are measured, so that the best of them has a meaning.

    Without baselines, tasks on which two optimizers are: one is held against the other.
    """
    named = study.baselines or sorted(set(summary.optimizer))
    counts = summary[summary.optimizer.isin(named)].groupby("task").optimizer.nunique()
    return set(counts[counts >= (len(study.baselines) or 2)].index)


def against_baselines(
    study: Study,
    rows: pd.DataFrame,
    summary: pd.DataFrame,
    reading: str = HEADLINE,
    column: str | None = None,
) -> pd.DataFrame:
    """Paired differences of every optimizer that is no baseline against its task's best baseline.

    Args:
      study: whose baselines; without any, the best other optimizer takes their place.
      rows: from `readings.readings`.
      summary: from `readings.summarize`.
      reading: stopping point.
      column: compared; differences are positive where the optimizer is better.

    Returns:
      task, optimizer, baseline, difference, low, high, n (pairs), p_value, p_holm (over all
      tasks and the study's optimizers; apart from these, over all others). Only tasks with all
      baselines measured.
    """
    rows, summary = rows[rows.reading == reading], summary[summary.reading == reading]
    others = sorted(set(summary.optimizer) - set(study.baselines))
    same = best_baselines(study, summary, column) if study.baselines else None
    best = {
        name: best_baselines(study, summary, column, without=name) if same is None else same
        for name in others
    }
    complete = complete_tasks(study, summary)
    columns = [*CELL, "baseline", "difference", "low", "high", "n", "p_value"]
    table = []
    for task, here in rows.groupby("task", sort=True):
        pairs = [(name, best[name][task]) for name in others if task in best[name]]
        if task in complete and pairs:
            found = differences(study, here, str(task), pairs, column)
            table += [
                {"task": task, "optimizer": name, "baseline": baseline} | row
                for (name, baseline), row in zip(pairs, found, strict=True)
            ]
    frame = pd.DataFrame(table, columns=columns)
    frame = frame[frame.n > 0].reset_index(drop=True)
    in_study = frame.optimizer.isin(study.optimizers)
    return frame.assign(p_holm=frame.groupby(in_study).p_value.transform(holm))


def difference(
    study: Study,
    rows: pd.DataFrame,
    task: str,
    optimizer: str,
    other: str,
    column: str | None = None,
) -> dict[str, float]:
    """Paired difference of two optimizers on one task (positive: `optimizer` is better).

    Raises:
      ValueError: the task has no such metric.
    """
    return differences(study, rows, task, [(optimizer, other)], column)[0]


def differences(
    study: Study,
    rows: pd.DataFrame,
    task: str,
    pairs: Sequence[tuple[str, str]],
    column: str | None = None,
) -> list[dict[str, float]]:
    """`difference` of many pairs on one task."""
    metric = study.of_column(task, column) if column else study.leading(task)
    if metric is None:
        raise ValueError(f"task {task} has no metric of the column {column}")
    column = column or metric.column()
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    values = metric.sign * scores(study, rows[rows.task == task], names, [task], column)[:, 0]
    known = dict(zip(names, values, strict=True))
    found = []
    for ours, theirs in pairs:
        rng = stream(task, ours, theirs, column)
        (estimate, low, high, n), p_value = paired(known[ours], known[theirs], rng)
        found.append({"difference": estimate, "low": low, "high": high, "n": n, "p_value": p_value})
    return found


def beside_published(study: Study, rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """`summary` with intervals, the published numbers, if there are any, and how ours compare.

    The leading metric is compared as a mean over test batches, where that was recorded. Names of
    columns begin with the study's `source` (here ``paper``) and the metric's name (here
    ``accuracy``, the leading one).

    Returns:
      `summary` plus accuracy_low and accuracy_high (our interval of the mean); with published
      numbers also paper_accuracy and accuracy_difference (ours minus the published), so for every
      metric, paper_std, excludes_paper (the interval of the difference of the two means
      excludes 0), tolerance, agrees (within it, and no run diverged or ended at chance; false for
      cells without published numbers).
    """
    parts = [
        _beside(study, rows[rows.task.isin(set(members.task))], members)
        for _, members in study.by_leading(summary)
    ]
    return pd.concat(parts, ignore_index=True) if parts else _beside(study, rows, summary)


def _beside(study: Study, rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """`beside_published` of tasks with the same leading metric."""
    leading = study.union(summary.task)[0]
    batch = f"batch_{leading.name}"
    has_batch = batch in rows and (rows.empty or rows[batch].notna().any())
    compared = batch if has_batch else leading.column()
    intervals = _intervals(rows, compared, leading.name)
    table = summary.merge(intervals, on=[*CELL, "reading"], how="left")
    if study.published is None:
        return table
    metrics, source = study.union(summary.task), study.source
    names = {f"{metric.column()}_mean": f"{source}_{metric.name}" for metric in metrics}
    names[f"{leading.column()}_std"] = f"{source}_std"
    table = table.merge(study.published.rename(columns=names), on=CELL, how="left")
    for metric in metrics:
        ours = table[f"{compared if metric == leading else metric.column()}_mean"]
        table[f"{metric.name}_difference"] = ours - table[f"{source}_{metric.name}"]
    mean, std, n = table[f"{compared}_mean"], table[f"{compared}_std"], table.seeds - table.diverged
    theirs = (table[f"{source}_{leading.name}"], table[f"{source}_std"], study.final_seeds)
    table[f"excludes_{source}"] = welch(mean, std, n, *theirs) < 1 - LEVEL
    pairs = zip(std, table[f"{source}_std"], n, strict=True)
    pooled = np.array([pooled_std([s, p], [k, study.final_seeds]) for s, p, k in pairs], float)
    table["tolerance"] = np.fmax(study.tolerance, 2 * pooled)
    lost = table.diverged + table.at_chance  # one makes the deviation too wide to differ from
    within = table[f"{leading.name}_difference"].abs() <= table.tolerance
    table["agrees"] = within & (lost == 0)
    return table


def _intervals(rows: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    """Interval of each cell's mean, ``<name>_low`` and ``_high``; diverged runs are left out."""
    finished = rows[rows.status != "diverged"]
    ends = [f"{name}_low", f"{name}_high"]
    found = []
    for key, members in finished.groupby([*CELL, "reading"], sort=True):
        names = dict(zip([*CELL, "reading"], key, strict=True))
        interval = mean_interval(members[column], stream(*names.values()))
        found.append(names | dict(zip(ends, (interval.low, interval.high), strict=True)))
    return pd.DataFrame(found, columns=[*CELL, "reading", *ends]).astype(dict.fromkeys(ends, float))
