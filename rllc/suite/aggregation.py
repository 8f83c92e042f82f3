"""From records to every committed table, figure and report, the same bytes every time."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rllc.replication import (
    claims,
    deviations,
    initial_laws,
    law_figures,
    law_rates,
    paper,
    question_figures,
    question_report,
    question_verdicts,
    report,
    search,
)
from rllc.replication.law_dynamics import COUPLED, MIXED
from rllc.suite import (
    figures,
    plotting,
    provenance,
    ranking,
    screens,
    short_tuning,
    sweep_figures,
    tables,
    tuning_analysis,
    typesetting,
)
from rllc.suite.analysis import Analysis
from rllc.suite.readings import HEADLINE, READINGS

COMPARISONS = [
    "reading", "metric", "optimizer", "task", "baseline", "difference", "low", "high", "n",
    "p_value", "p_holm",
]  # fmt: skip


def write_tables(a: Analysis, output: Path) -> None:
    """Writes everything under ``output/tables``."""
    folder = output / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    made = tables.in_paper_order(a.made) if len(a.made) else a.made
    left = provenance.unused(a.every, a.final)
    for number, columns in ((1, tables.TABLE1), (2, tables.TABLE2)):
        tables.write_csv(a.cells, columns, folder / f"table{number}.csv")
        _write(folder / f"table{number}.md", typesetting.to_markdown(a.cells, number))
        _write(folder / f"table{number}.tex", typesetting.to_latex(a.cells, number))
    tables.write_csv(made, list(made.columns), folder / "provenance.csv")
    _write(folder / "provenance.md", provenance.to_markdown(made, left))
    against = tables.in_paper_order(a.against) if len(a.against) else a.against
    tables.write_csv(against, COMPARISONS, folder / "comparisons.csv")
    targets = tuning_analysis.target_table(a.targets)
    tables.write_csv(targets, tuning_analysis.TARGET, folder / "steps_to_target.csv")
    _write_ranking(a, folder)
    _write_questions(a, folder)
    if len(a.points):
        sensitivity = tuning_analysis.sensitivity_table(a.points, a.runs)
        tables.write_csv(sensitivity, tuning_analysis.SENSITIVITY, folder / "sensitivity.csv")
        budget = tuning_analysis.budget_table(a.points)
        tables.write_csv(budget, tuning_analysis.BUDGET, folder / "tuning_budget.csv")
    tables.write_csv(a.early, short_tuning.COLUMNS, folder / "tuning_steps.csv")
    tables.write_csv(a.screens, screens.COLUMNS, folder / "screens.csv")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_ranking(a: Analysis, folder: Path) -> None:
    """``ranking.csv`` holds every reading, ``ranking.md`` the headline."""
    rows, summary, left = _from_whole_grids(a)
    sets = ranking.task_sets(ranking.field(rows, summary))
    ranked = [
        ranking.ranking(rows, summary, tasks, r).assign(reading=r, over=" ".join(tasks))
        for r in READINGS
        for tasks in sets
    ]
    columns = ["reading", "over", *ranking.COLUMNS]
    table = pd.concat(ranked, ignore_index=True) if ranked else pd.DataFrame(columns=columns)
    tables.write_csv(table, columns, folder / "ranking.csv")
    headline = [(tasks, ranking.ranking(rows, summary, tasks)) for tasks in sets]
    _write(folder / "ranking.md", ranking.to_markdown(headline, left_out=left))


def _from_whole_grids(a: Analysis) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Rows and summary of the tasks where no rate comes from a short grid, and the other tasks."""
    tasks = paper.in_order(a.rows.task, paper.TASKS)
    left = [task for task in tasks if claims.short_grids(a, task, *paper.OPTIMIZERS)]
    return a.rows[~a.rows.task.isin(left)], a.summary[~a.summary.task.isin(left)], left


def _write_questions(a: Analysis, folder: Path) -> None:
    """The open questions, by answer and by cell, and the search for a better propagator."""
    summary = question_verdicts.summary(a.deviations)
    tables.write_csv(summary, question_verdicts.COLUMNS, folder / "questions.csv")
    tables.write_csv(a.deviations, deviations.COLUMNS, folder / "questions_cells.csv")
    tables.write_csv(a.witnesses, initial_laws.COLUMNS, folder / "initial_laws.csv")
    tables.write_csv(a.law_rates, law_rates.COLUMNS, folder / "law_rates.csv")
    accuracies = initial_laws.accuracies(a.elsewhere, a.records.curves, a.summary)
    _write(
        folder / "questions.md",
        question_report.to_markdown(a.deviations, a.witnesses, accuracies, a.law_rates),
    )
    searches = search.found(a)
    parts = [f.standing for f in searches] or [pd.DataFrame(columns=search.COLUMNS)]
    table = pd.concat(parts, ignore_index=True)
    tables.write_csv(table, search.COLUMNS, folder / "propagator_search.csv")
    _write(folder / "propagator_search.md", search.to_markdown(searches))


def write_report(a: Analysis, output: Path) -> None:
    """Writes ``replication.md`` and its rows as ``tables/claims.csv``."""
    sections = report.all_claims(a)
    output.mkdir(parents=True, exist_ok=True)
    _write(output / "replication.md", report.to_markdown(a, sections))
    claims = report.claims_table(sections)
    tables.write_csv(claims, list(claims.columns), output / "tables" / "claims.csv")


def all_figures(a: Analysis, law_task: str | None = None) -> dict[str, Callable[[], Figure]]:
    """Every figure by file name, drawn when called.

    Args:
      a: the analysis.
      law_task: task of Figure 2; None for the first that has its records.
    """
    curves = figures.curve_table(a.final, a.records.curves, a.made)
    out: dict[str, Callable[[], Figure]] = {
        "figure1": lambda: figures.figure1(curves),
        "figure2": lambda: _law_figure(a, shown),
        "figure3": lambda: figures.figure3(a.timings),
        "figure4": lambda: figures.figure4(curves),
        "figure5": lambda: figures.figure5(curves),
        "questions": lambda: question_figures.questions_figure(a.deviations),
    }
    shown = law_task or law_figures.default_task(a.final)
    with_law = a.final[a.final.optimizer.isin([MIXED, COUPLED])]
    for task in paper.in_order(with_law.task, paper.TASKS):
        if task != shown:
            out[f"figure2_{task}"] = partial(_law_figure, a, task)
    for answer, final in a.elsewhere.items():
        words, name = initial_laws.in_words(answer), re.sub(r"[^\w.]+", "_", answer).strip("_")
        for task in paper.in_order(final.task, paper.TASKS):
            draw = partial(law_figures.figure2, a.records, final, task, words)
            out[f"figure2_{name}_{task}"] = draw
    for task in paper.in_order(a.law_rates.task, paper.TASKS):
        out[f"law_rates_{task}"] = partial(law_rates.figure, a.runs, a.records, task)
    return out | _sweep_figures(a)


def _law_figure(a: Analysis, task: str) -> Figure:
    note = "rates from a short grid" if claims.short_grids(a, task, MIXED, COUPLED) else ""
    return law_figures.figure2(a.records, a.final, task, note=note)


def _sweep_figures(a: Analysis) -> dict[str, Callable[[], Figure]]:
    out: dict[str, Callable[[], Figure]] = {}
    points = tuning_analysis.widest(a.points)
    for task in tuning_analysis.measured_tasks(points):
        here = points[points.task == task]
        shown = here.optimizer.isin(sweep_figures.tabled(here.optimizer))
        for name, part in ((task, here[shown]), (f"{task}_others", here[~shown])):
            if len(part):
                draw = partial(sweep_figures.sensitivity_figure, part, a.choices, task)
                out[f"sensitivity_{name}"] = draw
    if len(a.points):
        budget = tuning_analysis.budget_table(a.points)
        out["tuning_budget"] = partial(sweep_figures.budget_figure, budget)
    if a.early.family.isin(short_tuning.FAMILIES).any():
        out["tuning_steps"] = lambda: short_tuning.figure(a.early)
    rows, summary, left = _from_whole_grids(a)
    field = ranking.field(rows, summary)
    if field.tasks:
        targets = a.targets[~a.targets.task.isin(left)]
        out["profiles"] = lambda: sweep_figures.profile_figure(field, targets)
    return out


def write_figures(a: Analysis, output: Path, law_task: str | None = None) -> list[Path]:
    """Draws everything under ``output/figures`` as PNG and PDF; returns the paths."""
    return [
        path
        for name, draw in all_figures(a, law_task).items()
        for path in plotting.save(draw(), output / "figures" / name)
    ]


def three_columns(local: Analysis, committed: Analysis, reading: str = HEADLINE) -> str:
    """This machine's accuracies beside the committed ones and the paper's, as plain text.

    Args:
      local: analysis of this machine's records.
      committed: analysis of the committed records.
      reading: stopping point; the default is the headline.
    """
    names = ("this machine", "committed", "paper")
    numbers = [_by_cell(x.cells, reading) for x in (local, committed)]
    theirs = paper.cells()
    paper_text = {
        (row.task, row.optimizer): f"{row.test_accuracy_mean:.2f} ± {row.test_accuracy_std:.2f}"
        for row in theirs.itertuples()
    }
    lines = []
    for task in paper.in_order(local.final.task, paper.TASKS):
        lines += ["", f"{paper.title(task)}: test accuracy (%), {reading}"]
        lines.append(f"  {'optimizer':28}" + "".join(f"{name:>24}" for name in names))
        cells = [(task, name) for name in _rows(local, task)]
        for cell in cells:
            row = [column.get(cell, "–") for column in (*numbers, paper_text)]
            lines.append(f"  {paper.pretty(cell[1]):28}" + "".join(f"{text:>24}" for text in row))
    return "\n".join(lines[1:]) if lines else "no final runs on this machine yet"


def _rows(a: Analysis, task: str) -> list[str]:
    """The paper's optimizers, and whatever else is measured on the task."""
    measured = a.final[a.final.task == task].optimizer
    return paper.in_order([*paper.OPTIMIZERS, *measured], paper.OPTIMIZERS)


def _by_cell(cells: pd.DataFrame, reading: str) -> dict[tuple[str, str], str]:
    out = {}
    for row in cells[cells.reading == reading].itertuples():
        spread = "" if pd.isna(row.test_accuracy_std) else f" ± {row.test_accuracy_std:.2f}"
        reduced = "†" if tables.is_reduced(row) else ""
        value = "diverged" if pd.isna(row.test_accuracy_mean) else f"{row.test_accuracy_mean:.2f}"
        out[row.task, row.optimizer] = f"{value}{spread} (n={row.seeds}){reduced}"
    return out
