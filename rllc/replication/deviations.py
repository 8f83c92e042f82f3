"""How far every answer to an open question is from the paper's numbers.

Answers are compared on equal terms: on the same cells, there at the same points of the grid, seeds
and steps, namely those run for all of them; each takes its best point by validation accuracy, as a
cell of the paper is the best of its grid.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from rllc.replication import paper, questions
from rllc.replication.paper import ACCURACY, LAW_RATE, LOSS, STUDY
from rllc.replication.questions import QUESTIONS, REPORTED, Question
from rllc.suite.choose import selection
from rllc.suite.choose.selection import (
    CELL,
    lowest_or_highest,
    tuning_runs,
)
from rllc.suite.score import readings
from rllc.suite.score.statistics import pooled_std
from rllc.suite.table import Table, csv_only

RULES = {metric.column("validation"): metric for metric in (ACCURACY, LOSS)}
RULE = ACCURACY.column("validation")
GUESS = {metric: metric.guess_or_worst([]) for metric in (ACCURACY, LOSS)}
RATES = ["learning_rate", LAW_RATE]
DEVIATIONS = Table(csv_only(
    "question", "answer", "is_default", *CELL, "reading", "seeds", "points", "steps", *RATES,
    "accuracy", "loss", "paper_accuracy", "paper_loss", "accuracy_difference",
    "loss_difference_percent", "spread", "misfit", "loss_misfit_percent", "agrees",
))  # fmt: skip


def deviations(runs: pd.DataFrame, defaults: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """How far every answer to every question is from the paper, per cell and stopping point.

    Args:
      runs: from `selection.tidy`, all variants.
      defaults: from `selection.default_variants`.
      curves: evaluations.

    Returns:
      `DEVIATIONS`: accuracy in the paper's metric (%); ``spread``, the deviation (points) to expect
      between two such numbers if the answer is right; ``misfit``, the accuracy's difference in
      units of it, and ``loss_misfit_percent``, the loss's. A run shorter than the paper's
      counts only where it is better than the paper already. The question `REPORTED` has no
      stopping point, since that is what it asks.
    """
    known = set(zip(paper.cells().task, paper.cells().optimizer, strict=True))
    tried = selection.with_hyper(runs[runs.role != "final"], RATES)
    cells = zip(tried.task, tried.optimizer, strict=True)
    tried = tried[np.array([cell in known for cell in cells], bool)]
    tried = tried.assign(**{name: lowest_or_highest(tried, curves, m) for name, m in RULES.items()})
    variants = selection.variant_by_cell(defaults)
    chosen = list(_reported(tuning_runs(tried[tried.run.isin(set(defaults.run))])))
    for question in QUESTIONS[1:]:
        chosen += list(_settings(question, tried, variants))
    if not chosen:
        return DEVIATIONS.empty()
    table = _values(pd.concat(chosen, ignore_index=True), curves)
    return _beside_paper(table)[DEVIATIONS.names]


def _reported(tuning: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The best points of the grids of most steps: shorter ones only preselect rates."""
    for _, members in tuning[tuning.steps == tuning.steps.max()].groupby(CELL, sort=True):
        for rule in RULES:
            best = _best(_rectangle(members), rule)
            yield best.assign(question=REPORTED.name, answer="", is_default=False)


def _settings(
    question: Question, tried: pd.DataFrame, variants: dict[tuple[str, str], str]
) -> Iterator[pd.DataFrame]:
    members = answered(question, tried, variants)
    answers, cells = compared(members)
    for cell in cells:
        here = members[(members.task == cell[0]) & (members.optimizer == cell[1])]
        here = _common(here[here.answer.isin(answers)], len(answers))
        for _, part in here.groupby("answer", sort=True):
            yield _best(part, RULE).assign(question=question.name)


def _best(runs: pd.DataFrame, rule: str) -> pd.DataFrame:
    """The runs at the best point, with ``points`` (how many there were) and the ``rule``."""
    names = [*selection.hyper_names(runs), "hyper"]
    points = runs.groupby(names, dropna=False, sort=True)[rule].mean().droplevel(names[:-1])
    at = points.idxmin() if RULES[rule].lower else points.idxmax()
    best = runs[runs.hyper == at]
    return best.assign(points=len(points), rule=rule)


def answered(
    question: Question, tuning: pd.DataFrame, variants: dict[tuple[str, str], str]
) -> pd.DataFrame:
    """Runs that differ from their cell's default in the question's settings at most.

    Args:
      question: any with settings.
      tuning: tidy runs.
      variants: default variants by cell (task, optimizer); runs of other cells are left out.

    Returns:
      Rows of `tuning` with ``answer`` and ``is_default``.
    """
    known = [cell in variants for cell in zip(tuning.task, tuning.optimizer, strict=True)]
    tuning = tuning[np.array(known, bool)]
    split = {text: questions.answer(question, text) for text in tuning.variant.unique()}
    cells = list(zip(tuning.task, tuning.optimizer, strict=True))
    defaults = {cell: questions.answer(question, variants[cell]) for cell in set(cells)}
    pairs = [(split[v], defaults[c]) for v, c in zip(tuning.variant, cells, strict=True)]
    every = tuning.assign(
        answer=[mine.answer for mine, _ in pairs],
        is_default=np.array([mine.answer == its.answer for mine, its in pairs], bool),
    )
    same = [bool(mine.answer) and mine.rest == its.rest for mine, its in pairs]
    return every[np.array(same, bool)]


def compared(members: pd.DataFrame) -> tuple[list[str], list[tuple[str, str]]]:
    """Answers that are compared, and the cells (task, optimizer) that all of them were run on.

    Those are compared that give the most numbers beside the default's: a trial on one cell does
    not take the other cells from the comparison, nor does an answer that was run elsewhere.
    """
    where = {
        answer: set(zip(group.task, group.optimizer, strict=True))
        for answer, group in members.groupby("answer", sort=True)
    }
    default = set(members.answer[members.is_default.astype(bool)])
    others = [answer for answer in where if answer not in default]
    if not others or not default:
        return [], []
    sets = [
        (len(some) * len(shared), len(some), some, shared)
        for n in range(1, len(others) + 1)
        for some in combinations(others, n)
        for shared in [set.intersection(*(where[name] for name in (*default, *some)))]
    ]
    *_, some, shared = max(sets, key=lambda found: found[:2])
    return [name for name in where if name in default or name in some], sorted(shared)


def _common(members: pd.DataFrame, answers: int) -> pd.DataFrame:
    """Runs of one cell at the points, seeds and most steps that every answer has."""
    keys = ["hyper", "seed", "steps"]
    counts = members.groupby(keys).answer.nunique()
    shared = counts[counts == answers].reset_index()
    if shared.empty:
        return members.iloc[:0]
    shared = shared[shared.steps == shared.steps.max()]
    wanted = set(shared[keys].itertuples(index=False, name=None))
    has = [key in wanted for key in members[keys].itertuples(index=False, name=None)]
    return _rectangle(members[has])


def _rectangle(members: pd.DataFrame) -> pd.DataFrame:
    """The points that share most seeds: seeds run at the most points, and points with all these."""
    per_seed = members.groupby("seed").size()
    seeds = set(per_seed[per_seed == per_seed.max()].index)
    inside = members[members.seed.isin(seeds)]
    points = inside.groupby("hyper").seed.transform("nunique")
    return inside[points == len(seeds)]


def _values(chosen: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Test numbers of the chosen runs: means over seeds by question, answer, cell and reading."""
    parts = []
    for rule, members in chosen.groupby("rule", sort=True):
        once = members.drop_duplicates("run").assign(tuned=True)
        rows = readings.readings(STUDY, once, curves, RULES[rule]).drop(
            columns=[*CELL, "seed", "steps", "status"]
        )
        parts.append(members.drop(columns=["family", "device"]).merge(rows, on="run"))
    rows = pd.concat(parts, ignore_index=True)
    lost = rows.status == "diverged"
    rows["accuracy"] = rows.batch_accuracy.where(~lost, GUESS[ACCURACY])
    rows["loss"] = rows.test_loss.where(~lost, GUESS[LOSS])
    asked = rows.question == REPORTED.name
    by = rows.rule.str.removeprefix("validation_")
    rows["is_default"] |= asked & (rows.reading == readings.HEADLINE) & (rows.rule == RULE)
    rows["answer"] = rows.answer.where(~asked, rows.reading + ", by " + by)
    rows["reading"] = rows.reading.where(~asked, "")
    grouped = rows.groupby(["question", "answer", *CELL, "reading"], sort=True)
    firsts = ("is_default", "points", "steps", *RATES)
    return grouped.agg(
        accuracy=("accuracy", "mean"), loss=("loss", "mean"), seeds=("seed", "nunique"),
        **{column: (column, "first") for column in firsts},
    ).reset_index()  # fmt: skip


def _beside_paper(table: pd.DataFrame) -> pd.DataFrame:
    names = {"test_loss_mean": "paper_loss", "test_accuracy_mean": "paper_accuracy"}
    cells = paper.cells().rename(columns=names)
    table = table.merge(cells.drop(columns="test_accuracy_std"), on=CELL, how="left")
    std = cells.groupby("task").test_accuracy_std.agg(
        lambda s: pooled_std(s, [paper.SEEDS] * len(s))
    )
    table["spread"] = table.task.map(std) * np.sqrt(1 / paper.SEEDS + 1 / table.seeds)
    table["accuracy_difference"] = table.accuracy - table.paper_accuracy
    table["loss_difference_percent"] = 100 * (table.loss / table.paper_loss - 1)
    better, lower = (
        table.accuracy_difference.clip(lower=0),
        table.loss_difference_percent.clip(upper=0),
    )
    whole = table.steps >= paper.STEPS
    table["misfit"] = table.accuracy_difference.where(whole, better).abs() / table.spread
    table["loss_misfit_percent"] = table.loss_difference_percent.where(whole, lower).abs()
    within = table.accuracy_difference.abs() <= np.maximum(paper.TOLERANCE, 2 * table.spread)
    return table.assign(agrees=within)
