"""The paper's claims about Tables 1 and 2, each with our measure and a verdict.

A difference supports a claim when its 95 % interval lies above zero. Where the numbers are there
but are no evidence (one pair, rates from short grids, few of the tasks), the verdict is `PARTLY`.
Claims over several tasks wait until most of the seven are measured (`family_claims`). Claims about
the law are in `law_claims`, about speed and spread in `behaviour`.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import ACCURACY, STUDY
from rllc.suite.choose import selection
from rllc.suite.score import comparisons
from rllc.suite.score.comparisons import scores, stream
from rllc.suite.score.provenance import FULL, NO_TUNING, short_grids
from rllc.suite.score.readings import HEADLINE, READINGS
from rllc.suite.score.statistics import Interval, stratified_interquartile_mean
from rllc.suite.show.analysis import Analysis

SUPPORTED, NOT_SUPPORTED, NOT_MEASURED = "supported", "not supported", "not yet measured"
PARTLY = "partly measured"
SHORT_GRID = "no verdict: a short grid does not tell the best rates"
FEW_TASKS, FEW_SEEDS = "too few tasks for a verdict", "too few seeds for a verdict"
MOST_TASKS = 4  # of seven: fewer measured tasks give no verdict on a claim over tasks


class Claim(NamedTuple):
    """One row of the replication report; all text but `verdict` is for people.

    ``p_holm`` is the p-value of a paired difference, by Holm's method, NaN where there is none.
    """

    claim: str
    where: str
    measure: str
    value: str = "–"
    interval: str = "–"
    n: str = "0"
    p_holm: float = float("nan")
    verdict: str = NOT_MEASURED
    note: str = ""


def supported_if(holds: bool) -> str:
    """`SUPPORTED` or `NOT_SUPPORTED`."""
    return SUPPORTED if holds else NOT_SUPPORTED


def from_difference(
    claim: Claim, row: dict[str, Any] | None, unit: str, note: str = "", no_verdict: str = ""
) -> Claim:
    """Fills a claim from a paired difference (`comparisons.difference`) in the given unit.

    One pair gives its difference, but no interval and so no verdict; nor is there one for the
    reason `no_verdict` (`withheld`).
    """
    if row is None or not row["n"]:
        return claim._replace(note=note)
    low, high, digits = row["low"], row["high"], 4 if unit == "" else 2
    claim = claim._replace(value=f"{row['difference']:+.{digits}f}{unit}", n=str(row["n"]))
    if row["n"] < 2:
        note = "; ".join(part for part in ("one pair: no verdict", note) if part)
        return claim._replace(verdict=PARTLY, note=note)
    sign = "interval includes 0" if low <= 0 <= high else "the opposite holds" if high < 0 else ""
    return claim._replace(
        interval=f"[{low:+.{digits}f}, {high:+.{digits}f}]",
        p_holm=row.get("p_holm", np.nan),
        verdict=PARTLY if no_verdict else supported_if(low > 0),
        note="; ".join(part for part in (no_verdict or sign, note) if part),
    )


def reduced_note(a: Analysis, task: str, *optimizers: str) -> str:
    """``reduced: …`` where any of the cells was not trained or tuned at the paper's protocol.

    That every point of a grid has fewer seeds is said once, in `replication.headline`.
    """
    cells = a.made[(a.made.task == task) & a.made.optimizer.isin(optimizers)]
    short = sorted(set(cells.training) - {FULL})
    short += [f"tuned on {text}" for text in sorted(set(cells.grid) - {FULL, NO_TUNING})]
    return f"reduced: {'; '.join(short)}" if short else ""


def withheld(a: Analysis, task: str, *optimizers: str) -> str:
    """Why there is no verdict on the difference of these cells, empty if there is one."""
    return SHORT_GRID if short_grids(a.made, task, *optimizers) else ""


def green_cell_claims(a: Analysis, metric: str = "test_accuracy") -> list[Claim]:
    """One claim per green cell of the paper's Table 1: the cell beats the best baseline."""
    return [
        _green_cell(a, cell, metric) for cell in paper.green_cells(f"{metric}_mean").itertuples()
    ]


def green_loss_claims(a: Analysis) -> list[Claim]:
    """`green_cell_claims` of the test loss."""
    return green_cell_claims(a, "test_loss")


def _green_cell(a: Analysis, cell: Any, metric: str) -> Claim:
    unit, digits = (" points", 2) if metric == "test_accuracy" else ("", 4)
    value = getattr(cell, f"{metric}_mean")
    claim = Claim(
        f"{paper.pretty(cell.optimizer)} beats the best baseline on {paper.title(cell.task)}",
        f"Table 1: {value:.{digits}f} against {cell.baseline:.{digits}f}",
        f"paired difference of {metric.replace('_', ' ')}",
    )
    found = a.against[(a.against.task == cell.task) & (a.against.optimizer == cell.optimizer)]
    found = found[found.metric == metric].set_index("reading")
    if HEADLINE not in found.index:
        return claim
    row = found.loc[HEADLINE]
    compared = (cell.optimizer, *paper.BASELINES)
    why_not = withheld(a, cell.task, *compared)
    is_judged = row.n > 1 and not why_not
    others = [
        f"{reading}: {_outcome(found.loc[reading], is_judged, digits)}"
        for reading in READINGS
        if reading != HEADLINE and reading in found.index
    ]
    notes = [f"against {row.baseline}", *others, reduced_note(a, cell.task, *compared)]
    note = "; ".join(part for part in notes if part)
    return from_difference(claim, row.to_dict(), unit, note, why_not)


def _outcome(row: pd.Series, is_judged: bool, digits: int) -> str:
    """Whether a stopping point supports the claim; its difference where nothing is judged."""
    if is_judged:
        return "yes" if row.low > 0 else "no"
    return f"{row.difference:+.{digits}f}"


def validation_accuracies(a: Analysis, task: str) -> pd.Series:
    """Mean over final runs of the highest validation accuracy, by optimizer; diverged: guessing."""
    here = a.final[a.final.task == task]
    highest = selection.lowest_or_highest(here, a.records.curves, ACCURACY)
    return highest.clip(lower=ACCURACY.guess).groupby(here.optimizer).mean()


def adaptive_momentum(a: Analysis) -> Claim:
    """M(0.9), an adaptive momentum SGD, beats momentum SGD over tasks."""
    claim = Claim(
        "M(0.9) beats momentum SGD over all tasks",
        "section 6, “RLLC based adaptive learning rate”",
        "interquartile mean of the share of errors saved (%)",
    )
    interval, tasks = errors_saved(a, "M(0.9)", "Momentum SGD")
    return from_interval(claim, interval, tasks)


def pair(a: Analysis, task: str, optimizer: str, other: str) -> dict[str, Any] | None:
    """Paired difference of two optimizers under the headline reading; None if not measured."""
    rows = a.rows[(a.rows.reading == HEADLINE) & (a.rows.task == task)]
    if not {optimizer, other} <= set(rows.optimizer):
        return None
    return comparisons.difference(STUDY, rows, task, optimizer, other)


def errors_saved(a: Analysis, optimizer: str, other: str) -> tuple[Interval, int]:
    """Share of the other's test errors that an optimizer saves, in percent, over tasks.

    Returns:
      (interquartile mean with its interval, number of tasks: those with more than one pair and
      rates from whole grids).
    """
    rows = a.rows[a.rows.reading == HEADLINE]
    pairs = {
        task: pair(a, task, optimizer, other)
        for task in paper.TASKS
        if not short_grids(a.made, task, optimizer, other)
    }
    tasks = [task for task, row in pairs.items() if row and row["n"] > 1]
    if not tasks:
        return Interval(np.nan, np.nan, np.nan, 0), 0
    ours, theirs = scores(STUDY, rows[rows.task.isin(tasks)], [optimizer, other], tasks)
    errors = 100 - np.array([row[np.isfinite(row)].mean() for row in theirs])[:, None]
    saved = 100 * (ours - theirs) / errors
    return stratified_interquartile_mean(saved, stream("saved", optimizer, other)), len(tasks)


def from_interval(claim: Claim, interval: Interval, tasks: int) -> Claim:
    """Fills a claim over tasks; fewer than `MOST_TASKS`, or no interval, give no verdict."""
    if not interval.n:
        return claim
    known = np.isfinite(interval.low)
    why_not = FEW_TASKS if tasks < MOST_TASKS else "" if known else FEW_SEEDS
    return claim._replace(
        value=f"{interval.estimate:+.2f} %",
        interval=f"[{interval.low:+.2f}, {interval.high:+.2f}]" if known else claim.interval,
        n=f"{interval.n} runs, {tasks} of {len(paper.TASKS)} tasks",
        verdict=PARTLY if why_not else supported_if(interval.low > 0),
        note=why_not,
    )


def count_over_tasks(
    claim: Claim, outcomes: dict[str, bool], least: float = 0.5, what: str = "tasks"
) -> Claim:
    """Fills a claim of the kind “in many tasks”: at least a share `least` of those measured."""
    if not outcomes:
        return claim
    yes, enough = sum(outcomes.values()), len(outcomes) >= MOST_TASKS
    names = ", ".join(paper.title(task) for task, holds in outcomes.items() if holds)
    holds = supported_if(yes >= least * len(outcomes) and yes > 0)
    return claim._replace(
        value=f"{yes} of {len(outcomes)} {what}",
        n=f"{len(outcomes)} of {len(paper.TASKS)} tasks",
        verdict=holds if enough else PARTLY,
        note="; ".join(part for part in (names, "" if enough else FEW_TASKS) if part),
    )
