"""Every headline claim under every defensible way to measure it; the rules are frozen in
``docs/rules_of_evidence.md``.

A claim that depends on the way is not replicated; what it depends on is its `hinges`.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import ACCURACY, LOSS, STUDY
from rllc.suite.choose import selection
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import MISSING, with_interval
from rllc.suite.metrics import Metric
from rllc.suite.score import comparisons, readings, verdicts
from rllc.suite.score.provenance import short_grids
from rllc.suite.score.statistics import Floats
from rllc.suite.score.verdicts import Effect, Spread
from rllc.suite.show.analysis import Analysis
from rllc.suite.table import Column, Table, csv_only
from rllc.suite.templates import render

BEST, MOMENTUM = "RLLC's best beats the best baseline", "M(0.9) beats momentum SGD"
PAIR = ("M(0.9)", "Momentum SGD")
SELECTIONS = ("accuracy", "loss", "loss of the step")  # the last: rates by accuracy all the same
STOPS, TESTS = ("validated", "last"), ("unpaired", "paired")
MAIN = (SELECTIONS[0], STOPS[0], TESTS[0])
NO_RUNS = "no final runs"
SHORT_GRID = "no verdict: a short grid does not tell the best rates"
FORKS = ["selection", "reading", "test"]
WORLDS = Table(csv_only(
    "claim", "task", *FORKS, "optimizer", "baseline", "claimed", "difference", "low", "high", "n",
    "baseline_n", "p_value", "margin", "equivalent", "detectable", "power_for_claimed", "verdict",
    "short_grid",
))  # fmt: skip
SHOWN = Table((
    Column("title", "claim"), Column("claimed", "paper", "+.2f"),
    Column("", "ours (points)",
           lambda row: with_interval(row.difference, row.low, row.high, "+.2f")),
    Column("compared", "compared"), Column("verdict", "word"),
    Column("detectable", "detectable", ".2f"), Column("words", "worlds by word"),
    Column("overall", "verdict"),
))  # fmt: skip


class World(NamedTuple):
    """One way to choose rates and steps: its final runs and their test numbers.

    Attributes:
      rule: the metric that chooses the step, and RLLC's best optimizer.
      final: final runs at the chosen rates.
      rows: from `readings.readings`.
      best: the best value of the rule along each final run on validation data.
    """

    rule: Metric
    final: pd.DataFrame
    rows: pd.DataFrame
    best: pd.Series


def table(a: Analysis) -> pd.DataFrame:
    """Every claim on every task in every world.

    Returns:
      `WORLDS`; differences of test accuracy in points, positive where the claim is right;
      ``margin`` and the words are those of `verdicts.verdict`; ``power_for_claimed``, the chance
      that a difference as large as the paper's had been found.
    """
    by_accuracy, by_loss = (_tuned_by(a, metric) for metric in (ACCURACY, LOSS))
    worlds = dict(zip(SELECTIONS, [
        _world(a, by_accuracy, ACCURACY), _world(a, by_loss, LOSS), _world(a, by_accuracy, LOSS),
    ], strict=True))  # fmt: skip
    rows = [
        {"claim": claim, "task": task, "selection": name, "reading": stop} | row
        for claim, task in product((BEST, MOMENTUM), paper.TASKS)
        for name, stop in product(SELECTIONS, STOPS)
        for row in _rows(a, worlds[name], claim, task, stop)
    ]
    return pd.DataFrame(rows, columns=WORLDS.names)


def _tuned_by(a: Analysis, metric: Metric) -> pd.DataFrame:
    """Final runs at the rates that a metric chooses on validation data."""
    runs = a.runs[a.runs.optimizer.isin(paper.OPTIMIZERS) & a.runs.task.isin(paper.TASKS)]
    points = selection.tuning_points(runs, a.records.curves, metric)
    final = readings.final_runs(runs, selection.choose(points, metric))
    return final[final.tuned.astype(bool)]


def _world(a: Analysis, final: pd.DataFrame, rule: Metric) -> World:
    """Step and RLLC's best by one metric on validation data."""
    rows = readings.readings(STUDY, final, a.records.curves, rule)
    best = selection.lowest_or_highest(final, a.records.curves, rule)
    best = best.where(np.isfinite(best), rule.guess)  # a diverged run, unscaled
    return World(rule, final, rows, best)


def _rows(
    a: Analysis, world: World, claim: str, task: str, reading: str
) -> Iterator[dict[str, Any]]:
    """One for each of `TESTS`."""
    rows = world.rows[(world.rows.task == task) & (world.rows.reading == reading)]
    claimed = claimed_by_the_paper(claim, task)
    needed = paper.OPTIMIZERS if claim == BEST else PAIR
    found = {
        "claimed": claimed, "margin": margin(claimed), "verdict": NO_RUNS,
        "short_grid": bool(short_grids(a.made, task, *needed)),
    }  # fmt: skip
    if not set(needed) <= set(rows.optimizer):
        yield from ({**found, "test": test} for test in TESTS)
        return
    names = _best(world, task, rows) if claim == BEST else PAIR
    ours, theirs = comparisons.scores(STUDY, rows, list(names), [task])[:, 0]
    unpaired = verdicts.unpaired(ours, theirs, _spread(rows, names, ours, theirs))
    effects = (unpaired, verdicts.in_pairs(ours, theirs))
    for test, effect in zip(TESTS, effects, strict=True):
        yield found | _numbers(effect, claimed) | {
            "test": test, "optimizer": names[0], "baseline": names[1],
            "n": int(np.isfinite(ours).sum()), "baseline_n": int(np.isfinite(theirs).sum()),
        }  # fmt: skip


def _numbers(effect: Effect, claimed: float) -> dict[str, Any]:
    estimate, low, high, _ = effect.interval()
    return {
        "difference": estimate, "low": low, "high": high, "p_value": effect.p_value,
        "equivalent": verdicts.is_equivalent(effect, margin(claimed)),
        "detectable": verdicts.detectable(effect),
        "power_for_claimed": verdicts.power(claimed, effect),
        "verdict": verdicts.verdict(effect, claimed, margin(claimed)),
    }  # fmt: skip


def _best(world: World, task: str, rows: pd.DataFrame) -> tuple[str, str]:
    """RLLC's best by validation data, and the best baseline on test data: the hardest to beat."""
    here = world.final[(world.final.task == task) & world.final.optimizer.isin(paper.RLLC)]
    means = world.rule.sign * world.best[here.index].groupby(here.optimizer).mean()
    summary = readings.summarize(STUDY, rows)
    return str(means.idxmax()), comparisons.best_baselines(STUDY, summary)[task]


def _spread(rows: pd.DataFrame, names: tuple[str, str], ours: Floats, theirs: Floats) -> Spread:
    """Deviation over seeds of one task's cells under one reading, those with a diverged run out.

    Of a pair that has such a run, which counts as a guess, the deviation is the pair's own.
    """
    lost = set(rows.optimizer[rows.status == "diverged"])
    if lost & set(names):
        return verdicts.pooled_spread([ours, theirs])
    cells = rows[~rows.optimizer.isin(lost)].groupby("optimizer")
    return verdicts.pooled_spread(cell.test_accuracy.to_numpy(float) for _, cell in cells)


def claimed_by_the_paper(claim: str, task: str) -> float:
    """The difference (points) in the paper's Table 2; of `MOMENTUM` it may be negative."""
    theirs = paper.cells().set_index(CELL).test_accuracy_mean[task]
    if claim == BEST:
        return float(theirs[list(paper.RLLC)].max() - theirs[list(paper.BASELINES)].max())
    return float(theirs[PAIR[0]] - theirs[PAIR[1]])


def margin(claimed: float) -> float:
    """Differences (points) nearer to 0 count as none: half of what is claimed, or less."""
    return min(paper.TOLERANCE, claimed / 2) if claimed > 0 else paper.TOLERANCE


def hinges(worlds: pd.DataFrame) -> list[str]:
    """Names of the forks on which the verdict of one claim on one task depends.

    Args:
      worlds: rows of `table` of that claim and task; those without runs do not count.
    """
    known = worlds[worlds.verdict != NO_RUNS]
    return [fork for fork in FORKS if _turns(known, fork)]


def _turns(known: pd.DataFrame, fork: str) -> bool:
    others = [name for name in FORKS if name != fork]
    return bool((known.groupby(others).verdict.nunique() > 1).any())


def overall(worlds: pd.DataFrame) -> str:
    """The main word where no fork changes it; else that it hinges, and on what.

    There is none where rates come from a short grid (`provenance.short_grids`).

    Args:
      worlds: as of `hinges`.
    """
    main = worlds.set_index(FORKS).verdict.get(MAIN, NO_RUNS)
    if main != NO_RUNS and worlds.short_grid.any():
        return SHORT_GRID
    on = hinges(worlds)
    return f"hinges on {', '.join(on)}" if on and main != NO_RUNS else str(main)


def shown(found: pd.DataFrame) -> str:
    """The table of `page`."""
    rows = [_overall(part) for _, part in found.groupby(["claim", "task"], sort=False)]
    return SHOWN.to_markdown(pd.DataFrame(rows))


def page(found: pd.DataFrame) -> str:
    """One row per claim and task, in Markdown.

    Args:
      found: from `table`.
    """
    return render(
        __file__, "multiverse.md", table=shown(found), main=MAIN,
        selections=SELECTIONS, stops=STOPS, tests=TESTS, power=verdicts.POWER,
    )  # fmt: skip


def _overall(worlds: pd.DataFrame) -> dict[str, Any]:
    """A row of `SHOWN`: the main world of a claim on a task, and what all of them say."""
    main = worlds.set_index(FORKS).loc[MAIN]
    counts = worlds.verdict.value_counts()
    row: dict[str, Any] = main.to_dict() | {
        "title": f"{main.claim}, {paper.title(main.task)}", "overall": f"**{overall(worlds)}**",
        "words": ", ".join(f"{count} {word}" for word, count in sorted(counts.items())),
    }  # fmt: skip
    if main.verdict == NO_RUNS:
        return row | {"compared": MISSING, "verdict": MISSING, "overall": NO_RUNS}
    names = f"{paper.pretty(main.optimizer)} (n = {main.n:.0f}) against {main.baseline}"
    return row | {"compared": f"{names} (n = {main.baseline_n:.0f})"}
