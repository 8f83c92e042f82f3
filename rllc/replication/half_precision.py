"""Whether a network that computes in bfloat16 trains as accurately as in float32.

The same cells, rates and seeds, in pairs. How they are judged was written down before these runs
(``docs/rules_of_evidence.md``).
"""

import pandas as pd

from rllc.replication import deviations, paper
from rllc.replication.paper import STUDY
from rllc.replication.questions import Question
from rllc.suite.choose import selection
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import with_interval
from rllc.suite.score import comparisons, readings, verdicts
from rllc.suite.score.readings import HEADLINE
from rllc.suite.show.analysis import Analysis
from rllc.suite.table import Column, Table, csv_only, optimizer_column, seeds_column, task_column
from rllc.suite.templates import render

FULL, HALF = "float32", "bfloat16"
NUMBERS = Question("numbers", "What the network computes in", ("task.compute_dtype",), "")
MARGIN = paper.TOLERANCE  # points
YES, NO = "as accurate", "not shown"
CELLS = Table((
    task_column(STUDY), optimizer_column(STUDY), Column(FULL, FULL, ".2f"),
    Column(HALF, HALF, ".2f"),
    Column("", "difference (points)",
           lambda row: with_interval(row.difference, row.low, row.high, "+.2f")),
    seeds_column(), Column("diverged", "diverged"), Column("word", "word"),
    *csv_only("difference", "low", "high"),
))  # fmt: skip


def table(a: Analysis) -> pd.DataFrame:
    """`CELLS`: test accuracies (%) at the validated step, means over the seeds that both have.

    Runs at other rates than the chosen ones do not count; a diverged run counts as a guess.
    """
    final = a.every[a.every.role == "final"]
    answered = deviations.answered(NUMBERS, final, selection.variant_by_cell(a.runs))
    runs = readings.final_runs(answered[answered.answer == HALF], a.choices)
    half = readings.readings(STUDY, runs[runs.tuned.astype(bool)], a.records.curves)
    rows = [
        _cell(a.rows, members, str(task), str(optimizer))
        for (task, optimizer), members in half.groupby(CELL, sort=True)
    ]
    return pd.DataFrame([row for row in rows if row["seeds"]], columns=CELLS.names)


def _cell(full: pd.DataFrame, half: pd.DataFrame, task: str, optimizer: str) -> dict[str, object]:
    same = full[(full.task == task) & (full.optimizer == optimizer)]
    both = pd.concat([half.assign(optimizer=HALF), same.assign(optimizer=FULL)])
    both = both[both.reading == HEADLINE]
    both = both[both.seed.isin(set(half.seed) & set(same.seed))]
    theirs, ours = comparisons.scores(STUDY, both, [FULL, HALF], [task])[:, 0]
    effect = verdicts.in_pairs(ours, theirs)
    difference, low, high, _ = effect.interval()
    return {
        "task": task, "optimizer": optimizer, FULL: theirs.mean(), HALF: ours.mean(),
        "difference": difference, "low": low, "high": high, "seeds": len(ours),
        "diverged": int((both.status == "diverged").sum()),
        "word": YES if verdicts.is_equivalent(effect, MARGIN) else NO,
    }  # fmt: skip


def page(found: pd.DataFrame) -> str:
    """The table in Markdown.

    Args:
      found: from `table`.
    """
    shown = CELLS.to_markdown(found) if len(found) else ""
    return render(__file__, "half_precision.md", table=shown, margin=MARGIN)
