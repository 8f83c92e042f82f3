"""What the paper's optimizers lose by rates chosen before training ends, in words."""

import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import LAW_RATE, STUDY
from rllc.suite.choose.selection import CELL, with_hyper
from rllc.suite.choose.short_tuning import KEPT
from rllc.suite.templates import render

SHORT, LONGER = 1_000, 3_000  # steps that `sentence` speaks of


def sentence(lost: pd.DataFrame) -> str:
    """What the paper's optimizers lose after `SHORT` and `LONGER` steps; empty if nothing is known.

    Args:
      lost: from `short_tuning.table`.
    """
    early = lost[(lost.steps == SHORT) & lost.family.isin(STUDY.families)]
    if early.empty:
        return ""
    later = lost[(lost.steps == LONGER) & lost.family.isin(STUDY.families)]
    return render(
        __file__, "early_choice.md", tasks=STUDY.titles(STUDY.task_order(early.task)), grids=early,
        early=early.groupby("family", sort=True), later=later.groupby("family", sort=True),
        law_rates=_law_rates(lost, early), short=SHORT, longer=LONGER, kept=KEPT, study=STUDY,
    )  # fmt: skip


def _law_rates(lost: pd.DataFrame, early: pd.DataFrame) -> pd.Series:
    """Change of the law rate chosen early, to the one chosen at the end, by RLLC grid."""
    end = with_hyper(lost[lost.steps == paper.STEPS], [LAW_RATE]).set_index(CELL)
    early = with_hyper(early, [LAW_RATE]).dropna(subset=LAW_RATE).set_index(CELL)
    return early[LAW_RATE] - end[LAW_RATE].reindex(early.index)
