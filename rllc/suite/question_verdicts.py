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

from rllc.suite import paper
from rllc.suite.markdown import MISSING, markdown_table
from rllc.suite.questions import QUESTIONS, REPORTED, Question
from rllc.suite.readings import READINGS

CLEAR = 2.0
SETTLED, LEANING, UNDECIDED, OPEN = "settled", "leaning", "undecided", "not yet measured"
COLUMNS = [
    "question", "answer", "is_default", "reading", "cells", "agree", "seeds", "points", "steps",
    "reduced_cells", "accuracy_difference", "misfit", "loss_difference_percent",
    "loss_misfit_percent", "wins", "fits_best", "verdict",
]  # fmt: skip


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
      leads: at each stopping point, the lead in accuracy (spreads) of the answer with most wins.
      cells: cells compared.
      reduced: how many of them are shorter than the paper's protocol.
    """

    word: str
    best: str = ""
    default: str = ""
    wins: Mapping[str, int] = MappingProxyType({})
    comparisons: int = 0
    leads: tuple["Lead", ...] = ()
    cells: int = 0
    reduced: int = 0


def verdict(table: pd.DataFrame) -> Verdict:
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
    leads = tuple(_lead(rows, best) for _, rows in table.groupby("reading", sort=True))
    sure, total = [lead.clear for lead in leads], 2 * len(leads)
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


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per question, answer and stopping point (`COLUMNS`), means over cells."""
    if table.empty:
        return pd.DataFrame(columns=COLUMNS)
    verdicts = {name: verdict(rows) for name, rows in table.groupby("question")}
    grouped = table.assign(reduced=table.steps < paper.STEPS).groupby(
        ["question", "answer", "is_default", "reading"], sort=True
    )
    averaged = ["accuracy_difference", "misfit", "loss_difference_percent", "loss_misfit_percent"]
    out = grouped.agg(
        cells=("task", "size"), agree=("agrees", "sum"), reduced_cells=("reduced", "sum"),
        seeds=("seeds", _span), points=("points", _span), steps=("steps", _span),
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
    return out.sort_values(["question", "answer", "reading"], key=rank)[COLUMNS]


def _span(numbers: pd.Series) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    return str(low) if low == high else f"{low}–{high}"


def to_markdown(table: pd.DataFrame) -> str:
    """Every question with its verdict and the deviations behind it, in Markdown.

    Args:
      table: from `deviations.deviations`.
    """
    parts = ["# Questions the paper leaves open", _INTRO, overview(table), _RULE]
    rows = summary(table)
    for question in QUESTIONS:
        parts += [f"## {question.title}", f"Open: {question.open}."]
        parts += [question.note] if question.note else []
        here = table[table.question == question.name]
        parts += [_finding(verdict(here), here)]
        if len(here):
            parts.append(_answers(question, rows[rows.question == question.name]))
        elif question is not REPORTED:
            parts[-1] += f" `python scripts/train.py -m experiment=question_{question.name}`"
    return "\n\n".join(parts) + "\n"


_INTRO = (
    "Each answer is judged by how close it brings us to the paper's Tables 1 and 2, at each "
    "stopping point that its numbers may come from. A cell of an answer is the best of its grid by "
    "validation accuracy, among the points, seeds and steps that were run for all answers. Test "
    "numbers are those of these tuning runs."
)
_RULE = (
    "Rule: every stopping point gives two comparisons, by accuracy and by loss; the answer with "
    "the smallest mean misfit over cells wins one. Accuracy misfits are in units of σ, the "
    "deviation to expect between two such means from seeds alone (the paper's, pooled over the "
    f"task's column). A lead in accuracy is clear from {CLEAR:g} standard errors on. *Settled*: "
    "wins all, always clearly, without reduced cells. *Leaning*: wins more than half, once "
    "clearly. *Undecided*: otherwise. Reduced cells (fewer steps than the paper's) count only "
    "where they are better than the paper already, since more steps would not undo that."
)


def overview(table: pd.DataFrame) -> str:
    """Every question with its verdict, one row each, in Markdown."""
    head = ["question", "default", "fits best", "verdict", "comparisons won", "cells"]
    body = [_overview(q, verdict(table[table.question == q.name])) for q in QUESTIONS]
    return markdown_table(head, body)


def one_line(table: pd.DataFrame) -> str:
    """All verdicts in a line: ``Pooling of Conv: leaning (average); 6 not yet measured``."""
    found = {q.title: verdict(table[table.question == q.name]) for q in QUESTIONS}
    parts = [
        f"{title}: {v.word}" + (f" ({v.best})" if v.word in (SETTLED, LEANING) else "")
        for title, v in found.items()
        if v.word != OPEN
    ]
    left = sum(v.word == OPEN for v in found.values())
    return "; ".join(parts + ([f"{left} {OPEN}"] if left else []))


def _overview(question: Question, v: Verdict) -> list[str]:
    if v.word == OPEN:
        return [question.title, MISSING, MISSING, v.word, MISSING, "0"]
    won = f"{max(v.wins.values())} of {v.comparisons}"
    cells = f"{v.cells}" + (f", {v.reduced} reduced" if v.reduced else "")
    return [question.title, v.default, v.best or MISSING, f"**{v.word}**", won, cells]


def _finding(v: Verdict, table: pd.DataFrame) -> str:
    if v.word == OPEN:
        return "Not yet measured."
    reduced = f"; {v.reduced} of {v.cells} cells reduced" if v.reduced else ""
    return (
        f"**{v.word.capitalize()}**: {_winner(v)} Compared on {_cells(table)}; per answer and cell "
        f"{_span(table.points)} grid points, seeds: {_span(table.seeds)}, "
        f"steps: {_span(table.steps)}{reduced}."
    )


def _winner(v: Verdict) -> str:
    if not v.best:
        return f"no answer wins more than half of the {v.comparisons} comparisons."
    leads = ", ".join(f"{lead.value:+.1f} ± {lead.error:.1f} σ" for lead in v.leads)
    against = "which is the default" if v.best == v.default else f"the default is “{v.default}”"
    return (
        f"“{v.best}” fits best, {against}. It wins {v.wins[v.best]} of {v.comparisons} "
        f"comparisons; its lead in accuracy is {leads} (± one standard error)."
    )


def _cells(table: pd.DataFrame) -> str:
    """Tasks with the optimizers compared on them."""
    parts = []
    for task in paper.in_order(table.task, paper.TASKS):
        names = paper.in_order(table.optimizer[table.task == task], paper.OPTIMIZERS)
        whole = names == list(paper.OPTIMIZERS)
        text = f"all {len(names)} optimizers" if whole else ", ".join(map(paper.pretty, names))
        parts.append(f"{paper.title(task)} ({text})")
    return "; ".join(parts)


def _answers(question: Question, rows: pd.DataFrame) -> str:
    """Mean deviations by answer; one column per stopping point, or one where that is asked."""
    stops = [""] if question is REPORTED else list(READINGS)
    head = ["answer", "wins"]
    head += [f"accuracy, {stop}" if stop else "accuracy (points)" for stop in stops]
    head += [f"loss, {stop} (%)" if stop else "loss (%)" for stop in stops]
    head += ["cells that agree"]
    body = []
    for answer, part in rows.groupby("answer", sort=True):
        at = part.set_index("reading")
        label = f"{answer} (default)" if part.is_default.any() else str(answer)
        numbers = [f"{at.accuracy_difference[s]:+.2f} ({at.misfit[s]:.1f} σ)" for s in stops]
        numbers += [
            f"{at.loss_difference_percent[s]:+.1f} ({at.loss_misfit_percent[s]:.1f})" for s in stops
        ]
        agree = ", ".join(f"{at.agree[s]}" for s in stops) + f" of {part.cells.max()}"
        body.append([label, str(part.wins.iloc[0]), *numbers, agree])
    text = "Mean over cells of ours minus the paper's (in brackets the mean misfit):"
    return f"{text}\n\n{markdown_table(head, body)}"
