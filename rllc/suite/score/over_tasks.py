"""What holds over tasks: per-task effects first, then estimates in which the task is random.

An effect is how many percent of the best baseline's distance to a perfect value an optimizer saves
on one task (see `ranking`). Two means of runs differ, unpaired, with a deviation over seeds that is
pooled over the optimizers of the task. Tasks are few and unlike, so an estimate over them takes its
interval from how they differ, not from how many seeds they had.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from rllc.suite.markdown import MISSING, with_interval
from rllc.suite.score import comparisons, verdicts
from rllc.suite.score.meta_analysis import friedman, improvement, random_effects
from rllc.suite.score.ranking import Field
from rllc.suite.score.statistics import Floats
from rllc.suite.study import Study
from rllc.suite.table import Column, Table, csv_only
from rllc.suite.templates import render

EFFECTS = Table(csv_only("task", "optimizer", "effect", "error", "low", "high", "n"))


def columns(study: Study) -> Table:
    """The columns of `estimates`."""
    best = "best baseline" if study.baselines else "best optimizer"
    return Table((
        *csv_only("over"),
        Column("optimizer", "over tasks", lambda row: study.pretty(row.optimizer)),
        *csv_only("tasks"),
        Column("effect", "mean effect",
               lambda row: with_interval(row.effect, row.effect_low, row.effect_high, "+.1f")),
        *csv_only("effect_low", "effect_high"),
        Column("between_tasks", "τ between tasks", ".1f"),
        Column("next_low", "a following task", _following), *csv_only("next_high"),
        Column("mean_rank", "mean rank", ".1f"),
        Column("improvement", f"chance to beat the {best}", lambda row: with_interval(
            row.improvement, row.improvement_low, row.improvement_high, ".2f"
        )),
        *csv_only("improvement_low", "improvement_high"),
    ))  # fmt: skip


def _following(row: Any) -> str:
    known = not pd.isna(row.next_low)
    return f"{row.next_low:+.1f} to {row.next_high:+.1f}" if known else MISSING


def effects(field: Field, tasks: list[str]) -> pd.DataFrame:
    """Each optimizer's effect on each of some tasks it was measured on, baselines included.

    Args:
      field: from `ranking.field`.
      tasks: t names of it; those without a score are left out.

    Returns:
      The columns of `EFFECTS`: percent of the best baseline's distance saved, with its standard
      error and its 95 % interval; ``n`` runs. The best baseline is level with itself, with the
      error of a second sample of its runs. Cells with a diverged run are left out of the pooled
      deviation; a pair with such a cell has its own. Without a second run anywhere on a task,
      errors are NaN.
    """
    rows = []
    for task in (task for task in tasks if task not in field.unscored):
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
    return pd.DataFrame(rows, columns=EFFECTS.names)


def estimates(field: Field, tasks: list[str]) -> pd.DataFrame:
    """Estimates over tasks of every optimizer that was measured on all of them, best first.

    Args:
      field: from `ranking.field`.
      tasks: names of it; those without a score are left out.

    Returns:
      The columns of `columns`: the mean effect (percent of the best baseline's distance saved)
      with its interval, the deviation between tasks, the interval of a following task, the mean
      rank over tasks, and the chance that a run beats one of its task's best baseline.
    """
    tasks = [task for task in tasks if task not in field.unscored]
    if not tasks:
        return pd.DataFrame()
    inside = [field.tasks.index(task) for task in tasks]
    names, found = measured_on_all(field, tasks), effects(field, tasks)
    if not names:
        return pd.DataFrame()
    ranks = stats.rankdata(-means(field, names, tasks), axis=0).mean(axis=1)
    rows = [
        _over(field, found[found.optimizer == name], name, inside) | {"mean_rank": rank}
        for name, rank in zip(names, ranks, strict=True)
    ]
    found = pd.DataFrame(rows).assign(over=" ".join(tasks))
    return found.sort_values("effect", ascending=False, kind="stable").reset_index(drop=True)


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
    means: Floats = np.nanmean(field.value[np.ix_(o, t)], axis=2)
    return means


def _over(field: Field, found: pd.DataFrame, name: str, inside: list[int]) -> dict[str, Any]:
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


def page(study: Study, field: Field, sets: list[list[str]]) -> str:
    """Per-task effects, then estimates over tasks, for each set of tasks, in Markdown."""
    scored = [[task for task in tasks if task not in field.unscored] for tasks in sets]
    return render(
        __file__, "over_tasks.md", study=study, columns=columns(study),
        sections=[_section(study, field, tasks) for tasks in scored if tasks],
    )  # fmt: skip


def _section(study: Study, field: Field, tasks: list[str]) -> dict[str, Any]:
    over = estimates(field, tasks)
    names = list(over.optimizer) if len(over) else []
    tested = len(names) > 2 and len(tasks) > 1
    return {
        "tasks": tasks, "over": over, "names": names,
        "each": _each(study, effects(field, tasks), names, tasks),
        "friedman": friedman(means(field, names, tasks)) if tested else None,
        "apart": _apart(study, field, names, tasks) if tested else [],
    }  # fmt: skip


def _apart(study: Study, field: Field, names: list[str], tasks: list[str]) -> list[str]:
    """Pairs whose mean ranks differ, the better first."""
    found = friedman(means(field, names, tasks))
    further = found.mean_ranks[None] - found.mean_ranks[:, None] > found.critical
    return [
        f"{study.pretty(names[a])} from {study.pretty(names[b])}"
        for a, b in zip(*np.nonzero(further), strict=True)
    ]


def _each(study: Study, found: pd.DataFrame, names: list[str], tasks: list[str]) -> str:
    """Effects, a row per optimizer and a column per task."""
    cells = {(row.optimizer, row.task): row for row in found.itertuples()}

    def written(task: str) -> Column:
        def text(row: Any) -> str:
            cell = cells[row.optimizer, task]
            return with_interval(cell.effect, cell.low, cell.high, "+.1f")

        return Column("", study.title(task), text)

    first = Column("optimizer", "effect on", lambda row: study.pretty(row.optimizer))
    each = Table((first, *map(written, tasks)))
    return each.to_markdown(pd.DataFrame({"optimizer": names}))
