"""The open questions in Markdown: verdicts, and the deviations behind them."""

import pandas as pd

from rllc.replication import law_rates, paper
from rllc.replication.initial_laws import ACCURACIES, WITNESSES, named
from rllc.replication.law_dynamics import CROSSING_RANGE, MIXED
from rllc.replication.law_rates import LAW_RATES
from rllc.replication.paper import STUDY
from rllc.replication.question_verdicts import (
    CLEAR,
    LEANING,
    OPEN,
    SETTLED,
    Verdict,
    answers,
    verdict_on,
)
from rllc.replication.questions import QUESTIONS, REPORTED, Question
from rllc.suite.markdown import MISSING, span
from rllc.suite.score.readings import READINGS
from rllc.suite.table import Column, Table
from rllc.suite.templates import render

OVERVIEW = Table((
    Column("question", "question"), Column("default", "default"), Column("best", "fits best"),
    Column("verdict", "verdict"), Column("won", "comparisons won"), Column("cells", "cells"),
))  # fmt: skip


def page(
    table: pd.DataFrame,
    witnesses: pd.DataFrame | None = None,
    accuracies: pd.DataFrame | None = None,
    by_law_rate: pd.DataFrame | None = None,
) -> str:
    """Every question with its verdict and the deviations behind it, in Markdown.

    Args:
      table: from `deviations.deviations`.
      witnesses: from `initial_laws.witnesses`; None leaves them out.
      accuracies: from `initial_laws.accuracies`; None leaves them out.
      by_law_rate: from `law_rates.table`; None leaves it out.
    """
    by_answer, asked = answers(table), {q: table[table.question == q.name] for q in QUESTIONS}
    return render(
        __file__, "questions.md", overview=overview(table), paper=paper, clear=CLEAR, span=span,
        questions={q: (verdict_on(here), here) for q, here in asked.items()}, compared=_compared,
        answers={q: _answers(q, by_answer[by_answer.question == q.name]) for q in QUESTIONS},
        reported=REPORTED, witnesses=_or_none(witnesses), accuracies=accuracies,
        law_rates=_or_none(by_law_rate), sentence=witness_sentence, early=law_rates.EARLY,
        swept=STUDY.task_order(() if by_law_rate is None else by_law_rate.task),
        WITNESSES=WITNESSES, ACCURACIES=ACCURACIES, LAW_RATES=LAW_RATES,
    )  # fmt: skip


def _or_none(table: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if table is None or table.empty else table


def overview(table: pd.DataFrame) -> str:
    """Every question with its verdict, one row each, in Markdown."""
    rows = [_overview(q, verdict_on(table[table.question == q.name])) for q in QUESTIONS]
    return OVERVIEW.to_markdown(pd.DataFrame(rows, columns=OVERVIEW.names))


def one_line(table: pd.DataFrame) -> str:
    """All verdicts in a line: ``Pooling of Conv: leaning (average); 6 not yet measured``."""
    found = {q.title: verdict_on(table[table.question == q.name]) for q in QUESTIONS}
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


def _compared(table: pd.DataFrame) -> str:
    """Tasks with the optimizers compared on them."""
    parts = []
    for task in STUDY.task_order(table.task):
        names = STUDY.row_order(table.optimizer[table.task == task])
        whole = names == list(paper.OPTIMIZERS)
        text = f"all {len(names)} optimizers" if whole else ", ".join(map(paper.pretty, names))
        parts.append(f"{paper.title(task)} ({text})")
    return "; ".join(parts)


def _answers(question: Question, rows: pd.DataFrame) -> str:
    """Mean deviations by answer; one column per stopping point, or one where that is asked."""
    stops = [""] if question is REPORTED else list(READINGS)
    wide = Table((
        Column("answer", "answer", named), Column("wins", "wins"),
        *(Column(f"accuracy {stop}", f"accuracy, {stop}" if stop else "accuracy (points)")
          for stop in stops),
        *(Column(f"loss {stop}", f"loss, {stop} (%)" if stop else "loss (%)") for stop in stops),
        Column("agree", "cells that agree"),
    ))  # fmt: skip
    body = [
        {"answer": answer, "is_default": part.is_default.any(), "wins": part.wins.iloc[0],
         "agree": f"{', '.join(map(str, part.agree))} of {part.cells.max()}"}
        | {f"accuracy {row.reading}": f"{row.accuracy_difference:+.2f} ({row.misfit:.1f} σ)"
           for row in part.itertuples()}
        | {f"loss {row.reading}":
           f"{row.loss_difference_percent:+.1f} ({row.loss_misfit_percent:.1f})"
           for row in part.itertuples()}
        for answer, part in rows.groupby("answer", sort=True)
    ]  # fmt: skip
    return wide.to_markdown(pd.DataFrame(body))


def witness_sentence(table: pd.DataFrame) -> str:
    """From which initial laws the law goes as in the paper's Figure 2a.

    Args:
      table: from `initial_laws.witnesses`, not empty.
    """
    found = table[table.as_in_paper]
    tasks = {answer: rows.task.map(paper.title) for answer, rows in found.groupby("answer")}
    return render(
        __file__, "witness.md", name=paper.pretty(MIXED), range=CROSSING_RANGE, tasks=tasks,
        others=sorted(set(table.answer) - set(found.answer)),
    )  # fmt: skip
