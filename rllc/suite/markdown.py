"""Tables in Markdown and in plain text, and how text shows numbers and ranges."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

MISSING = "–"  # what a cell without a number shows


def markdown_table(head: Sequence[str], body: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; the first column is left-aligned, the rest centred.

    >>> print(markdown_table(["a", "b"], [["x", "1"]]))
    | a | b |
    | :-- | :-: |
    | x | 1 |
    """
    rule = [":--", *[":-:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, rule, *body])


def shown(value: Any, form: str = "", unit: str = "") -> str:
    """A value as text shows it; `MISSING` where there is none, or no finite number.

    >>> shown(0.123, ".1f", " %"), shown(float("nan")), shown("x")
    ('0.1 %', '–', 'x')
    """
    return MISSING if pd.isna(value) or value in (np.inf, -np.inf) else f"{value:{form}}{unit}"


def with_std(mean: float, std: float, form: str = ".2f") -> str:
    """A mean with its standard deviation, where there is one.

    >>> with_std(98.1, 0.2), with_std(98.1, float("nan")), with_std(float("nan"), 0.2)
    ('98.10 ± 0.20', '98.10', '–')
    """
    return shown(mean, form) + ("" if pd.isna(mean) or pd.isna(std) else f" ± {std:{form}}")


def with_interval(value: float, low: float, high: float, form: str) -> str:
    """A number with its interval, where there is one.

    >>> with_interval(1.0, 0.5, 1.5, "+.1f")
    '+1.0 [+0.5, +1.5]'
    """
    ends = "" if pd.isna(value) or pd.isna(low) else f" [{low:{form}}, {high:{form}}]"
    return shown(value, form) + ends


def text_table(head: Sequence[str], body: Sequence[Sequence[Any]]) -> str:
    """Rows as aligned columns of plain text under a head.

    >>> print(text_table(["a", "number"], [["long", 1]]))
    a     number
    long  1
    """
    lines = [[str(cell) for cell in line] for line in (head, *body)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def counted(count: int | str, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "seed"), counted("1–3", "seed")
    ('1 seed', '1–3 seeds')
    """
    return f"{count} {noun}" if str(count) == "1" else f"{count} {noun}s"


def span(numbers: pd.Series) -> str:
    """Lowest and highest of some counts: ``1–3``, ``3`` where they are equal, ``0`` without any."""
    if numbers.empty:
        return "0"
    low, high = int(numbers.min()), int(numbers.max())
    return str(low) if low == high else f"{low}–{high}"
