"""The paper's claims about kinds of optimizers over many tasks (sections 1 and 6)."""

import numpy as np
import pandas as pd

from rllc.propagators import parse
from rllc.replication import paper
from rllc.replication.claims import (
    NOT_MEASURED,
    PARTLY,
    Claim,
    count_over_tasks,
    pair,
    supported_if,
    validation_accuracies,
)
from rllc.replication.paper import STUDY
from rllc.suite.score.comparisons import scores
from rllc.suite.score.provenance import short_grids
from rllc.suite.score.readings import HEADLINE
from rllc.suite.score.statistics import holm
from rllc.suite.show.analysis import Analysis

MULTI_MOMENTUM = (
    "M(0.9)+M(0.0)",
    "M(0.9)+M(0.6)",
    "M(0.9)+M(0.8)+M(0.7)",
    "M(0.9)+M(0.6)+M(0.0)",
)
LEVEL = 0.05
JORDAN = ("M2(0.6)", "M3(0.6)", "M(0.9)+M2(0.6)")


def over_tasks(a: Analysis) -> list[Claim]:
    """Claims about many tasks at once (section 6)."""
    return [
        _like_adam(a), _most_reliable(a), _outperformed(a), *_jordan_blocks(a),
        _jordan_over_momentum(a),
    ]  # fmt: skip


def _like_adam(a: Analysis) -> Claim:
    claim = Claim(
        "M(0.9)⊕M(0.0) is competitive with Adam or better in many tasks",
        "section 1",
        f"tasks where the interval of the difference lies above −{paper.TOLERANCE} points; "
        "at least half",
    )
    names = ("M(0.9)+M(0.0)", "Adam")
    tasks = [task for task in paper.TASKS if not short_grids(a.made, task, *names)]
    rows = {task: pair(a, task, *names) for task in tasks}
    found = {
        task: row["low"] > -paper.TOLERANCE for task, row in rows.items() if row and row["n"] > 1
    }
    return count_over_tasks(claim, found)


def _most_reliable(a: Analysis) -> Claim:
    claim = Claim(
        "M(0.9)⊕M(0.0) is the most reliable multi-momentum optimizer",
        "section 6, “Multi-momentum propagators”",
        "tasks where it has the highest mean accuracy of the four; more than any other",
    )
    rows = a.rows[a.rows.reading == HEADLINE]
    array = scores(STUDY, rows, list(MULTI_MOMENTUM), list(paper.TASKS))
    several = (np.isfinite(array).sum(axis=2) > 1).all(axis=0)
    whole = [not short_grids(a.made, task, *MULTI_MOMENTUM) for task in paper.TASKS]
    used = several & np.array(whole)
    means = np.nanmean(array[:, used], axis=2).T
    wide = pd.DataFrame(means, np.array(paper.TASKS)[used], MULTI_MOMENTUM)
    first = {task: row.idxmax() == MULTI_MOMENTUM[0] for task, row in wide.iterrows()}
    filled = count_over_tasks(claim, {str(task): won for task, won in first.items()})
    if filled.verdict in (NOT_MEASURED, PARTLY):
        return filled
    wins = wide.idxmax(axis=1).value_counts()
    alone = wins.index[0] == MULTI_MOMENTUM[0] and (len(wins) == 1 or wins.iloc[0] > wins.iloc[1])
    return filled._replace(verdict=supported_if(alone))


def _outperformed(a: Analysis) -> Claim:
    """Several settings on several tasks, so that one of many intervals lies above 0 by chance."""
    claim = Claim(
        "M(0.9)⊕M(0.0) is outperformed by settings of memory 3 on certain tasks",
        "section 6, “Multi-momentum propagators”",
        "tasks where a multi-momentum optimizer of three units is better, its p below 5 % by "
        "Holm's method over all tasks and settings; at least one",
    )
    larger = [name for name in MULTI_MOMENTUM if parse(name).num_units == 3]
    pairs = [
        (task, pair(a, task, name, MULTI_MOMENTUM[0]))
        for task in paper.TASKS
        for name in larger
        if not short_grids(a.made, task, name, MULTI_MOMENTUM[0])
    ]
    rows = [(task, row) for task, row in pairs if row and row["n"] > 1]
    found: dict[str, bool] = {}
    for (task, row), p_value in zip(rows, holm([row["p_value"] for _, row in rows]), strict=True):
        better = row["difference"] > 0 and p_value < LEVEL
        found[task] = found.get(task, False) or bool(better)
    return count_over_tasks(claim, found, least=1e-9)


def _jordan_blocks(a: Analysis) -> list[Claim]:
    here = a.against[(a.against.metric == "test_accuracy") & (a.against.reading == HEADLINE)]
    return [
        count_over_tasks(
            Claim(
                f"{paper.pretty(name)} surpasses the baselines in many tasks",
                "section 6, “M_m(λ) propagator”",
                "tasks where the interval of the difference is above 0; at least half",
            ),
            {
                row.task: row.low > 0
                for row in here[here.optimizer == name].itertuples()
                if row.n > 1 and not short_grids(a.made, row.task, name, *paper.BASELINES)
            },
        )
        for name in JORDAN
    ]


def _jordan_over_momentum(a: Analysis) -> Claim:
    claim = Claim(
        "Jordan block optimizers surpass pure multi-momentum ones in some tasks",
        "section 6, “M_m(λ) propagator”",
        "tasks where the best of the first, by validation accuracy, beats the best of the second, "
        "all measured; at least one",
    )
    found = {}
    needed = {*JORDAN, *set(MULTI_MOMENTUM) & set(paper.OPTIMIZERS)}
    for task in paper.TASKS:
        accuracy = validation_accuracies(a, task)
        ours = accuracy[accuracy.index.isin(JORDAN)]
        theirs = accuracy[accuracy.index.isin(MULTI_MOMENTUM)]
        if needed <= set(accuracy.index):
            row = pair(a, task, ours.idxmax(), theirs.idxmax())
            if row and row["n"] > 1 and not short_grids(a.made, task, *JORDAN, *MULTI_MOMENTUM):
                found[task] = row["low"] > 0
    return count_over_tasks(claim, found, least=1e-9)
