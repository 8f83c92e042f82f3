"""What the paper's optimizers lose by rates chosen before training ends, in words."""

import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import STUDY
from rllc.suite.choose.selection import CELL, LAW_RATE, with_hyper
from rllc.suite.choose.short_tuning import KEPT

SHORT, LONGER = 1_000, 3_000  # steps that `sentence` speaks of


def sentence(lost: pd.DataFrame) -> str:
    """What the paper's optimizers lose after `SHORT` and `LONGER` steps; empty if nothing is known.

    Args:
      lost: from `short_tuning.table`.
    """
    early = lost[(lost.steps == SHORT) & lost.family.isin(STUDY.families)]
    if early.empty:
        return ""
    words = [
        f"{members.lost.mean():.2f} points for {STUDY.families[family]} (at most "
        f"{members.lost.max():.2f}; best {KEPT} kept and trained to the end: "
        f"{members.lost_of_kept.mean():.2f})"
        for family, members in early.groupby("family", sort=True)
    ]
    tasks = STUDY.titles(STUDY.task_order(early.task))
    return (
        f"Rates chosen on the whole grid after {SHORT:,} of {paper.STEPS:,} steps would have lost, "
        f"of validation accuracy and in the mean over {len(early)} grids ({tasks}), "
        f"{' and '.join(words)}.{_longer_sentence(lost)}{_law_sentence(lost, early)}"
    )


def _longer_sentence(lost: pd.DataFrame) -> str:
    later = lost[(lost.steps == LONGER) & lost.family.isin(STUDY.families)]
    words = [
        f"{members.lost.mean():.2f} points for {STUDY.families[family]} (best {KEPT} kept: "
        f"{members.lost_of_kept.mean():.2f}, at most {members.lost_of_kept.max():.2f})"
        for family, members in later.groupby("family", sort=True)
    ]
    return f" After {LONGER:,} steps it would have been {' and '.join(words)}." if words else ""


def _law_sentence(lost: pd.DataFrame, early: pd.DataFrame) -> str:
    end = with_hyper(lost[lost.steps == paper.STEPS], [LAW_RATE]).set_index(CELL)
    early = with_hyper(early, [LAW_RATE])
    early = early[early[LAW_RATE].notna()]
    if early.empty:
        return ""
    before = end[LAW_RATE][pd.MultiIndex.from_frame(early[CELL])]
    change = early[LAW_RATE].to_numpy() - before.to_numpy()
    above, below = int((change > 0).sum()), int((change < 0).sum())
    lead = "Short runs favour a fast law: of" if above > 2 * below else "Of"
    return (
        f" {lead} {len(early)} RLLC grids, the law rate chosen early was above the one chosen at "
        f"the end in {above} and below it in {below}."
    )
