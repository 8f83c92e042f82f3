"""Which answer to an open question fits the paper's numbers, and how sure that is.

The rule. Each stopping point gives two comparisons, by accuracy and by loss; the answer with the
smallest mean misfit over the cells wins one (nobody where several are equal). The winner's lead in
accuracy, the mean over cells of how much smaller its misfit is than the next answer's, is clear
from `CLEAR` standard errors on. The answer that wins most comparisons is

- settled, if it wins all, each time with a clear lead, and no cell is reduced;
- leaning, if it wins more than half, at least once with a clear lead;
- undecided otherwise.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.replication.questions import QUESTIONS
from rllc.suite.markdown import span
from rllc.suite.score.readings import READINGS
from rllc.suite.table import Table, csv_only

CLEAR = 2.0
SETTLED, LEANING, UNDECIDED, OPEN = "settled", "leaning", "undecided", "not yet measured"
ANSWERS = Table(csv_only(
    "question", "answer", "is_default", "reading", "cells", "agree", "seeds", "points", "steps",
    "reduced_cells", "accuracy_difference", "misfit", "loss_difference_percent",
    "loss_misfit_percent", "wins", "fits_best", "verdict",
))  # fmt: skip


class Lead(NamedTuple):
    """How far an answer is ahead of the nearest other (negative: behind), and how sure that is."""

    value: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether the lead exceeds `CLEAR` standard errors."""
        return self.value >= CLEAR * self.error


class Verdict(NamedTuple):
    """What the records say about one question.

    Attributes:
      word: `SETTLED`, `LEANING`, `UNDECIDED` or `OPEN`.
      best: the answer that wins more than half of the comparisons, "" where none does.
      default: today's answer.
      wins: comparisons won by each answer.
      comparisons: how many there are.
      leads: the lead in accuracy (spreads) of the answer with most wins, by stopping point.
      cells: cells compared.
      reduced: how many of them are shorter than the paper's protocol.
    """

    word: str
    best: str = ""
    default: str = ""
    wins: Mapping[str, int] = MappingProxyType({})
    comparisons: int = 0
    leads: Mapping[str, "Lead"] = MappingProxyType({})
    cells: int = 0
    reduced: int = 0


def verdict_on(table: pd.DataFrame) -> Verdict:
    """Applies the rule to the rows of one question of `deviations.deviations`."""
    if table.empty:
        return Verdict(OPEN)
    means = table.groupby(["reading", "answer"])[["misfit", "loss_misfit_percent"]].mean()
    wins = dict.fromkeys(sorted(table.answer.unique()), 0)
    for column in means:
        for _, row in means[column].unstack("answer").iterrows():
            lowest = row.index[row <= row.min() + 1e-9]
            if len(lowest) == 1:
                wins[lowest[0]] += 1
    accuracy = table.groupby("answer").misfit.mean()
    best = max(wins, key=lambda answer: (wins[answer], -accuracy[answer]))
    cells = table.groupby(["task", "optimizer"]).steps.max()
    n, reduced = len(cells), int((cells < paper.STEPS).sum())
    by_reading = dict(iter(table.groupby("reading")))
    leads = {r: _lead(by_reading[r], best) for r in ("", *READINGS) if r in by_reading}
    sure, total = [lead.clear for lead in leads.values()], 2 * len(leads)
    most = 2 * wins[best] > total
    settled = wins[best] == total and all(sure) and not reduced
    leaning = most and any(sure)
    word = SETTLED if settled else LEANING if leaning else UNDECIDED
    default = str(table.answer[table.is_default.astype(bool)].iloc[0])
    return Verdict(word, best if most else "", default, wins, total, leads, n, reduced)


def _lead(rows: pd.DataFrame, best: str) -> Lead:
    """The best answer's lead at one stopping point.

    Its standard error is that of the paired differences over cells, and at least what seeds
    alone would give: two numbers of spread 1 per cell.
    """
    misfits = rows.pivot(index=["task", "optimizer"], columns="answer", values="misfit")
    other = misfits.drop(columns=best).mean().idxmin()
    gains = (misfits[other] - misfits[best]).to_numpy(float)
    spread = max(np.sqrt(2), gains.std(ddof=1) if len(gains) > 1 else 0.0)
    return Lead(float(gains.mean()), float(spread / np.sqrt(len(gains))))


def answers(table: pd.DataFrame) -> pd.DataFrame:
    """One row per question, answer and stopping point (`ANSWERS`), means over cells."""
    if table.empty:
        return ANSWERS.empty()
    verdicts = {name: verdict_on(rows) for name, rows in table.groupby("question")}
    grouped = table.assign(reduced=table.steps < paper.STEPS).groupby(
        ["question", "answer", "is_default", "reading"], sort=True
    )
    averaged = ["accuracy_difference", "misfit", "loss_difference_percent", "loss_misfit_percent"]
    out = grouped.agg(
        cells=("task", "size"), agree=("agrees", "sum"), reduced_cells=("reduced", "sum"),
        seeds=("seeds", span), points=("points", span), steps=("steps", span),
        **{column: (column, "mean") for column in averaged},
    ).reset_index()  # fmt: skip
    found = out.question.map(verdicts)
    pairs = list(zip(found, out.answer, strict=True))
    out = out.assign(
        wins=[v.wins[answer] for v, answer in pairs],
        fits_best=[v.best == answer for v, answer in pairs],
        verdict=[v.word for v in found],
    )
    order = [question.name for question in QUESTIONS]
    by = {"question": order, "reading": ["", *READINGS]}
    rank = lambda column: column.map(by[column.name].index) if column.name in by else column  # noqa: E731
    return out.sort_values(["question", "answer", "reading"], key=rank)[ANSWERS.names]
