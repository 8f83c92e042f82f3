"""A search for a propagator better than the paper's, on validation data, tested once.

Candidates are runs of the family `roles.CANDIDATE`. First round: every candidate on the same
grid with one tuning seed. Second: the best few with more tuning seeds. Third: the winner, chosen by
validation accuracy, on final seeds; no other candidate is tested.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import ACCURACY, LAW_RATE, STUDY
from rllc.suite.choose import selection
from rllc.suite.markdown import MISSING, shown, with_interval, with_std
from rllc.suite.records.roles import CANDIDATE
from rllc.suite.score import comparisons, readings
from rllc.suite.show.analysis import Analysis
from rllc.suite.table import Column, Table, csv_only, optimizer_column
from rllc.suite.templates import render

FIRST_SEED = 100  # tuning seed of the first round
RATES = ["learning_rate", LAW_RATE]

KINDS = {CANDIDATE: "candidate", "rllc": "the paper's", "baseline": "baseline"}


class Found(NamedTuple):
    """What a search on one task found.

    Attributes:
      task: name.
      standing: from `standing`, with the test numbers of those that were tested (`STANDING`).
      winner: the candidate that is tested, "" before the second round.
      rivals: what it has to beat: the paper's best propagator by validation accuracy, and the best
        baseline by test accuracy, of those measured.
    """

    task: str
    standing: pd.DataFrame
    winner: str
    rivals: list[str]


def standing(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Optimizers of one task by validation accuracy: most tuning seeds first, then the best.

    Args:
      runs: tidy runs of one task; tuning runs count.
      curves: evaluations.

    Returns:
      task, optimizer, points, first_round (highest validation accuracy of the first tuning seed,
      %), the chosen rates with their seeds and validation_accuracy (mean over these, %).
    """
    first = selection.tuning_points(runs[runs.seed == FIRST_SEED], curves, ACCURACY)
    choices = selection.choose(selection.tuning_points(runs, curves, ACCURACY), ACCURACY)
    table = choices.assign(
        points=choices.grid_points,
        first_round=100 * choices.optimizer.map(first.groupby("optimizer").value.max()),
        validation_accuracy=100 * choices.value.astype(float),
    )
    order = ["seeds", "validation_accuracy", "optimizer"]
    return table.sort_values(order, ascending=[False, False, True]).reset_index(drop=True)


def winner(table: pd.DataFrame) -> str:
    """The best of those that went into the second round; "" where none did.

    Args:
      table: from `standing`, of candidates.
    """
    return str(table.optimizer.iloc[0]) if len(table) and table.seeds.iloc[0] > 1 else ""


def found(a: Analysis) -> list[Found]:
    """The searches among the records, one per task."""
    tasks = STUDY.task_order(a.candidates.task)
    return [_found(a, task) for task in tasks]


def _found(a: Analysis, task: str) -> Found:
    tried = a.candidates[a.candidates.task == task]
    grid = set(map(tuple, tried[tried.role == CANDIDATE][RATES].to_numpy()))
    known = a.runs[(a.runs.task == task) & a.runs.optimizer.isin(paper.RLLC)]
    on_grid = np.array([tuple(rates) in grid for rates in known[RATES].to_numpy()], bool)
    curves = a.records.curves
    candidates = standing(tried, curves).assign(family=CANDIDATE)
    parts = [candidates, standing(known[on_grid], curves).assign(family="rllc")]
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    best = winner(candidates)
    final = readings.final_runs(tried.assign(is_default=True), candidates)
    tested = readings.readings(STUDY, final[final.optimizer == best], curves)
    rows = pd.concat([a.rows[a.rows.task == task], tested], ignore_index=True)
    rows = rows[rows.reading == readings.HEADLINE]
    baselines = pd.DataFrame({"task": task, "optimizer": paper.BASELINES, "family": "baseline"})
    measured = baselines[baselines.optimizer.isin(rows.optimizer)]
    table = pd.concat([table, measured], ignore_index=True)
    shown = {best, *paper.OPTIMIZERS}
    tests = [_tested(rows, task, best, name) if name in shown else {} for name in table.optimizer]
    table = table.join(pd.DataFrame(tests)).reindex(columns=STANDING.names)
    return Found(task, table, best, _rivals(a, task))


def _rivals(a: Analysis, task: str) -> list[str]:
    measured = a.rows[a.rows.task == task].optimizer
    ours = a.choices[(a.choices.task == task) & a.choices.optimizer.isin(paper.RLLC)]
    ours = ours[ours.optimizer.isin(measured)].sort_values("value", kind="stable")
    summary = a.summary[(a.summary.task == task) & (a.summary.reading == readings.HEADLINE)]
    return [*ours.optimizer.tail(1), *comparisons.best_baselines(STUDY, summary).values()]


def _tested(rows: pd.DataFrame, task: str, best: str, name: str) -> dict[str, float]:
    """Test numbers of an optimizer, and the winner's paired difference to it."""
    here = rows[(rows.optimizer == name) & (rows.status != "diverged")]
    if here.empty:
        return {}
    out = {
        "test_accuracy_mean": here.test_accuracy.mean(),
        "test_accuracy_std": here.test_accuracy.std(ddof=1),
        "test_seeds": len(here),
    }
    if name == best or best not in set(rows.optimizer):
        return out
    difference = comparisons.difference(STUDY, rows, task, best, name)
    names = {"difference": "winner_minus_this", "n": "pairs"}
    return out | {names.get(key, key): value for key, value in difference.items()}


def sentence(f: Found) -> str:
    """The outcome of a search in one sentence."""
    others = f.standing[f.standing.optimizer.isin(f.rivals) & f.standing.pairs.notna()]
    return render(
        __file__, "search_outcome.md", found=f, paper=paper, others=others,
        candidates=f.standing[f.standing.family == CANDIDATE],
    )  # fmt: skip


def page(searches: list[Found]) -> str:
    """The searches in Markdown."""
    sections = {
        paper.title(f.task): (sentence(f), STANDING.to_markdown(f.standing)) for f in searches
    }
    return render(__file__, "search.md", sections=sections)


def _test(row: Any) -> str:
    value = with_std(row.test_accuracy_mean, row.test_accuracy_std)
    return value if value == MISSING else f"{value}, n={row.test_seeds:.0f}"


def _difference(row: Any) -> str:
    return with_interval(row.winner_minus_this, row.low, row.high, "+.2f")


STANDING = Table((
    Column("task"), optimizer_column(STUDY),
    Column("family", "kind", lambda row: KINDS[row.family]), Column("points", "points", ".0f"),
    Column("first_round", "first round", ".2f"), Column("learning_rate", "learning rate", "g"),
    Column("law_learning_rate", "law rate", "g"), Column("seeds"),
    Column("validation_accuracy", "validation accuracy", ".2f"),
    Column("", "tuning seeds", lambda row: shown(row.seeds, ".0f")),
    *csv_only("test_accuracy_mean", "test_accuracy_std", "test_seeds"),
    Column("", "test accuracy", _test),
    Column("winner_minus_this", "winner minus this", _difference),
    *csv_only("low", "high", "pairs"), Column("p_value", "p", ".2g"),
))  # fmt: skip
