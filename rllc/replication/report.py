"""`results/replication.md`: how much is measured, how much agrees, and a verdict per claim."""

from collections import Counter

import pandas as pd

from rllc.replication import (
    behaviour,
    claims,
    family_claims,
    law_claims,
    multiverse,
    opening,
    paper,
    question_report,
    search,
)
from rllc.replication.analysis import Replication
from rllc.replication.claims import NOT_MEASURED, NOT_SUPPORTED, PARTLY, SUPPORTED, Claim
from rllc.replication.paper import STUDY
from rllc.suite.choose import screens
from rllc.suite.score import provenance
from rllc.suite.score.provenance import FULL, NO_TUNING, full_cells
from rllc.suite.score.readings import HEADLINE
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.typesetting import ORDER, reading_title
from rllc.suite.table import Column, Table, optimizer_column, task_column
from rllc.suite.templates import render

SIGNIFICANT = 0.05
SIGNS = {SUPPORTED: "✔ supported", NOT_SUPPORTED: "✘ not supported"}
VERDICTS = (SUPPORTED, NOT_SUPPORTED, PARTLY, NOT_MEASURED)


def _cell(name: str, title: str = "") -> Column:
    return Column(name, title or name, lambda row: getattr(row, name).replace("|", "∣"))


CLAIMS = Table((
    Column("section"), _cell("claim"), _cell("where"), _cell("measure", "our measure"),
    _cell("value"), _cell("interval"), _cell("n"), Column("p_holm", "Holm p", ".2g"),
    Column("verdict", "verdict", lambda row: SIGNS.get(row.verdict, row.verdict)),
    _cell("note", "notes"),
))  # fmt: skip
COVERAGE = Table((
    Column("reading", "reading"), Column("cells", "cells in the paper"),
    Column("measured", "measured"), Column("full", "at full protocol"),
    Column("whole_grid", "of these tuned on the whole grid"),
    Column("screened_grid", "on it, screened"),
    Column("fully_tuned", f"whole with {paper.SEEDS} seeds"),
    Column("agree", "of full protocol agree"), Column("agree_any", "of all measured agree"),
))  # fmt: skip
COUNTS = Table((Column("section", "section"), *(Column(word, word) for word in VERDICTS)))
DISAGREEMENTS = Table((
    optimizer_column(STUDY), task_column(STUDY),
    Column("batch_accuracy_mean", "ours (%)", ".2f"), Column("paper_accuracy", "paper (%)", ".2f"),
    Column("accuracy_difference", "difference", "+.2f"), Column("tolerance", "tolerance", ".2f"),
    Column("seeds", "seeds"), Column("training", "training"),
))  # fmt: skip


def all_claims(r: Replication) -> list[tuple[str, list[Claim]]]:
    """Every claim by section."""
    a = r.measured
    return [
        (
            "Kinds of optimizers over tasks",
            [claims.adaptive_momentum(a), *family_claims.over_tasks(a)],
        ),
        ("Convergence on ResNet-20", behaviour.convergence(a)),
        ("The learning law over training", law_claims.law(a)),
        (
            "The learning law over training, from another initial law",
            law_claims.law_from_elsewhere(a, r.elsewhere),
        ),
        ("Run time", [*behaviour.run_time(a), behaviour.cost(r.rates)]),
        ("Spread over seeds", behaviour.spread(a)),
        ("Green cells of the paper's Table 1: test accuracy", claims.green_cell_claims(a)),
        ("Green cells of the paper's Table 1: test loss", claims.green_loss_claims(a)),
    ]


def claims_table(sections: list[tuple[str, list[Claim]]]) -> pd.DataFrame:
    """All claims as rows, with their section."""
    rows = [{"section": title, **claim._asdict()} for title, found in sections for claim in found]
    return pd.DataFrame(rows, columns=CLAIMS.names)


def coverage(a: Analysis) -> pd.DataFrame:
    """Per reading: how many of the paper's cells are measured, and how many agree with it.

    Returns:
      reading, cells (of the paper), measured, full (trained at the paper's full protocol),
      whole_grid (of those: tuned on its whole grid), screened_grid (of those: all points of the
      grid for fewer steps, the best to the end), fully_tuned (and that with its seeds), agree
      (of the full ones), agree_any (of all measured).
    """
    full = full_cells(a.made)
    known = a.cells[a.cells.paper_accuracy.notna()]
    keys = pd.Series(zip(known.task, known.optimizer, strict=True), known.index, dtype=object)
    at_full = keys.isin(full)
    rows = [
        {
            "reading": reading,
            "cells": len(paper.cells()),
            "measured": len(here),
            "full": int(at_full[here.index].sum()),
            "whole_grid": int((at_full[here.index] & (here.grid == FULL)).sum()),
            "screened_grid": int((at_full[here.index] & _is_screened(here)).sum()),
            "fully_tuned": int((at_full[here.index] & (here.tuning == FULL)).sum()),
            "agree": int((here.agrees & at_full[here.index]).sum()),
            "agree_any": int(here.agrees.sum()),
        }
        for reading in ORDER
        for here in [known[known.reading == reading]]
    ]
    return pd.DataFrame(rows)


def _is_screened(cells: pd.DataFrame) -> pd.Series:
    return ~cells.short_grid.astype(bool) & ~cells.grid.isin([FULL, NO_TUNING])


def headline(a: Analysis) -> str:
    """The sentence on coverage and agreement, also for the summary."""
    by_reading = coverage(a).set_index("reading")
    return render(
        __file__, "coverage.md", first=by_reading.loc[HEADLINE], agree=by_reading.agree[[*ORDER]],
        paper=paper, provenance=provenance,
    )  # fmt: skip


def page(r: Replication, sections: list[tuple[str, list[Claim]]]) -> str:
    """The replication report in Markdown."""
    a, rows = r.measured, claims_table(sections)
    here = a.cells[(a.cells.reading == "best") & a.cells.paper_accuracy.notna()]
    known = rows.p_holm[rows.verdict == SUPPORTED].dropna() if sections else []
    return render(
        __file__, "replication.md", headline=headline(a), provenance=provenance,
        opening=opening.page(r), worlds=multiverse.shown(r.worlds),
        readings=[reading_title(STUDY, STUDY.tasks, reading) for reading in ORDER],
        coverage=COVERAGE.to_markdown(coverage(a)), verdicts=COUNTS.to_markdown(_counts(sections)),
        reading=HEADLINE, partly=PARTLY, screens=screens.sentence(STUDY, a.screens),
        supported=len(known), significant=sum(p < SIGNIFICANT for p in known), level=SIGNIFICANT,
        claims={title: CLAIMS.to_markdown(claims_table([(title, c)])) for title, c in sections},
        cells=here, off=here[~here.agrees.astype(bool)], disagreements=DISAGREEMENTS,
        questions=question_report.overview(r.deviations),
        searches=[search.sentence(found) for found in r.searches],
    )  # fmt: skip


def _counts(sections: list[tuple[str, list[Claim]]]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"section": t, **dict.fromkeys(VERDICTS, 0), **Counter(c.verdict for c in found)}
         for t, found in sections]
    )  # fmt: skip
