"""What a page says, before it is HTML: sections of text and tables, and where numbers come from."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from rllc.suite.markdown import counted
from rllc.suite.score import practice
from rllc.suite.score.readings import HEADLINE
from rllc.suite.show import analysis
from rllc.suite.show.analysis import Analysis

BETTER, WORSE, LEVEL, ONE_RUN = "better", "worse", "no difference found", "no interval"


def nowhere(_name: str) -> str:
    """No address."""
    return ""


class Origin(NamedTuple):
    """Where a page's numbers come from, for its links.

    Attributes:
      created: when the newest record was made, ISO 8601; "" if nobody knows.
      commit: of the code that writes the page.
      link: a shard's file, as in `records.FIELDS`, -> its address; "" for none.
      command: that makes a run again, ``{run}`` standing for its name; "" for none.
      licence: of what is shown, as Markdown.
      citation: what to cite, as Markdown; "" for nothing.
    """

    created: str = ""
    commit: str = ""
    link: Callable[[str], str] = nowhere
    command: str = ""
    licence: str = ""
    citation: str = ""


class Table(NamedTuple):
    """A table for people.

    Attributes:
      caption: what it shows.
      head: of its columns.
      rows: of text.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Section(NamedTuple):
    """A part of the page.

    Attributes:
      title: its heading.
      parts: Markdown, or tables.
      folded: whether it is opened by a click.
    """

    title: str
    parts: Sequence[str | Table]
    folded: bool = False


def verdict(a: Analysis) -> Section:
    """Each optimizer against its task's best baseline, at the headline reading."""
    here = a.against[a.against.reading == HEADLINE]
    leading = [row.metric == a.study.leading(row.task).column() for row in here.itertuples()]
    here = here[pd.Series(leading, here.index, dtype=bool)]
    if here.empty:
        return Section(
            "Verdict", ["Nothing to compare yet: a task needs its baselines' final runs."]
        )
    order = {task: place for place, task in enumerate(a.study.task_order(here.task))}
    here = here.assign(place=here.task.map(order)).sort_values(
        ["place", "difference"], ascending=[True, False], kind="stable"
    )
    best = "the best baseline" if a.study.baselines else "the best other optimizer"
    words = [word(row) for row in here.itertuples()]
    counts = ", ".join(f"{w} in {words.count(w)}" for w in dict.fromkeys(words))
    said = counted(len(here), "comparison")
    text = (
        f"{said} with {best} of a task: {counts}. *{BETTER.capitalize()}* and "
        f"*{WORSE}* mean that the 95 % interval of the paired difference over seeds excludes 0; "
        "intervals are not corrected for their number, Holm's p-values are."
    )
    head = [
        "task",
        "optimizer",
        "against",
        "better by",
        "95 % interval",
        "seeds",
        "Holm's p",
        "word",
    ]
    rows = [_row(a, row, w) for row, w in zip(here.itertuples(), words, strict=True)]
    return Section("Verdict", [text, Table(f"Every optimizer against {best}", head, rows)])


def word(row: Any) -> str:
    """What an interval says about a difference.

    Args:
      row: with ``low`` and ``high``.
    """
    if pd.isna(row.low):
        return ONE_RUN
    return BETTER if row.low > 0 else WORSE if row.high < 0 else LEVEL


def _row(a: Analysis, row: Any, said: str) -> list[str]:
    metric = a.study.leading(row.task)
    form, unit = metric.form.replace(".", "+."), " points" if metric.unit == "%" else ""
    interval = "–" if pd.isna(row.low) else f"[{row.low:{form}}, {row.high:{form}}]"
    holm = "–" if pd.isna(row.p_holm) else f"{row.p_holm:.2g}"
    return [
        a.study.title(row.task), a.study.pretty(row.optimizer), a.study.pretty(row.baseline),
        f"{row.difference:{form}}{unit}", interval, str(int(row.n)), holm, said,
    ]  # fmt: skip


def in_practice(a: Analysis) -> Section:
    """Time and tuning cost beside the numbers, task by task."""
    text = practice.page(a.study, analysis.practice_of(a), a.step_times)
    return Section("Scores for practice", [below_title(text)], folded=True)


def below_title(text: str) -> str:
    """Markdown without its title, its other headings a level lower, as parts of a section."""
    return re.sub(r"^(#{2,} )", r"#\1", re.sub(r"\A# .*\n", "", text), flags=re.MULTILINE)


def devices(a: Analysis) -> list[tuple[str, int]]:
    """What trained the shown final runs, and how many of them."""
    counts = a.final.device.value_counts()
    return [(str(name), int(counts[name])) for name in sorted(counts.index)]
