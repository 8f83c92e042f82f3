"""`results/replication.md`: how much is measured, how much agrees, and a verdict per claim."""

from collections import Counter

import pandas as pd

from rllc.replication import (
    behaviour,
    claims,
    family_claims,
    law_claims,
    paper,
    question_report,
    search,
)
from rllc.replication.analysis import Replication
from rllc.replication.claims import NOT_MEASURED, NOT_SUPPORTED, PARTLY, SUPPORTED, Claim
from rllc.replication.paper import STUDY
from rllc.suite.choose import screens
from rllc.suite.markdown import MISSING, markdown_table
from rllc.suite.score.provenance import FULL, NO_TUNING, SCREEN_KEPT, SCREEN_STEPS, full_cells
from rllc.suite.score.readings import HEADLINE
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.typesetting import ORDER, reading_title

COLUMNS = ["claim", "where", "our measure", "value", "interval", "n", "Holm p", "verdict", "notes"]
SIGNIFICANT = 0.05


def all_claims(r: Replication) -> list[tuple[str, list[Claim]]]:
    """Every claim by section."""
    a = r.measured
    return [
        ("RLLC's best against the best baseline", claims.best_of_task(a)),
        ("Adaptive momentum against momentum", claims.adaptive_momentum(a)),
        ("Kinds of optimizers over tasks", family_claims.over_tasks(a)),
        ("Convergence on ResNet-20", behaviour.convergence(a)),
        ("The learning law over training", law_claims.law(a)),
        (
            "The learning law over training, from another initial law",
            law_claims.law_from_elsewhere(a, r.elsewhere),
        ),
        ("Run time", behaviour.run_time(a)),
        ("Spread over seeds", behaviour.spread(a)),
        ("Green cells of the paper's Table 1: test accuracy", claims.green_cells(a)),
        ("Green cells of the paper's Table 1: test loss", claims.green_loss_cells(a)),
    ]


def claims_table(sections: list[tuple[str, list[Claim]]]) -> pd.DataFrame:
    """All claims as rows, with their section."""
    rows = [{"section": title, **claim._asdict()} for title, found in sections for claim in found]
    return pd.DataFrame(rows)


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
    table = coverage(a).set_index("reading")
    first = table.loc[HEADLINE]
    screened = (
        f"; {first.screened_grid} more with all its points trained for at least "
        f"{SCREEN_STEPS:,} steps and the best {SCREEN_KEPT} or more to the end"
        if first.screened_grid
        else ""
    )
    agreement = ", ".join(f"{table.loc[r].agree} ({r})" for r in ORDER)
    return (
        f"**{first.full} of the paper's {first.cells} cells are measured at full protocol** "
        f"({paper.STEPS:,} steps, at least {paper.SEEDS} seeds; {first.whole_grid} of them tuned "
        f"on the paper's whole grid, {first.fully_tuned} with {paper.SEEDS} seeds at every point"
        f"{screened}). "
        "Of these, the number that agrees with the paper's accuracy within "
        f"max({paper.TOLERANCE} points, 2 pooled standard deviations), "
        f"no run diverged or at chance, is {agreement}, by stopping point."
    )


def to_markdown(r: Replication, sections: list[tuple[str, list[Claim]]]) -> str:
    """The replication report in Markdown."""
    a = r.measured
    parts = ["# Replication report", headline(a), _reading_note(), _coverage_table(a)]
    parts += ["## Verdicts", _verdict_counts(sections), _how_to_read(a), _after_holm(sections)]
    for title, found in sections:
        parts += [f"### {title}", _claims_markdown(found)]
    parts += ["## Cells that disagree with the paper", _disagreements(a)]
    parts += ["## Questions the paper leaves open", question_report.overview(r.deviations)]
    parts += ["Deviations and the rule: [questions](tables/questions.md)."]
    if searches := search.found(a):
        parts += ["## A search for a better propagator", *map(search.sentence, searches)]
        parts += ["All candidates: [propagator search](tables/propagator_search.md)."]
    return "\n\n".join(parts) + "\n"


def _reading_note() -> str:
    lines = [f"- {reading_title(STUDY, STUDY.tasks, reading)}" for reading in ORDER]
    return "Stopping points:\n\n" + "\n".join(lines)


def _coverage_table(a: Analysis) -> str:
    head = [
        "reading", "cells in the paper", "measured", "at full protocol",
        "of these tuned on the whole grid", "on it, screened", f"whole with {paper.SEEDS} seeds",
        "of full protocol agree", "of all measured agree",
    ]  # fmt: skip
    return markdown_table(head, coverage(a).to_numpy().tolist())


def _verdict_counts(sections: list[tuple[str, list[Claim]]]) -> str:
    head = ["section", SUPPORTED, NOT_SUPPORTED, PARTLY, NOT_MEASURED]
    body = []
    for title, found in sections:
        count = Counter(claim.verdict for claim in found)
        body.append([title, *(str(count[verdict]) for verdict in head[1:])])
    return markdown_table(head, body)


def _how_to_read(a: Analysis) -> str:
    checked = screens.sentence(STUDY, a.screens)
    return (
        f"Verdicts use the {HEADLINE} stopping point; notes say what the others would give. "
        "Intervals are 95 %: Student's t for fewer than six seeds, from six on the bootstrap, "
        "widened for few values. A difference supports a claim when its interval lies above zero. "
        "Runs with fewer seeds or steps than the paper's, or rates from fewer points or shorter "
        "runs than its grids, are called reduced; with such rates there is no verdict on a "
        f"difference: *{PARTLY}*, as where only one pair or few of the tasks are there. An "
        f"exception are rates from a grid all of whose points trained for {SCREEN_STEPS:,} steps "
        f"and the best {SCREEN_KEPT} to the end: on the tasks whose whole grids are known that "
        "costs next to nothing ([by step](figures/tuning_steps.png)), and elsewhere such a screen "
        "has to pass a check. "
        f"{f'{checked} ' if checked else ''}Diverged runs count with chance accuracy."
    )


def _after_holm(sections: list[tuple[str, list[Claim]]]) -> str:
    """How many of the supported differences stay significant among all those beside them."""
    p_values = [c.p_holm for _, found in sections for c in found if c.verdict == SUPPORTED]
    known = [p for p in p_values if p == p]
    return (
        "Holm's p corrects the paired t-test for all comparisons of a section (green cells: for "
        "all RLLC optimizers and tasks of that metric). Verdicts do not use it: of the "
        f"{len(known)} supported differences, {sum(p < SIGNIFICANT for p in known)} have a Holm p "
        f"below {SIGNIFICANT}."
    )


def _claims_markdown(found: list[Claim]) -> str:
    order = {SUPPORTED: "✔ supported", NOT_SUPPORTED: "✘ not supported"}
    body = [
        [
            c.claim,
            c.where,
            c.measure,
            c.value,
            c.interval,
            c.n,
            MISSING if pd.isna(c.p_holm) else f"{c.p_holm:.2g}",
            order.get(c.verdict, c.verdict),
            c.note,
        ]
        for c in found
    ]
    return markdown_table(COLUMNS, [[text.replace("|", "∣") for text in row] for row in body])


def _disagreements(a: Analysis) -> str:
    """Cells outside the tolerance, in the paper's likely reading and metric."""
    here = a.cells[(a.cells.reading == "best") & a.cells.paper_accuracy.notna()]
    off = here[~here.agrees.astype(bool)]
    if off.empty:
        return "None among those measured (reading: best)." if len(here) else "None measured yet."
    body = [
        [
            paper.pretty(row.optimizer), paper.title(row.task),
            f"{row.batch_accuracy_mean:.2f}", f"{row.paper_accuracy:.2f}",
            f"{row.accuracy_difference:+.2f}", f"{row.tolerance:.2f}", str(row.seeds), row.training,
        ]
        for row in off.itertuples()
    ]  # fmt: skip
    head = [
        "optimizer",
        "task",
        "ours (%)",
        "paper (%)",
        "difference",
        "tolerance",
        "seeds",
        "training",
    ]
    return f"{len(off)} of {len(here)} (reading: best).\n\n" + markdown_table(head, body)
