"""The paper's tables under a second reading: the law begins at 7·e₁, all else as from ones.

Where x = 7 comes from, and how cells are judged, was written down before these runs
(``docs/rules_of_evidence.md``).
"""

from collections.abc import Mapping

import pandas as pd

from rllc.replication import law_dynamics, paper, reported
from rllc.replication.paper import STUDY
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import shown
from rllc.suite.score.readings import HEADLINE
from rllc.suite.table import Column, Table, csv_only, optimizer_column, seeds_column, task_column
from rllc.suite.templates import render

LAW = "7*first"  # as the runs' initial_law says it
CELLS = Table((
    task_column(STUDY), optimizer_column(STUDY), Column("paper_accuracy", "paper", ".2f"),
    Column("ones", "from ones", lambda row: _marked(row.ones, row.ones_agrees)),
    *csv_only("ones_agrees"),
    Column("accuracy", "from 7·e₁", lambda row: _marked(row.accuracy, row.agrees)),
    *csv_only("agrees"), seeds_column(), Column("diverged", "diverged"),
    Column("loss", "loss", ".3f"), Column("paper_loss", "paper's", ".3f"),
    *csv_only("tolerance", "null_agrees"),
))  # fmt: skip


def _marked(accuracy: float, agrees: bool) -> str:
    return shown(accuracy, ".2f") + (" ✓" if agrees else "")


def table(
    elsewhere: Mapping[str, pd.DataFrame], ones: pd.DataFrame, curves: pd.DataFrame
) -> pd.DataFrame:
    """`CELLS`: the cells trained from `LAW`, beside the paper's number and that from ones.

    Test accuracies (%) and losses are means over final seeds at the validated step. The baselines
    have no law, and are the same in both readings.

    Args:
      elsewhere: final runs by initial law (`initial_laws.finals_from_elsewhere`).
      ones: `reported.table` of the runs from ones.
      curves: evaluations.
    """
    if LAW not in elsewhere:
        return CELLS.empty()
    both = (reported.table(elsewhere[LAW], curves), ones)
    mine, first = (cells[cells.reading == HEADLINE] for cells in both)
    ones = first[[*CELL, "accuracy", "agrees"]].set_axis([*CELL, "ones", "ones_agrees"], axis=1)
    return mine.merge(ones, on=CELL)[CELLS.names]


def in_words(found: pd.DataFrame) -> str:
    """How many cells agree under each reading, and by the null; empty without cells.

    Args:
      found: from `table`.
    """
    if found.empty:
        return ""
    titles = ", ".join(paper.title(task) for task in dict.fromkeys(found.task))
    agree = (int(found[name].sum()) for name in ("agrees", "ones_agrees", "null_agrees"))
    mine, ones, null = agree
    return (
        f"{mine} of {len(found)} cells agree with the paper (from ones {ones}, by the "
        f"null {null}); {titles}"
    )


def page(found: pd.DataFrame, witnesses: pd.DataFrame) -> str:
    """The table, its counts, and what Figure 2a says of this reading, in Markdown.

    Args:
      found: from `table`.
      witnesses: from `initial_laws.witnesses`.
    """
    crossings = [
        (paper.title(row.task), row.crossing, row.as_in_paper)
        for row in witnesses[witnesses.answer == LAW].itertuples()
        if not pd.isna(row.crossing)
    ]
    cells = len(paper.TASKS) * (len(paper.OPTIMIZERS) - len(paper.BASELINES))
    return render(
        __file__, "second_reading.md", found=found, table=CELLS.to_markdown(found), cells=cells,
        words=in_words(found), null=reported.NULL, seeds=paper.SEEDS, crossings=crossings,
        mixed=paper.pretty(law_dynamics.MIXED),
    )  # fmt: skip
