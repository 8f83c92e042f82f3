"""The open questions in Markdown: verdicts, and the deviations behind them."""

import pandas as pd

from rllc.replication import law_rates, paper
from rllc.replication.law_dynamics import CROSSING_RANGE, MIXED
from rllc.replication.paper import STUDY
from rllc.replication.question_verdicts import (
    CLEAR,
    LEANING,
    OPEN,
    SETTLED,
    Verdict,
    summary,
    verdict,
)
from rllc.replication.questions import QUESTIONS, REPORTED, Question
from rllc.suite.markdown import MISSING, markdown_table, span
from rllc.suite.score.readings import READINGS


def to_markdown(
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
    parts = ["# Questions the paper leaves open", _INTRO, overview(table), _RULE]
    rows = summary(table)
    for question in QUESTIONS:
        parts += [f"## {question.title}", f"Open: {question.open}."]
        parts += [question.note] if question.note else []
        here = table[table.question == question.name]
        parts += [_finding(verdict(here), here)]
        if len(here):
            parts.append(_answers(question, rows[rows.question == question.name]))
            if question.name == "initial_law" and witnesses is not None and len(witnesses):
                parts.append(_witnesses(witnesses))
                parts += [_final_runs(accuracies)] if accuracies is not None else []
        elif question is not REPORTED:
            parts[-1] += f" `python scripts/train.py -m experiment=question_{question.name}`"
        if question.name == "initial_law" and by_law_rate is not None and len(by_law_rate):
            parts.append(_by_law_rate(by_law_rate))
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
    "clearly. *Undecided*: otherwise. A cell agrees where it differs from the paper's by at most "
    f"max({paper.TOLERANCE} points, 2 σ). Reduced cells (fewer steps than the paper's) count only "
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
        f"{span(table.points)} grid points, seeds: {span(table.seeds)}, "
        f"steps: {span(table.steps)}{reduced}."
    )


def _winner(v: Verdict) -> str:
    if not v.best:
        return f"no answer wins more than half of the {v.comparisons} comparisons."
    leads = ", ".join(
        f"{lead.value:+.1f} ± {lead.error:.1f} σ" + (f" ({reading})" if reading else "")
        for reading, lead in v.leads.items()
    )
    against = "which is the default" if v.best == v.default else f"the default is “{v.default}”"
    return (
        f"“{v.best}” fits best, {against}. It wins {v.wins[v.best]} of {v.comparisons} "
        f"comparisons; its lead in accuracy is {leads} (± one standard error)."
    )


def _cells(table: pd.DataFrame) -> str:
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


def witness_sentence(table: pd.DataFrame) -> str:
    """From which initial laws the law goes as in the paper's Figure 2a.

    Args:
      table: from `initial_laws.witnesses`, not empty.
    """
    shown = table[table.as_in_paper]
    tasks = {answer: rows.task.map(paper.title) for answer, rows in shown.groupby("answer")}
    cases = [f"“{answer}” ({', '.join(map(str, titles))})" for answer, titles in tasks.items()]
    others = sorted(set(table.answer) - set(shown.answer))
    found = f"from {', '.join(cases)}" if cases else "from no initial law"
    low, high = (f"{step:,}" for step in CROSSING_RANGE)
    return (
        f"The law of {paper.pretty(MIXED)} goes as in the paper's Figure 2a (L₁ > L₂ in the first "
        f"tenth of training, L₁ < L₂ in the last, L₁ / L₂ passes 0.9 between steps {low} and "
        f"{high}) {found}{'; not from ' if others else ''}{', '.join(others)}."
    )


def _final_runs(table: pd.DataFrame) -> str:
    """Accuracies from other initial laws on final seeds."""
    if table.empty:
        return "No final runs from another initial law are recorded."
    number = lambda mean, std: MISSING if pd.isna(mean) else f"{mean:.2f} ± {std:.2f}"  # noqa: E731
    body = [
        [
            row.answer,
            paper.pretty(row.optimizer),
            paper.title(row.task),
            f"{number(row.mean, row.std)}, n={row.seeds}",
            number(row.default_mean, row.default_std),
            f"{row.paper_mean:.2f}",
        ]
        for row in table.itertuples()
    ]
    head = ["answer", "optimizer", "task", "test accuracy (%)", "from the default", "paper"]
    return (
        "Final runs from another initial law, at the rates tuned from it (step chosen on "
        f"validation data):\n\n{markdown_table(head, body)}"
    )


def _witnesses(table: pd.DataFrame) -> str:
    """What the law of Figure 2a says about the initial law."""
    text = (
        "A second witness is Figure 2a, “transition between momentum SGD and SGD, briefly aligning "
        f"with the NAG optimizer around the 2k step”. {witness_sentence(table)} The law at the "
        "best of all tuned points of each answer, tuning seeds:"
    )
    head = ["answer", "task", "grid points", "seeds", "rates", "L₁ − L₂, first", "last", "crossing"]
    body = [
        [
            f"{row.answer} (default)" if row.is_default else row.answer,
            paper.title(row.task),
            str(row.points),
            str(row.seeds),
            f"{row.learning_rate:g}, {row.law_learning_rate:g}",
            f"{row.early:+.2f}",
            f"{row.late:+.2f}",
            MISSING if pd.isna(row.crossing) else f"step {row.crossing:,.0f}",
        ]
        for row in table.itertuples()
    ]
    return f"{text}\n\n{markdown_table(head, body)}"


def _by_law_rate(table: pd.DataFrame) -> str:
    """Sweeps over the law rate, as witnesses to the size of the initial law."""
    figures = ", ".join(
        f"[{paper.title(task)}](../figures/law_rates_{task}.png)"
        for task in STUDY.task_order(table.task)
    )
    return (
        "The law rate is a witness to the size of the initial law: a law of ones with rates "
        "(c₁, c₂) makes the same steps as one of x in every unit with (c₁ / x, x c₂), so a law "
        "rate below the paper's grid, which begins at 0.003, stands for a larger initial law "
        "within it. Runs that choose no rates; “law left” is the norm of the law at the last step "
        "over that at the start, “drift” its change per step over the law rate, in the first "
        f"{law_rates.EARLY:,} steps. Figure: {figures}.\n\n{law_rates.to_markdown(table)}"
    )
