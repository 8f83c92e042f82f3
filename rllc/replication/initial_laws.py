"""Runs from other initial laws than the default, and what they say about Figure 2a.

The paper gives no L_0 but shows a law: "transition between momentum SGD and SGD" (Figure 2a). So
the law of M(0.9)⊕M(0.0) is a second witness to the open question, beside the accuracies.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from rllc.replication import deviations, law_dynamics, paper, questions
from rllc.replication.law_dynamics import MIXED, LawCurves
from rllc.replication.paper import ACCURACY, STUDY
from rllc.suite.choose import selection
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import MISSING, with_std
from rllc.suite.score import readings
from rllc.suite.show import tables
from rllc.suite.table import Column, Table, csv_only, optimizer_column, task_column


def named(row: Any) -> str:
    """An answer, marked where it is the default."""
    return f"{row.answer} (default)" if row.is_default else str(row.answer)


WITNESSES = Table((
    Column("answer", "answer", named), Column("is_default"), task_column(STUDY),
    Column("points", "grid points"), Column("seeds", "seeds"),
    Column("", "rates", lambda row: f"{row.learning_rate:g}, {row.law_learning_rate:g}"),
    *csv_only("learning_rate", "law_learning_rate"), Column("early", "L₁ − L₂, first", "+.2f"),
    Column("late", "last", "+.2f"),
    Column("crossing", "crossing",
           lambda row: MISSING if pd.isna(row.crossing) else f"step {row.crossing:,.0f}"),
    Column("as_in_paper"),
))  # fmt: skip
ACCURACIES = Table((
    Column("answer", "answer"), optimizer_column(STUDY), task_column(STUDY), Column("seeds"),
    Column("mean", "test accuracy (%)",
           lambda row: f"{with_std(row.mean, row.std)}, n={row.seeds}"),
    Column("std"),
    Column("default_mean", "from the default",
           lambda row: with_std(row.default_mean, row.default_std)),
    Column("default_std"), Column("paper_mean", "paper", ".2f"),
))  # fmt: skip
_WORDS = {"ones": "1 in every unit", "mean": "1/k in every unit"}
_WORDS |= {"first": "(1, 0, …, 0)", "last": "(0, …, 0, 1)"}


def in_words(answer: str) -> str:
    """An initial law's answer as people write the law.

    >>> in_words("first"), in_words("7*first"), in_words("0.1")
    ('(1, 0, …, 0)', '7 · (1, 0, …, 0)', '0.1 in every unit')
    """
    factor, scaled, name = answer.partition("*")
    if scaled:
        return f"{factor} · {in_words(name)}"
    return _WORDS.get(answer, answer if "," in answer else f"{answer} in every unit")


def finals_from_elsewhere(
    every: pd.DataFrame, runs: pd.DataFrame, curves: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Final runs from each initial law that is not the default, at rates tuned from that law.

    Args:
      every: from `selection.tidy`, all variants.
      runs: from `selection.default_variants`.
      curves: evaluations.

    Returns:
      By answer, rows as from `readings.final_runs`; answers without final runs are left out.
    """
    answered = _answered(every, runs)
    found = {}
    for answer, part in answered[~answered.is_default].groupby("answer", sort=True):
        choices = selection.choose(selection.tuning_points(part, curves, ACCURACY), ACCURACY)
        final = readings.final_runs(part, choices)
        if len(final):
            found[str(answer)] = final
    return found


def witnesses(every: pd.DataFrame, runs: pd.DataFrame, records: Any) -> pd.DataFrame:
    """The law of M(0.9)⊕M(0.0) from each initial law, at the best of its tuning points.

    Args:
      every: from `selection.tidy`, all variants.
      runs: from `selection.default_variants`.
      records: anything with ``curves`` and ``laws(runs)``.

    Returns:
      `WITNESSES`, one row per answer and task: ``early`` and ``late`` are the mean of L_1 - L_2 in
      the first and the last tenth of training, ``crossing`` the step where L_1 / L_2 passes 0.9
      for the last time (median over the tuning seeds at that point); ``as_in_paper`` says
      whether all three are as the paper shows them.
    """
    answered = _answered(every[every.optimizer == MIXED], runs)
    table = pd.DataFrame(_rows(selection.tuning_runs(answered), records), columns=WITNESSES.names)
    tasks = STUDY.task_order(table.task)
    table = table.sort_values(
        ["answer", "task"], key=lambda c: c.map(tasks.index) if c.name == "task" else c
    )
    return table.reset_index(drop=True)


def accuracies(
    elsewhere: dict[str, pd.DataFrame], curves: pd.DataFrame, summary: pd.DataFrame
) -> pd.DataFrame:
    """Test accuracy of the final runs from other laws, beside the default's and the paper's.

    Args:
      elsewhere: from `finals_from_elsewhere`.
      curves: evaluations.
      summary: from `readings.summarize`, of the default settings.

    Returns:
      `ACCURACIES` (%, at the headline reading), in the order of the paper's tables.
    """
    parts = [
        _headline(readings.summarize(STUDY, readings.readings(STUDY, final, curves))).assign(
            answer=answer
        )
        for answer, final in elsewhere.items()
    ]
    if not parts:
        return ACCURACIES.empty()
    default = _headline(summary)[[*CELL, "mean", "std"]]
    default = default.rename(columns={"mean": "default_mean", "std": "default_std"})
    theirs = paper.cells().rename(columns={"test_accuracy_mean": "paper_mean"})
    table = pd.concat(parts)[ACCURACIES.names[:6]].merge(default, on=CELL, how="left")
    table = table.merge(theirs[[*CELL, "paper_mean"]], on=CELL, how="left")
    return tables.ordered(STUDY, table)


def _headline(summary: pd.DataFrame) -> pd.DataFrame:
    names = {"test_accuracy_mean": "mean", "test_accuracy_std": "std"}
    return summary[summary.reading == readings.HEADLINE].rename(columns=names)


def _answered(every: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    question = questions.by_name("initial_law")
    return deviations.answered(question, every, selection.variant_by_cell(runs))


def _rows(tuning: pd.DataFrame, records: Any) -> Iterator[dict[str, Any]]:
    for (answer, task), part in tuning.groupby(["answer", "task"], sort=True):
        points = selection.tuning_points(part, records.curves, ACCURACY)
        choice = selection.choose(points, ACCURACY).iloc[0]
        best = part[selection.same_hyper(part, choice.hyper)]
        best = best[best.steps == choice.steps]
        found = law_dynamics.law_curves(records, best, str(task), MIXED)
        if found is None:
            continue
        yield {
            "answer": answer, "task": task, "is_default": bool(part.is_default.iloc[0]),
            "points": choice.grid_points, "seeds": best.seed.nunique(),
            "learning_rate": choice.learning_rate,
            "law_learning_rate": choice.get("law_learning_rate"),
            **_course(found),
        }  # fmt: skip


def _course(found: LawCurves) -> dict[str, float | bool]:
    early, late = law_dynamics.dominance(found.law)
    crossing = law_dynamics.nesterov_crossing(found.steps, found.law)
    middle = float(np.median(crossing))
    turned = law_dynamics.is_reversed(found.law).all()
    return {
        "early": early.mean(), "late": late.mean(), "crossing": middle,
        "as_in_paper": bool(turned and law_dynamics.is_as_in_paper(middle)),
    }  # fmt: skip
