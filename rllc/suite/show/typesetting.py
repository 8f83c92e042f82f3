"""The tables of `tables` as Markdown and LaTeX.

Colours of LaTeX become signs in Markdown, which has no colours: a blue diamond for the best
baseline, a green square for an optimizer that beats it; bold is bold in both.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pandas as pd

from rllc.suite.markdown import MISSING
from rllc.suite.metrics import Metric
from rllc.suite.score.readings import HEADLINE, READINGS
from rllc.suite.show.tables import Mark, has_short_grid, is_reduced, marks
from rllc.suite.study import Study
from rllc.suite.table import Column, Table, optimizer_column
from rllc.suite.templates import render

ORDER = (HEADLINE, *(reading for reading in READINGS if reading != HEADLINE))
SPREAD = "spread"  # what a cell of the second table shows: mean and deviation of the leading metric


def reading_title(study: Study, tasks: Iterable[str], reading: str) -> str:
    """What a stopping point is, in words."""
    leading = _either(study, tasks, lambda m: f"{m.superlative} validation {m.in_words}")
    is_replication = study.published is not None
    verdicts = "; verdicts use it" if is_replication else ""
    likely = f"the {study.source}'s likely reading; " if is_replication else ""
    return {
        "validated": f"validated: at the step with the {leading} (headline{verdicts})",
        "last": "last: at the last step (headline too)",
        "best": f"best: best test value along the curve ({likely}it looks at test data)",
    }[reading]


def _either(study: Study, tasks: Iterable[str], words: Callable[[Metric], str]) -> str:
    """The leading metrics of some tasks in words, with “or” between different ones."""
    tasks = study.task_order(tasks) or study.tasks
    return " or ".join(dict.fromkeys(words(study.leading(task)) for task in tasks))


def title(study: Study, tasks: Iterable[str], number: int) -> str:
    """Title of table 1 or 2."""
    tasks, name = list(tasks), study.tables[number - 1]
    if number == 1:
        metrics = reversed(study.union(tasks))
        return f"{name}: mean test {' and '.join(metric.with_unit for metric in metrics)}"
    leading = _either(study, tasks, lambda m: m.with_unit)
    return f"{name}: test {leading}, its standard deviation and the number of seeds"


def legend(study: Study) -> str:
    """What the signs of the Markdown tables mean."""
    return render(__file__, "legend.md", study=study, missing=MISSING)


class Entry(NamedTuple):
    """One cell in words: our number, the published one ("" without any), what there is to say."""

    ours: str
    theirs: str
    mark: Mark = Mark(False, False, False)
    is_reduced: bool = False
    has_short_grid: bool = False
    diverged: int = 0
    at_chance: int = 0
    excludes_published: bool = False


def entries(
    study: Study, table: pd.DataFrame, reading: str, quantity: str
) -> dict[tuple[str, str], Entry]:
    """Entries of every cell by (optimizer, task): measured here, or only published.

    Args:
      study: whose.
      table: from `tables.cells`.
      reading: stopping point.
      quantity: name of a metric, or `SPREAD` (the leading one ± deviation). Cells of tasks without
        such a metric are left out.
    """
    reported = {
        (row["optimizer"], row["task"]): Entry(MISSING, _text(metric, row, quantity, n=None))
        for row in _records(study.published)
        if (metric := _metric(study, row["task"], quantity))
    }
    table = table[table.reading == reading]
    column_marks = marks(study, table, None if quantity == SPREAD else quantity)
    ours = {}
    for row, typed in zip(_records(table), table.itertuples(), strict=True):
        cell, metric = (row["optimizer"], row["task"]), _metric(study, row["task"], quantity)
        if metric is None:
            continue
        is_leading = metric == study.leading(row["task"])
        theirs = reported.get(cell, _nothing(study)).theirs
        ours[cell] = Entry(
            _text(metric, row, quantity, row["seeds"]),
            _beside(row, theirs, metric, quantity),
            column_marks[cell],
            is_reduced(typed),
            has_short_grid(typed),
            row["diverged"],
            row["at_chance"],
            is_leading and bool(row.get(f"excludes_{study.source}", False)),
        )
    return reported | ours


def _records(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    return [] if table is None else table.to_dict("records")


def _metric(study: Study, task: str, quantity: str) -> Metric | None:
    return study.leading(task) if quantity == SPREAD else study.of_column(task, f"test_{quantity}")


def _nothing(study: Study) -> Entry:
    return Entry(MISSING, "" if study.published is None else MISSING)


def _text(metric: Metric, row: dict[str, Any], quantity: str, n: int | None) -> str:
    value, std = row[f"{metric.column()}_mean"], row.get(f"{metric.column()}_std")
    if pd.isna(value):
        return "diverged"
    if quantity != SPREAD:
        return f"{value:{metric.form}}"
    spread = "" if pd.isna(std) else f" ± {std:{metric.form}}"
    return f"{value:{metric.form}}{spread}" + ("" if n is None else f", n={n}")


def _beside(row: dict[str, Any], theirs: str, metric: Metric, quantity: str) -> str:
    """The published number, in the second table with the difference to it."""
    difference = row.get(f"{metric.name}_difference")
    if quantity != SPREAD or pd.isna(difference):
        return theirs
    return f"{theirs}; Δ {difference:+{metric.form}}"


def in_markdown(entry: Entry) -> str:
    """An entry in Markdown."""
    theirs = f" ({entry.theirs})" if entry.theirs else ""
    if entry.ours == MISSING:
        return f"{MISSING}{theirs}"
    text = f"**{entry.ours}**" if entry.mark.is_best else entry.ours
    sign = "🔷" if entry.mark.is_best_baseline else "🟩" if entry.mark.beats_baseline else ""
    return f"{sign}{text}{_notes(entry, _SIGNS)}{theirs}"


def in_latex(entry: Entry) -> str:
    r"""An entry in LaTeX; needs xcolor."""
    theirs = r" {\scriptsize(" + _plain(entry.theirs) + ")}" if entry.theirs else ""
    if entry.ours == MISSING:
        return f"--{theirs}"
    text = _plain(entry.ours)
    text = rf"\textbf{{{text}}}" if entry.mark.is_best else text
    colour = "blue" if entry.mark.is_best_baseline else "green!50!black"
    if entry.mark.is_best_baseline or entry.mark.beats_baseline:
        text = rf"\textcolor{{{colour}}}{{{text}}}"
    return f"{text}{_notes(entry, _LATEX_SIGNS)}{theirs}"


def _plain(text: str) -> str:
    return text.replace(" ± ", r"$\pm$").replace("Δ ", r"$\Delta$").replace(MISSING, "--")


class _Signs(NamedTuple):
    reduced: str
    short_grid: str
    diverged: str
    at_chance: str
    excludes: str


_SIGNS = _Signs("†", "§", "‡", "∅", "≠")
_LATEX_SIGNS = _Signs(r"$^\dagger$", r"$^\S$", r"$^\ddagger$", r"$^\emptyset$", r"$^{\neq}$")


def _notes(entry: Entry, signs: _Signs) -> str:
    count = f"{signs.diverged}{entry.diverged}" if entry.diverged else ""
    count += f"{signs.at_chance}{entry.at_chance}" if entry.at_chance else ""
    reduced = signs.reduced if entry.is_reduced else ""
    reduced += signs.short_grid if entry.has_short_grid else ""
    return reduced + count + (signs.excludes if entry.excludes_published else "")


def wide(study: Study, table: pd.DataFrame, number: int) -> Table:
    """The columns of table 1 or 2 as text: one per task, its cells `Entry` values."""
    tasks = study.task_order([*study.tasks, *table.task])
    return Table((
        optimizer_column(study), *([Column("value", "value")] if number == 1 else []),
        *(_entries_column(study, task) for task in tasks),
    ))  # fmt: skip


def _entries_column(study: Study, task: str) -> Column:
    return Column(
        task, study.title(task),
        lambda row: in_markdown(getattr(row, task)), lambda row: in_latex(getattr(row, task)),
    )  # fmt: skip


def rows(study: Study, table: pd.DataFrame, number: int, reading: str) -> pd.DataFrame:
    """The rows of `wide` for one reading."""
    optimizers = study.row_order([*study.optimizers, *table.optimizer])
    tasks = study.task_order([*study.tasks, *table.task])
    metrics = [metric.name for metric in reversed(study.union(tasks))]
    quantities = metrics if number == 1 else [SPREAD]
    found = {quantity: entries(study, table, reading, quantity) for quantity in quantities}
    return pd.DataFrame([
        {"optimizer": name, "value": quantity.replace("_", " ")}
        | {task: found[quantity].get((name, task), _nothing(study)) for task in tasks}
        for name in optimizers
        for quantity in quantities
    ])  # fmt: skip


def in_one_page(study: Study, table: pd.DataFrame, number: int) -> str:
    """Table 1 or 2 in Markdown, one section per reading.

    Args:
      study: whose.
      table: from `tables.cells`.
      number: 1 or 2.
    """
    columns = wide(study, table, number)
    sections = [
        (reading_title(study, table.task, reading),
         columns.to_markdown(rows(study, table, number, reading)))
        for reading in ORDER
    ]  # fmt: skip
    heading = title(study, table.task, number)
    return render(__file__, "cells.md", title=heading, legend=legend(study), sections=sections)


def in_latex_tables(study: Study, table: pd.DataFrame, number: int) -> str:
    """Table 1 or 2 in LaTeX (packages booktabs, graphicx, xcolor), one table per reading."""
    columns, parts = wide(study, table, number), []
    for reading in ORDER:
        caption = render(
            __file__, "caption.tex", title=title(study, table.task, number), study=study,
            reading=reading_title(study, table.task, reading),
        ).replace("%", r"\%")  # fmt: skip
        parts.append(columns.to_latex(rows(study, table, number, reading), caption))
    return "\n\n".join([_NEEDS, *parts])


_NEEDS = "% Generated from the records. Needs the packages booktabs, graphicx and xcolor."
