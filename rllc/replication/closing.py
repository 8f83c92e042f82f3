"""The three lines that a training on this machine ends with."""

import pandas as pd

from rllc.replication import paper
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import counted
from rllc.suite.score.readings import HEADLINE
from rllc.suite.score.statistics import pooled_std
from rllc.suite.show.analysis import Analysis
from rllc.suite.study import Study


def lines(ours: Analysis, theirs: Analysis, where: str) -> list[str]:
    """What was trained here, how it agrees with the paper and the committed results, where it is.

    Two means agree if they are no further apart than the study's tolerance, or than two deviations
    over seeds, and no run diverged (`comparisons.beside_published`).

    Args:
      ours: analysis of this machine's records.
      theirs: of the committed ones.
      where: folder of the tables and figures.
    """
    cells = ours.cells[ours.cells.reading == HEADLINE]
    known = cells[cells[f"{ours.study.source}_{_name(ours.study)}"].notna()]
    same = _same(cells, theirs.cells, ours.study)
    tasks = counted(cells.task.nunique(), "task")
    return [
        f"trained: {counted(len(ours.final), 'final run')} in {counted(len(cells), 'cell')} "
        f"of {tasks} (the paper has {len(paper.cells())} cells)",
        f"agreement: {known.agrees.sum()} of {counted(len(known), 'cell')} with the paper, "
        f"{same.sum()} of {len(same)} with our committed results",
        f"look at: {where} (tables, figures); results/summary.md and results/replication.md (ours)",
    ]


def _name(study: Study) -> str:
    return study.leading(study.tasks[0]).name


def _same(ours: pd.DataFrame, theirs: pd.DataFrame, study: Study) -> pd.Series:
    """Whether each cell that both have agrees."""
    column = f"test_{_name(study)}"
    both = ours.merge(theirs[theirs.reading == HEADLINE], on=CELL, suffixes=("", "_theirs"))
    gaps = (both[f"{column}_mean"] - both[f"{column}_mean_theirs"]).abs()
    pairs = zip(
        both[f"{column}_std"], both[f"{column}_std_theirs"], both.seeds, both.seeds_theirs,
        strict=True,
    )  # fmt: skip
    pooled = pd.Series([pooled_std([s, t], [n, m]) for s, t, n, m in pairs], both.index, float)
    allowed = (2 * pooled).clip(lower=study.tolerance).fillna(study.tolerance)
    return (gaps <= allowed) & (both.diverged == 0)
