"""A law that does not collapse: which change of the law was chosen, and how it did elsewhere.

The rules, written before the runs, are in ``docs/rules_of_evidence.md``: candidates are compared on
validation data at a default that nothing of their own was tuned for, one is chosen, and it is
tested once on other tasks.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import ACCURACY, LAW_RATE, STUDY
from rllc.suite.choose import selection
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import counted, markdown_table, shown, with_interval
from rllc.suite.score import readings, verdicts
from rllc.suite.score.provenance import short_grids
from rllc.suite.score.statistics import t_intervals
from rllc.suite.show.analysis import Analysis
from rllc.suite.table import (
    Column,
    Table,
    csv_only,
    optimizer_column,
    seeds_column,
    task_column,
)
from rllc.suite.templates import render

MOMENTUM, PAPERS = "Momentum SGD", "M(0.9)"
CANDIDATES = ("multiplicative M(0.9)", "falling M(0.9)", "multiplicative M(0.9)+M(0.0)")
RIVALS = (
    MOMENTUM,
    "Adam",
    "Momentum SGD, cosine",
    "Adam, cosine",
    "Schedule-free AdamW",
    "Prodigy",
)
CHOSEN_ON = ("mnist_mlp", "fashion_mnist_mlp", "fashion_mnist_conv")
TESTED_ON = ("cifar10_mlp", "cifar10_conv")
SEED, RATE = 100, 0.003  # of the runs that choose; the default law rate
COLLAPSED = 0.05  # of the law's start
TUNED, DEFAULT, UNTUNED = "tuned", "default", "untuned"
CHOICE = Table((
    optimizer_column(STUDY), task_column(STUDY), Column("learning_rate", "c₁", "g"),
    Column("value", "validation accuracy (%)", ".2f"), Column("momentum", MOMENTUM, ".2f"),
    Column("difference", "difference", "+.2f"),
    Column("law_left", "law left", lambda row: shown(100 * row.law_left, ".1f", " %")),
))  # fmt: skip
RESULTS = Table((
    task_column(STUDY), optimizer_column(STUDY), Column("way", "rates"),
    Column("learning_rate", "c₁", "g"), Column(LAW_RATE, "c₂", "g"), seeds_column(),
    Column("diverged"), Column("accuracy", "test accuracy (%)", ".2f"), Column("low"),
    Column("high"), Column("law_left", "law left"), Column("short_grid", "short grid"),
))  # fmt: skip


TESTS = Table((
    task_column(STUDY), optimizer_column(STUDY), Column("rival", "best constant baseline"),
    Column("", "difference (points)",
           lambda row: with_interval(row.difference, row.low, row.high, "+.2f")),
    Column("seeds", "seeds"), Column("word", "word"),
    Column("law_left", "law left", lambda row: shown(100 * row.law_left, ".1f", " %")),
))  # fmt: skip
TEST_NUMBERS = Table(csv_only(
    *CELL, "rival", "difference", "low", "high", "seeds", "word", "law_left",
))  # fmt: skip
WORDS = {
    verdicts.REPLICATED: "better", verdicts.REVERSED: "worse", verdicts.EQUIVALENT: "level",
    verdicts.INCONCLUSIVE: "inconclusive",
}  # fmt: skip
MARGIN = 0.3  # points, as everywhere that nothing positive is claimed
CONSTANT = (MOMENTUM, "Adam")


class Variants(NamedTuple):
    """What is known of other laws.

    Attributes:
      choice: `CHOICE`, the runs that choose.
      results: `RESULTS`, final runs.
      tests: `TEST_NUMBERS`, of the chosen candidate; empty until one is chosen.
    """

    choice: pd.DataFrame
    results: pd.DataFrame
    tests: pd.DataFrame


def analyse(a: Analysis) -> Variants:
    """All tables; rows that are not measured yet are not there."""
    rates = momentum_rates(a)
    chosen_on = choice(a, rates)
    return Variants(chosen_on, results(a, rates), judged(a, rates, chosen(chosen_on)))


def momentum_rates(a: Analysis) -> dict[str, float]:
    """The learning rate that momentum SGD is tuned to, by task."""
    chosen = a.choices[a.choices.optimizer == MOMENTUM]
    return {row.task: selection.hyper_of(row.hyper)["learning_rate"] for row in chosen.itertuples()}


def choice(a: Analysis, rates: dict[str, float]) -> pd.DataFrame:
    """`CHOICE`: every candidate, and the paper's law, at the default on the tasks that choose."""
    tuning = a.runs[(a.runs.role == "tune") & (a.runs.seed == SEED) & (a.runs.steps == paper.STEPS)]
    tuning = tuning.assign(value=tuning.run.map(_best_validation(a, tuning)))
    left = _law_left(a, tuning[tuning.optimizer.isin([*CANDIDATES, PAPERS])])
    rows = []
    for task in (task for task in CHOSEN_ON if task in rates):
        here = tuning[(tuning.task == task) & np.isclose(tuning.learning_rate, rates[task])]
        theirs = here[here.optimizer == MOMENTUM].value
        for name in (PAPERS, *CANDIDATES):
            at = here[(here.optimizer == name) & np.isclose(here[LAW_RATE], RATE)]
            for run in at.head(1).itertuples():
                rows.append({
                    "optimizer": name, "task": task, "learning_rate": rates[task],
                    "value": run.value, "momentum": theirs.max(),
                    "difference": run.value - theirs.max(), "law_left": left.get(run.run),
                })  # fmt: skip
    return pd.DataFrame(rows, columns=CHOICE.names)


def _best_validation(a: Analysis, runs: pd.DataFrame) -> pd.Series:
    curves = a.records.curves[a.records.curves.run.isin(runs.run)]
    best = 100 * curves.groupby("run").validation_accuracy.max()
    diverged = runs[runs.status == "diverged"].run
    return best.where(~best.index.isin(diverged), 0.0)


def chosen(found: pd.DataFrame) -> str | None:
    """The candidate with the highest mean difference; None until all are measured everywhere.

    Args:
      found: from `choice`.
    """
    ours = found[found.optimizer.isin(CANDIDATES)]
    by_task = ours.pivot(index="optimizer", columns="task", values="difference")
    if by_task.reindex(index=CANDIDATES, columns=CHOSEN_ON).isna().any(axis=None):
        return None
    return str(by_task.mean(axis=1).idxmax())


def results(a: Analysis, rates: dict[str, float]) -> pd.DataFrame:
    """`RESULTS`: runs tuned, at the default, untuned; the mean with its interval (Student)."""
    names = (PAPERS, *CANDIDATES, *RIVALS)
    rows = [
        row
        for task in (*CHOSEN_ON, *TESTED_ON)
        for name in names
        for row in _cell(a, task, name, rates.get(task))
    ]
    return pd.DataFrame(rows, columns=RESULTS.names)


def _cell(a: Analysis, task: str, name: str, rate: float | None) -> Iterator[dict[str, Any]]:
    """Rows of `RESULTS` of one optimizer on one task: tuned, at the default, and untuned."""
    tuned = _tuned(a, task, name)
    if len(tuned):
        yield _row(a, tuned, TUNED) | {"short_grid": bool(short_grids(a.made, task, name))}
    if name in (PAPERS, *CANDIDATES) and rate is not None:
        at = _default(a, task, name, rate)
        if len(at):
            yield _row(a, at, DEFAULT) | {"short_grid": False}
    untuned = _untuned(a, task, name)
    if len(untuned):
        yield _row(a, untuned, UNTUNED) | {"short_grid": False}


def _tuned(a: Analysis, task: str, name: str) -> pd.DataFrame:
    """Final runs of an optimizer at rates that its own grid chose."""
    return a.final[(a.final.task == task) & (a.final.optimizer == name) & a.final.tuned]


def _default(a: Analysis, task: str, name: str, rate: float) -> pd.DataFrame:
    """Final runs of an optimizer at momentum's learning rate and the default law rate."""
    at = a.runs[(a.runs.task == task) & (a.runs.optimizer == name) & (a.runs.role == "final")]
    at = selection.with_hyper(at, [LAW_RATE, "learning_rate"])
    at = at[(at.steps == a.study.steps) & np.isclose(at[LAW_RATE], RATE)]
    return at[np.isclose(at.learning_rate, rate)].drop_duplicates("seed").assign(tuned=True)


def _untuned(a: Analysis, task: str, name: str) -> pd.DataFrame:
    """Runs of an optimizer at the default point of its own config, whatever tuning chose."""
    here = a.untuned[(a.untuned.task == task) & (a.untuned.optimizer == name)]
    runs = here.drop(columns=["reading", "step"]).drop_duplicates("run")
    return runs.merge(a.records.runs[["run", "hyper"]], on="run")


def _row(a: Analysis, runs: pd.DataFrame, way: str) -> dict[str, Any]:
    accuracy, low, high = map(float, t_intervals(_values(a, runs)))
    hyper = selection.hyper_of(runs.hyper.iloc[0])
    return {
        **{name: runs[name].iloc[0] for name in CELL}, "way": way,
        "learning_rate": hyper["learning_rate"], LAW_RATE: hyper.get(LAW_RATE, np.nan),
        "seeds": runs.seed.nunique(), "diverged": int((runs.status == "diverged").sum()),
        "accuracy": accuracy, "low": low, "high": high, "law_left": _mean_left(a, runs),
    }  # fmt: skip


def _values(a: Analysis, runs: pd.DataFrame) -> np.ndarray:
    """Test values of final runs of one task at the headline's stopping point, as shown, (s,)."""
    known = a.rows[a.rows.run.isin(runs.run)]
    rows = known if len(known) else readings.readings(a.study, runs, a.records.curves)
    headline = rows[rows.reading == readings.HEADLINE]
    leading = a.study.leading(runs.task.iloc[0]) if len(runs) else ACCURACY
    values: np.ndarray = headline[leading.column()].to_numpy(float)
    return values


def judged(
    a: Analysis,
    rates: dict[str, float],
    name: str | None,
    tasks: Sequence[str] = TESTED_ON,
    margin: float = MARGIN,
) -> pd.DataFrame:
    """`TEST_NUMBERS`: the chosen candidate at the default against the better constant baseline.

    The baseline is the one that is better on test data, the hardest to beat; the deviation over
    seeds is pooled over the two. A difference above zero is in favour of the candidate.
    """
    rows = []
    for task in tasks:
        ours = _default(a, task, name, rates[task]) if name and task in rates else a.runs.iloc[:0]
        sign = a.study.leading(task).sign
        theirs = {rival: sign * _values(a, _tuned(a, task, rival)) for rival in CONSTANT}
        if ours.empty or not all(map(len, theirs.values())):
            continue
        rival = max(theirs, key=lambda each: theirs[each].mean())
        values = sign * _values(a, ours)
        spread = verdicts.pooled_spread([values, theirs[rival]])
        effect = verdicts.unpaired(values, theirs[rival], spread)
        known = effect.interval()
        word = WORDS[verdicts.verdict(effect, 0.0, margin)] if len(values) > 1 else "one run"
        rows.append({
            "task": task, "optimizer": name, "rival": rival, "difference": known.estimate,
            "low": known.low, "high": known.high, "seeds": f"{len(values)}, {len(theirs[rival])}",
            "word": word, "law_left": _mean_left(a, ours),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=TEST_NUMBERS.names)


def _mean_left(a: Analysis, runs: pd.DataFrame) -> float:
    left = list(_law_left(a, runs).values())
    return float(np.mean(left)) if left else np.nan


def _law_left(a: Analysis, runs: pd.DataFrame) -> dict[str, float]:
    """The law's Euclidean norm at the end over that at the start, by run."""
    laws = a.records.laws(runs.run) if len(runs) else pd.DataFrame()
    if not len(laws):
        return {}
    by_run = laws.sort_values(["run", "step"]).groupby("run").law
    start, end = (ends.map(np.linalg.norm) for ends in (by_run.first(), by_run.last()))
    return dict((end / start).astype(float))


def page(found: Variants, beyond: str = "") -> str:
    """Which candidate was chosen and why, the test, and the table of all.

    `beyond`: tests on other kinds of tasks, see `law_variants_beyond.section`.
    """
    return render(
        __file__, "law_variants.md", choice=CHOICE.to_markdown(found.choice) if len(found.choice)
        else "", chosen=chosen(found.choice), missing=_missing(found.choice),
        tests=TESTS.to_markdown(found.tests) if len(found.tests) else "",
        tasks=[paper.title(task) for task in TESTED_ON], results=_matrix(found.results),
        rate=RATE, seed=SEED, collapsed=COLLAPSED, margin=MARGIN, pretty=paper.pretty,
        collapses=_collapsed(found.choice), beyond=beyond,
    )  # fmt: skip


def _collapsed(found: pd.DataFrame) -> list[str]:
    rows = found[found.law_left < COLLAPSED].itertuples()
    return [f"{paper.pretty(row.optimizer)} on {paper.title(row.task)}" for row in rows]


def _missing(found: pd.DataFrame) -> list[str]:
    known = set(zip(found.optimizer, found.task, strict=True))
    return [
        f"{paper.pretty(name)} on {paper.title(task)}"
        for name in CANDIDATES for task in CHOSEN_ON if (name, task) not in known
    ]  # fmt: skip


def _matrix(found: pd.DataFrame) -> str:
    """Optimizers and ways down, tasks across; only what is measured."""
    tasks = [task for task in (*CHOSEN_ON, *TESTED_ON) if task in set(found.task)]
    body = []
    for name in (PAPERS, *CANDIDATES, *RIVALS):
        for way in (TUNED, DEFAULT, UNTUNED):
            rows = found[(found.optimizer == name) & (found.way == way)].set_index("task")
            if len(rows):
                cells = [_written(rows.loc[task]) if task in rows.index else "" for task in tasks]
                body.append([paper.pretty(name), way, *cells])
    return markdown_table(["optimizer", "rates", *map(paper.title, tasks)], body) if body else ""


def _written(row: pd.Series) -> str:
    text = with_interval(row.accuracy, row.low, row.high, ".2f") + f" (n = {row.seeds})"
    text += f", {counted(row.diverged, 'run')} diverged" if row.diverged else ""
    return text + ("§" if row.short_grid else "")
