"""Tables 1 and 2 as Markdown and LaTeX.

Colours of the paper become signs in Markdown, which has no colours: a blue diamond for the
best baseline, a green square for an optimizer that beats it; bold is bold in both.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

from rllc.replication import paper
from rllc.suite.markdown import MISSING, markdown_table
from rllc.suite.readings import HEADLINE, READINGS
from rllc.suite.tables import Mark, has_short_grid, is_reduced, marks

ORDER = (HEADLINE, *(reading for reading in READINGS if reading != HEADLINE))
READING_TITLES = {
    "validated": "validated: at the step with the highest validation accuracy (headline; verdicts "
    "use it)",
    "last": "last: at the last step (headline too)",
    "best": "best: best test value along the curve (the paper's likely reading; "
    "it looks at test data)",
}
TITLES = {
    1: "Table 1: mean test loss and accuracy (%)",
    2: "Table 2: test accuracy (%), its standard deviation and the number of seeds",
}
LEGEND = """\
Each cell: our mean over seeds, then the paper's number in brackets. 🔷 best baseline; 🟩 better \
than the best baseline; **bold** best of the column (none of these where a baseline is missing). \
† fewer seeds or steps than the paper's protocol; § rates from part of the paper's grid, or from \
shorter runs (see [provenance](provenance.md)). ‡n: n runs diverged and are not in the mean. ∅n: n \
runs ended at chance and are in the mean. ≠ the 95 % interval of the difference of the two means \
excludes 0 (Welch; both in the paper's metric, the mean over test batches of 128; accuracies shown \
are over the whole test set). Δ: our mean minus the paper's, in its metric. The number of seeds \
stands in Table 2. – not yet measured."""
QUANTITIES = {1: ("loss", "accuracy"), 2: ("spread",)}
_COLUMNS = {"loss": "test_loss", "accuracy": "test_accuracy", "spread": "test_accuracy"}


class Entry(NamedTuple):
    """One cell in words: our number, the paper's, and what is to be said of ours."""

    ours: str
    theirs: str
    mark: Mark = Mark(False, False, False)
    is_reduced: bool = False
    has_short_grid: bool = False
    diverged: int = 0
    at_chance: int = 0
    excludes_paper: bool = False


_NOTHING = Entry(MISSING, MISSING)


def entries(table: pd.DataFrame, reading: str, quantity: str) -> dict[tuple[str, str], Entry]:
    """Entries of every cell by (optimizer, task): measured here, or only in the paper.

    Args:
      table: from `tables.cells`.
      reading: stopping point.
      quantity: ``loss``, ``accuracy`` or ``spread`` (accuracy ± deviation).
    """
    reported = {
        (row.optimizer, row.task): Entry(MISSING, _text(row, quantity, n=None))
        for row in paper.cells().itertuples()
    }
    table = table[table.reading == reading]
    column_marks = marks(table, f"{_COLUMNS[quantity]}_mean")
    ours = {
        (row.optimizer, row.task): Entry(
            _text(row, quantity, row.seeds),
            _beside(row, reported.get((row.optimizer, row.task), _NOTHING).theirs, quantity),
            column_marks[row.optimizer, row.task],
            is_reduced(row),
            has_short_grid(row),
            row.diverged,
            row.at_chance,
            quantity != "loss" and row.excludes_paper,
        )
        for row in table.itertuples()
    }
    return reported | ours


def _text(row, quantity: str, n: int | None) -> str:
    value = getattr(row, f"{_COLUMNS[quantity]}_mean")
    if pd.isna(value):
        return "diverged"
    if quantity == "loss":
        return f"{value:.4f}"
    if quantity == "accuracy":
        return f"{value:.2f}"
    spread = "" if pd.isna(row.test_accuracy_std) else f" ± {row.test_accuracy_std:.2f}"
    return f"{value:.2f}{spread}" + ("" if n is None else f", n={n}")


def _beside(row, theirs: str, quantity: str) -> str:
    """The paper's number, in Table 2 with the difference to it."""
    if quantity != "spread" or pd.isna(row.accuracy_difference):
        return theirs
    return f"{theirs}; Δ {row.accuracy_difference:+.2f}"


def in_markdown(entry: Entry) -> str:
    """An entry in Markdown."""
    if entry.ours == MISSING:
        return f"{MISSING} ({entry.theirs})"
    text = f"**{entry.ours}**" if entry.mark.is_best else entry.ours
    sign = "🔷" if entry.mark.is_best_baseline else "🟩" if entry.mark.beats_baseline else ""
    return f"{sign}{text}{_notes(entry, _SIGNS)} ({entry.theirs})"


def in_latex(entry: Entry) -> str:
    r"""An entry in LaTeX; needs xcolor."""
    theirs = r"{\scriptsize(" + _plain(entry.theirs) + ")}"
    if entry.ours == MISSING:
        return f"-- {theirs}"
    text = _plain(entry.ours)
    text = rf"\textbf{{{text}}}" if entry.mark.is_best else text
    colour = "blue" if entry.mark.is_best_baseline else "green!50!black"
    if entry.mark.is_best_baseline or entry.mark.beats_baseline:
        text = rf"\textcolor{{{colour}}}{{{text}}}"
    return f"{text}{_notes(entry, _LATEX_SIGNS)} {theirs}"


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
    return reduced + count + (signs.excludes if entry.excludes_paper else "")


def _grid(
    table: pd.DataFrame,
    number: int,
    reading: str,
    write: Callable[[Entry], str],
    label: Callable[[str], str],
) -> tuple[list[str], list[list[str]]]:
    """Head and body of Table `number` for one reading."""
    optimizers = paper.in_order([*paper.OPTIMIZERS, *table.optimizer], paper.OPTIMIZERS)
    tasks = paper.in_order([*paper.TASKS, *table.task], paper.TASKS)
    body = []
    for quantity in QUANTITIES[number]:
        found = entries(table, reading, quantity)
        body += [
            [label(name), quantity, *(write(found.get((name, t), _NOTHING)) for t in tasks)]
            for name in optimizers
        ]
    stride = len(optimizers)
    body = [body[q * stride + o] for o in range(stride) for q in range(len(QUANTITIES[number]))]
    if number == 2:
        body = [[name, *numbers] for name, _, *numbers in body]
    extra = ["value"] if number == 1 else []
    return ["optimizer", *extra, *(str(paper.title(task)) for task in tasks)], body


def to_markdown(table: pd.DataFrame, number: int) -> str:
    """Table 1 or 2 in Markdown, one section per reading.

    Args:
      table: from `tables.cells`.
      number: 1 or 2.
    """
    parts = [f"# {TITLES[number]}", LEGEND]
    for reading in ORDER:
        head, body = _grid(table, number, reading, in_markdown, paper.pretty)
        parts += [f"## {READING_TITLES[reading]}", markdown_table(head, body)]
    return "\n\n".join(parts) + "\n"


def latex_table(head: Sequence[str], body: Sequence[Sequence[str]], caption: str) -> str:
    """A booktabs table scaled to the text width."""
    lines = [" & ".join(row) + r" \\" for row in body]
    return "\n".join(
        [
            r"\begin{table}[t]\centering",
            rf"\caption{{{caption}}}",
            rf"\resizebox{{\textwidth}}{{!}}{{\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
    )


_LATEX_LEGEND = (
    "In brackets the paper. Blue: best baseline; green: better than it; bold: best of the column; "
    r"$\dagger$: fewer seeds or steps than the paper; $\S$: rates from part of its grid, or from "
    r"shorter runs; $\ddagger n$: $n$ runs diverged; $\emptyset n$: $n$ ended at chance; "
    r"$\neq$: the 95 % interval of the difference of the two means excludes 0."
)


def to_latex(table: pd.DataFrame, number: int) -> str:
    """Table 1 or 2 in LaTeX (packages booktabs, graphicx, xcolor), one table per reading."""
    parts = ["% Generated from the records. Needs the packages booktabs, graphicx and xcolor."]
    for reading in ORDER:
        head, body = _grid(table, number, reading, in_latex, paper.latex)
        title = f"{TITLES[number]}; {READING_TITLES[reading]}. {_LATEX_LEGEND}"
        parts.append(latex_table(head, body, title.replace("%", r"\%")))
    return "\n\n".join(parts) + "\n"
