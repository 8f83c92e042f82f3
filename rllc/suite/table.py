"""Tables: one specification of the columns, for CSV, Markdown and LaTeX."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pandas as pd

from rllc.suite.markdown import markdown_table, shown
from rllc.suite.study import Study, tex

Text = Callable[[Any], object]  # of a row, whose attributes are the columns of the data


class Column(NamedTuple):
    """One column of a `Table`.

    Attributes:
      name: in the data and in CSV; "" for a column of text alone.
      title: above it in text; "" for a column of CSV alone.
      text: what text shows of a row: a function, or the format of the number of this name.
      latex: the same for LaTeX where it differs.
    """

    name: str
    title: str = ""
    text: str | Text = ""
    latex: Text | None = None

    def write(self, row: Any) -> str:
        """What Markdown shows of a row."""
        if callable(self.text):
            return str(self.text(row))
        return shown(getattr(row, self.name), self.text)

    def typeset(self, row: Any) -> str:
        """What LaTeX shows of a row."""
        return _escaped(self.write(row)) if self.latex is None else str(self.latex(row))


class Table(NamedTuple):
    """The columns of a table in the order of both CSV and text."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns in CSV."""
        return [column.name for column in self.columns if column.name]

    @property
    def titles(self) -> list[str]:
        """Titles of the columns in text."""
        return [column.title for column in self._shown()]

    def empty(self) -> pd.DataFrame:
        """A table without rows."""
        return pd.DataFrame(columns=self.names)

    def to_csv(self, data: pd.DataFrame, path: Path, fine: bool = False) -> None:
        """Writes CSV with fixed digits, or significant ones: the same table, the same bytes.

        Args:
          data: with any of the columns; those it lacks stay empty.
          path: of the file; its folder is made.
          fine: significant digits for every column, not for rates and probabilities alone.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        out = data.reindex(columns=self.names).copy()
        for column in out:
            if pd.api.types.is_float_dtype(out[column]):
                out[column] = [number(x, str(column), fine) for x in out[column]]
        out.to_csv(path, index=False, lineterminator="\n")

    def to_markdown(self, data: pd.DataFrame) -> str:
        """The rows in Markdown."""
        body = [[column.write(row) for column in self._shown()] for row in _rows(data)]
        return markdown_table(self.titles, body)

    def to_latex(self, data: pd.DataFrame, caption: str) -> str:
        """The rows as a booktabs table scaled to the text width."""
        body = [[column.typeset(row) for column in self._shown()] for row in _rows(data)]
        return _booktabs([_escaped(title) for title in self.titles], body, caption)

    def _shown(self) -> list[Column]:
        return [column for column in self.columns if column.title]


def task_column(study: Study) -> Column:
    """The task by its title."""
    return Column("task", "task", lambda row: study.title(row.task))


def optimizer_column(study: Study) -> Column:
    """The optimizer by its label in Unicode, in LaTeX for LaTeX."""
    return Column(
        "optimizer", "optimizer",
        lambda row: study.pretty(row.optimizer), lambda row: study.latex(row.optimizer),
    )  # fmt: skip


def seeds_column() -> Column:
    """How many seeds there are, and how many of them diverged."""
    return Column(
        "seeds", "seeds",
        lambda row: f"{row.seeds}" + (f", {row.diverged} diverged" if row.diverged else ""),
    )  # fmt: skip


def csv_only(*names: str) -> tuple[Column, ...]:
    """Columns that no text shows."""
    return tuple(map(Column, names))


def _rows(data: pd.DataFrame) -> Iterator[SimpleNamespace]:
    return (SimpleNamespace(**row) for row in data.to_dict("records"))


def number(value: float, column: str = "", fine: bool = False) -> str:
    """A number as the CSV files write it; empty where there is none.

    >>> number(98.12345, "test_accuracy_mean"), number(0.003, "learning_rate")
    ('98.1235', '0.003')
    """
    if pd.isna(value):
        return ""
    return f"{value:.6g}" if fine or "rate" in column or "p_" in column else f"{value:.4f}"


def _escaped(text: str) -> str:
    return tex(text).replace("%", r"\%").replace("&", r"\&")


def _booktabs(head: Sequence[str], body: Sequence[Sequence[str]], caption: str) -> str:
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
