"""What a finished run is worth: its test numbers at three stopping points.

``last``: at the last step. ``validated``: at the first step where the leading metric is best on
validation data. ``best``: the best value of each metric on test data along the curve, which looks
at test data to stop; papers may report it, and it is never our headline.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import CELL, hyper_names, same_hyper
from rllc.suite.metrics import Metric
from rllc.suite.study import Study

READINGS = ("last", "validated", "best")
HEADLINE = "validated"


def final_runs(runs: pd.DataFrame, choices: pd.DataFrame, role: str = "final") -> pd.DataFrame:
    """Runs whose role is final, at the chosen hyperparameters, of most steps.

    Args:
      runs: from `selection.default_variants`.
      choices: chosen rates. A cell without a choice (its tuning records are not here) takes the
        rates that most of its seeds used, and gets ``tuned`` false.
      role: of the runs; those without tuning are ``untuned``.

    Returns:
      Rows of `runs`, one per cell and seed, with ``tuned``.
    """
    final = runs[runs.role == role]
    if final.empty:
        return final.assign(tuned=[])
    chosen = {(row.task, row.optimizer): row.hyper for row in choices.itertuples()}
    kept = []
    for cell, members in final.groupby(CELL, sort=True):
        wanted = chosen.get(cell)
        at = members[same_hyper(members, _most_seeds(members) if wanted is None else wanted)]
        if at.empty:
            continue
        at = at[at.steps == at.steps.max()].sort_values(["seed", "device", "run"])
        kept.append(at.drop_duplicates("seed").assign(tuned=wanted is not None))
    return pd.concat(kept, ignore_index=True) if kept else final.iloc[:0].assign(tuned=[])


def _most_seeds(runs: pd.DataFrame) -> str:
    """The hyperparameters of most seeds, the lowest of equals."""
    counts = runs.groupby([*hyper_names(runs), "hyper"], dropna=False, sort=True).seed.nunique()
    return str(counts.reset_index().set_index("hyper").seed.idxmax())


def readings(
    study: Study, final: pd.DataFrame, curves: pd.DataFrame, rule: Metric | None = None
) -> pd.DataFrame:
    """Test numbers of every final run at every stopping point.

    Args:
      study: says which metrics the tasks have.
      final: from `final_runs`.
      curves: evaluations, as recorded.
      rule: metric that chooses the step of ``validated``; None for each task's leading one.

    Returns:
      Rows (run, reading): task, optimizer, family, seed, run, steps, device, status, tuned,
      reading, step, and as shown (accuracies in percent) ``test_<metric>`` of every metric and
      ``batch_<metric>``, the mean over batches of the leading one, where it was recorded. Under
      ``best`` each is the best along the curve by itself. A run that never gave a finite number
      has NaN, and so has a task in the columns of metrics it has not.
    """
    keep = [*CELL, "family", "seed", "run", "steps", "device", "status", "tuned"]
    every = final[keep].merge(pd.DataFrame({"reading": READINGS}), how="cross")
    here = curves[curves.run.isin(set(final.run))]
    tasks = here.run.map(final.drop_duplicates("run").set_index("run").task)
    parts = [
        _of_task(study, str(task), members, rule)
        for task, members in here.groupby(tasks, sort=True)
    ]
    columns = numbers(study, final.task, curves)
    empty = pd.DataFrame(columns=["run", "reading", "step"], dtype=object)
    values = pd.concat(parts) if parts else empty.assign(**dict.fromkeys(columns, np.float64()))
    values = values.reindex(columns=["run", "reading", "step", *columns])
    joined = every.merge(values, on=["run", "reading"], how="left")
    return joined.sort_values([*CELL, "seed", "reading"]).reset_index(drop=True)


def best_every(
    study: Study, final: pd.DataFrame, curves: pd.DataFrame, cadence: int
) -> pd.DataFrame:
    """The reading ``best`` of fewer evaluations, as whoever evaluated less often would have it.

    Args:
      study: says which metrics the tasks have.
      final: from `final_runs`.
      curves: evaluations, as recorded.
      cadence: steps between the evaluations that count; the others are passed over.

    Returns:
      Rows as of `readings`, the reading being ``best_<cadence>``.
    """
    rows = readings(study, final, curves[curves.step % cadence == 0])
    best = rows[rows.reading == "best"].reset_index(drop=True)
    return best.assign(reading=f"best_{cadence}")


def numbers(study: Study, tasks: Iterable[str], curves: pd.DataFrame) -> list[str]:
    """Columns of numbers in the rows of some tasks (see `readings`)."""
    tasks = study.task_order(tasks) or study.tasks
    leading = dict.fromkeys(study.leading(task).name for task in tasks)
    batch = [f"batch_{name}" for name in leading if f"test_{name}_batch_mean" in curves]
    return [*(metric.column() for metric in reversed(study.union(tasks))), *batch]


def _of_task(study: Study, task: str, curves: pd.DataFrame, rule: Metric | None) -> pd.DataFrame:
    """Values of one task's runs by run and reading, as shown."""
    metrics, leading = study.all_metrics(task), study.leading(task)
    curves = curves.sort_values(["run", "step"])
    curves = curves.rename(columns={f"{leading.column()}_batch_mean": f"batch_{leading.name}"})
    of_column = {metric.column(): metric for metric in metrics}
    if f"batch_{leading.name}" in curves:
        of_column[f"batch_{leading.name}"] = leading
    shown = curves[["run", "step", *of_column]].copy()
    for column, metric in of_column.items():
        if metric.scale != 1:
            shown[column] = metric.scale * shown[column].astype(float)
    stops = {
        "last": shown.loc[curves.groupby("run").step.idxmax()],
        "validated": shown.loc[_index_of_best(curves, rule or leading, "validation")],
        "best": _best(shown, of_column, shown.loc[_index_of_best(curves, study.loss(task))]),
    }
    return pd.concat([rows.assign(reading=name) for name, rows in stops.items()])


def _index_of_best(curves: pd.DataFrame, metric: Metric, split: str = "test") -> pd.Series:
    """Index of each run's best value, the earliest of equals; runs without a finite one are out."""
    worse = -metric.sign * curves[metric.column(split)].astype(float)
    finite = np.isfinite(worse)
    return worse[finite].groupby(curves.run[finite]).idxmin()


def _best(
    shown: pd.DataFrame, of_column: Mapping[str, Metric], at_lowest: pd.DataFrame
) -> pd.DataFrame:
    """The best value of each column by itself; the step is that of the lowest loss."""
    groups = shown.groupby("run")
    best = {
        column: groups[column].min() if metric.lower else groups[column].max()
        for column, metric in of_column.items()
    }
    return at_lowest.assign(**{column: at_lowest.run.map(best[column]) for column in of_column})


def leading_values(study: Study, rows: pd.DataFrame) -> pd.Series:
    """The leading metric of each row's task, as shown; NaN for a diverged run without a number."""
    values = np.full(len(rows), np.nan)
    for task in set(rows.task):
        here = (rows.task == task).to_numpy()
        values[here] = rows[study.leading(task).column()].to_numpy(float)[here]
    return pd.Series(values, rows.index)


def summarize(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """Means and deviations over seeds, one row per (cell, reading).

    Diverged runs do not enter the means; ``diverged`` counts them beside ``seeds``, which
    counts all runs. Runs that finished no better than a guess do, and ``at_chance`` counts them.
    Standard deviations divide by n - 1 and are NaN for one run.

    Returns:
      task, optimizer, family, reading, seeds, diverged, at_chance, steps, device, tuned, and
      mean and std of the numbers of `readings`.
    """
    diverged = rows.status == "diverged"
    rows = rows.assign(diverged=diverged, at_chance=~diverged & _at_chance(study, rows))
    columns = [column for column in rows if column.startswith(("test_", "batch_"))]
    finite = rows.copy()
    finite.loc[finite.diverged, columns] = np.nan
    grouped = finite.groupby([*CELL, "reading"], sort=True)
    first = grouped.agg(
        family=("family", "first"),
        seeds=("seed", "nunique"),
        diverged=("diverged", "sum"),
        at_chance=("at_chance", "sum"),
        steps=("steps", "max"),
        device=("device", lambda names: " + ".join(sorted(set(names)))),
        tuned=("tuned", "all"),
    )
    means = grouped[columns].mean().add_suffix("_mean")
    stds = grouped[columns].std(ddof=1).add_suffix("_std")
    return pd.concat([first, means, stds], axis=1).reset_index()


def _at_chance(study: Study, rows: pd.DataFrame) -> pd.Series:
    """Which rows are no better than a guess, by their leading metric."""
    sign = rows.task.map(lambda task: study.leading(task).sign).astype(float)
    chance = rows.task.map(lambda task: study.leading(task).chance).astype(float)
    return sign * leading_values(study, rows) <= sign * chance
