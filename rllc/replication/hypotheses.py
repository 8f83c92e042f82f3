"""What the authors may have run on Conv, and what would confirm or exclude it.

Each hypothesis names runs and bounds, both written down before the runs were made. Its number for
an optimizer is the highest test accuracy along the curves of its points, as the paper's may be the
best of a grid and of a curve: a look at test data that only ever asks what the paper did.
"""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.law import resolve_initial_law
from rllc.propagators import parse
from rllc.replication import accelerator_queue as queue
from rllc.replication import paper
from rllc.replication.accelerator_queue import CIFAR, FASHION
from rllc.replication.paper import LAW_RATE, STUDY
from rllc.suite.choose import selection
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import MISSING, shown
from rllc.suite.score import readings
from rllc.suite.table import Column, Table, optimizer_column, seeds_column
from rllc.suite.templates import render

ALONE, MIXED, DOUBLE, TRIPLE = "M(0.9)", "M(0.9)+M(0.0)", "M2(0.6)", "M3(0.6)"
CONFIRMED, REJECTED, UNDECIDED, UNMEASURED = (
    "confirmed", "rejected", "not decided", "not measured",
)  # fmt: skip
VARIED = ("epsilon", "epsilon_mode", "correct_with", "law_groups")  # keys of an optimizer
DEFAULT = MappingProxyType({"epsilon": 1e-6})


class Bound(NamedTuple):
    """What an optimizer's number (test accuracy, %) and the share of its law left must be."""

    optimizer: str
    low: float = 0.0
    high: float = 100.0
    law_left: float = 0.0


class Hypothesis(NamedTuple):
    """One reading of the paper.

    Attributes:
      name: for the table.
      title: for people.
      points: (c₁, c₂) by optimizer, in units of L₀ = 1.
      law: initial law up to a factor, ``first`` or ``ones``.
      settings: keys of `VARIED` that differ from the default.
      confirmed: bounds that all hold if it is true; none if nothing would confirm it.
      rejected: bounds that all hold if it is false.
      otherwise: whether it is false as soon as it cannot be confirmed.
      task: whose runs.
    """

    name: str
    title: str
    points: Mapping[str, tuple[tuple[float, float], ...]]
    law: str = "first"
    settings: Mapping[str, Any] = MappingProxyType({})
    confirmed: tuple[Bound, ...] = ()
    rejected: tuple[Bound, ...] = ()
    otherwise: bool = False
    task: str = FASHION

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        parts = [f"{CONFIRMED}: {_in_words(self.confirmed)}"] if self.confirmed else []
        parts += [f"{REJECTED}: {_in_words(self.rejected)}"] if self.rejected else []
        return "; ".join(parts + ([f"{REJECTED} otherwise"] if self.otherwise else [])) or MISSING


Rates = tuple[tuple[float, float], ...]  # pairs (c₁, c₂)


def _from_e1(rates: Rates) -> dict[str, Rates]:
    return {DOUBLE: rates, TRIPLE: rates, MIXED: rates[:1], ALONE: rates[:1]}


def _scaled(number: int, rates: Rates) -> Hypothesis:
    return Hypothesis(
        f"e1_{number}", f"L₀ = x·e₁, x near {number}", _from_e1(rates),
        confirmed=(Bound(DOUBLE, 82.5, 86.0), Bound(TRIPLE, 86.0, 88.3), Bound(MIXED, 90.3)),
        rejected=(Bound(DOUBLE, 88.0), Bound(ALONE, 90.5)),
    )  # fmt: skip


def _on_cifar(h: Hypothesis) -> Hypothesis:
    title = f"{h.title}, on CIFAR-10 Conv"
    return Hypothesis(f"{h.name}_cifar10", title, h.points, task=CIFAR)


def _epsilon(epsilon: float) -> Hypothesis:
    return Hypothesis(
        f"epsilon_{epsilon:g}", f"absolute ε of {epsilon:g}, from e₁", {ALONE: ((0.1, 0.003),)},
        settings={"epsilon_mode": "absolute", "epsilon": epsilon},
        confirmed=(Bound(ALONE, 90.8, law_left=0.35),),
    )  # fmt: skip


def _epsilon_with_double(h: Hypothesis) -> Hypothesis:
    """The same with M2(0.6), which a law that hardly moves cannot bring down to the paper's."""
    return h._replace(
        name=f"{h.name}_double", title=f"{h.title}, with M₂",
        points={**h.points, DOUBLE: h.points[ALONE]},
        confirmed=(*h.confirmed, Bound(DOUBLE, 82.5, 86.0)), rejected=(Bound(DOUBLE, 88.0),),
    )  # fmt: skip


SCALED = tuple(
    _scaled(x, rates) for x, rates in ((3, queue.RATES_3), (5, queue.RATES_5), (7, queue.RATES_7))
)
HYPOTHESES = (
    *SCALED,
    *map(_on_cifar, SCALED),
    Hypothesis(
        "updated", "the law corrected with the updated memory M_t",
        dict.fromkeys((ALONE, DOUBLE, TRIPLE), queue.UPDATED_RATES), "ones",
        {"correct_with": "updated"}, (Bound(ALONE, 90.5), Bound(DOUBLE, 0.0, 86.0)), otherwise=True,
    ),
    *(Hypothesis(f"law_rate_{law}", f"law rate c₁·c₂, from {'e₁' if law == 'first' else law}",
                 {DOUBLE: ((0.1, 0.0003),)}, law, rejected=(Bound(DOUBLE, 88.0),))
      for law in ("first", "ones")),
    *map(_epsilon, queue.LARGE_EPSILONS),
    _epsilon_with_double(_epsilon(max(queue.LARGE_EPSILONS))),
    Hypothesis(
        "per_layer", "a law per layer", dict.fromkeys((ALONE, DOUBLE), ((0.1, 0.003),)), "ones",
        {"law_groups": "leaf"}, rejected=(Bound(ALONE, 0.0, 90.0),),
    ),
)  # fmt: skip

TITLES = {h.name: h.title for h in HYPOTHESES}
POINTS = Table((
    Column("hypothesis", "hypothesis", lambda row: TITLES[row.hypothesis]), Column("task"),
    optimizer_column(STUDY), Column("learning_rate", "c₁", "g"), Column(LAW_RATE, "c₂", "g"),
    seeds_column(), Column("diverged"), Column("highest", "highest", ".2f"),
    Column("last", "last", ".2f"),
    Column("law_left", "law left", lambda row: shown(100 * row.law_left, ".1f", " %")),
    Column("paper_accuracy", "paper", ".2f"), Column("verdict"),
))  # fmt: skip
JUDGED = Table((
    Column("title", "hypothesis"), Column("runs", "runs"),
    Column("bounds", "bounds (highest test accuracy, %)"), Column("verdict", "verdict"),
))  # fmt: skip


def table(every: pd.DataFrame, defaults: pd.DataFrame, records: Any) -> pd.DataFrame:
    """The runs that each hypothesis asks for, and its verdict.

    Args:
      every: from `selection.tidy`, all variants.
      defaults: from `selection.default_variants`.
      records: anything with ``curves`` and ``laws(runs)``.

    Returns:
      `POINTS`, one row per hypothesis, optimizer and point, measured or not: ``highest`` test
      accuracy along the curve and the ``last`` (%), means over the ``seeds`` that did not diverge;
      ``law_left``, the law's Euclidean norm at the end over that at the start. Only full-length
      runs that are not final count, which differ from their cell's default in what is asked alone.
    """
    runs = _candidates(every, selection.variant_by_cell(defaults))
    values = _measured(runs, records)
    rows = [row for hypothesis in HYPOTHESES for row in _rows(hypothesis, runs, values)]
    found = pd.DataFrame(rows, columns=POINTS.names[:-1])
    words = {h.name: judged(h, found[found.hypothesis == h.name]) for h in HYPOTHESES}
    return found.assign(verdict=found.hypothesis.map(words))


def _candidates(every: pd.DataFrame, variants: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Runs of the cells in question with ``law`` (its direction), ``asked`` and rates from it."""
    cells = {(h.task, optimizer) for h in HYPOTHESES for optimizer in h.points}
    rows = []
    for run in every[(every.role != "final") & (every.steps == paper.STEPS)].itertuples():
        cell = (run.task, run.optimizer)
        if cell not in cells or cell not in variants:
            continue
        law, asked, rest = _taken(run.variant)
        if rest != _taken(variants[cell])[2]:
            continue
        direction, size = _direction(law, run.optimizer)
        first, second = (json.loads(run.hyper)[name] for name in ("learning_rate", LAW_RATE))
        rows.append([*cell, run.run, run.seed, run.status, direction, asked,
                     first * size, second / size])  # fmt: skip
    columns = [*CELL, "run", "seed", "status", "law", "asked", "learning_rate", LAW_RATE]
    return pd.DataFrame(rows, columns=columns).drop_duplicates("run")


def _taken(text: str) -> tuple[Any, str, str]:
    """The initial law of a variant, its settings of `VARIED`, and the rest."""
    variant = json.loads(text)
    law = (variant.get("traced") or {}).pop("initial_law", "ones")
    optimizer = variant["optimizer"]
    varied = {key: optimizer.pop(key) for key in VARIED if optimizer.get(key) is not None}
    return law, _key(varied), json.dumps(variant, sort_keys=True)


def _key(settings: Mapping[str, Any]) -> str:
    return json.dumps({**DEFAULT, **settings}, sort_keys=True)


def _direction(law: Any, optimizer: str) -> tuple[tuple[str, ...], float]:
    """Names of the laws that this one is a positive multiple of, and the factor."""
    units = parse(optimizer).num_units
    value = np.asarray(resolve_initial_law(law, units), float)
    size = float(value[0])
    names = ("first", "ones") if size > 0 else ()
    wanted = {name: np.asarray(resolve_initial_law(name, units), float) for name in names}
    return tuple(name for name in names if np.allclose(value, size * wanted[name])), size or 1.0


def _measured(runs: pd.DataFrame, records: Any) -> pd.DataFrame:
    """``highest``, ``last`` and ``law_left`` by run."""
    tried = runs.assign(family="", steps=paper.STEPS, device="", tuned=True)
    rows = readings.readings(STUDY, tried, records.curves)
    values = rows.pivot(index="run", columns="reading", values="test_accuracy")
    values = values.reindex(columns=["best", "last"]).set_axis(["highest", "last"], axis=1)
    laws = records.laws(runs.run).sort_values(["run", "step"])
    sizes = laws.assign(size=laws.law.map(np.linalg.norm).astype(float)).groupby("run")["size"]
    return values.assign(law_left=sizes.last() / sizes.first())


def _rows(
    hypothesis: Hypothesis, runs: pd.DataFrame, values: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    theirs = paper.cells().set_index(CELL).test_accuracy_mean
    same = runs[(runs.task == hypothesis.task) & (runs.asked == _key(hypothesis.settings))]
    same = same[np.array([hypothesis.law in laws for laws in same.law], bool)]
    for optimizer, points in hypothesis.points.items():
        for point in points:
            close = np.isclose(same[["learning_rate", LAW_RATE]].astype(float), point, rtol=1e-4)
            mine = same[close.all(axis=1) & (same.optimizer == optimizer).to_numpy()]
            mine = mine.drop_duplicates("seed", keep="last")
            finished = mine[mine.status != "diverged"]
            yield {
                "hypothesis": hypothesis.name, "task": hypothesis.task, "optimizer": optimizer,
                "learning_rate": point[0], LAW_RATE: point[1], "seeds": len(mine),
                "diverged": len(mine) - len(finished),
                "paper_accuracy": theirs[hypothesis.task, optimizer],
                **values.reindex(finished.run).mean().to_dict(),
            }  # fmt: skip


def judged(hypothesis: Hypothesis, rows: pd.DataFrame) -> str:
    """What the rows of a hypothesis in `table` say of it.

    A number only rises as further points are run, so that a bound it must not exceed holds only
    when all are.
    """
    if not rows.seeds.sum():
        return UNMEASURED
    confirmed = [holds(bound, rows) for bound in hypothesis.confirmed]
    if confirmed and all(confirmed) and rows.seeds.all():
        return CONFIRMED
    rejected = [holds(bound, rows) for bound in hypothesis.rejected]
    cannot = hypothesis.otherwise and any(held is False for held in confirmed)
    return REJECTED if (rejected and all(rejected)) or cannot else UNDECIDED


def holds(bound: Bound, rows: pd.DataFrame) -> bool | None:
    """Whether a bound holds; None where runs that are missing may still decide it.

    Args:
      bound: of an optimizer.
      rows: of one hypothesis.
    """
    mine = rows[rows.optimizer == bound.optimizer]
    complete = bool(mine.seeds.all())
    enough = mine[(mine.highest >= bound.low) & (mine.law_left >= bound.law_left)]
    if not bound.law_left:
        enough = mine[mine.highest >= bound.low]
    if mine.highest.max() > bound.high:
        return False
    if enough.empty:
        return False if complete else None
    return True if complete or bound.high >= 100 else None


def scaled_verdict(found: pd.DataFrame) -> str:
    """Of L₀ = x·e₁ with any x: rejected if M₂ ≥ 88 for every x that gives M(0.9) ≥ 90.5."""
    parts = {h.name: found[found.hypothesis == h.name] for h in SCALED}
    words = {part.verdict.iloc[0] for part in parts.values()}
    if CONFIRMED in words or words == {UNMEASURED}:
        return CONFIRMED if CONFIRMED in words else UNMEASURED
    dull = [holds(Bound(ALONE, 90.5), part) is False for part in parts.values()]
    out = [part.verdict.iloc[0] == REJECTED for part in parts.values()]
    every = all(x or y for x, y in zip(dull, out, strict=True))
    return REJECTED if every and any(out) else UNDECIDED


def page(found: pd.DataFrame) -> str:
    """The hypotheses with their verdicts, and the runs behind them.

    Args:
      found: from `table`.
    """
    words = [_judged(h, found[found.hypothesis == h.name]) for h in HYPOTHESES]
    return render(
        __file__, "hypotheses.md", judged=JUDGED.to_markdown(pd.DataFrame(words)), points=POINTS,
        scaled=scaled_verdict(found), rows=found[found.seeds > 0], steps=paper.STEPS,
    )  # fmt: skip


def _judged(h: Hypothesis, rows: pd.DataFrame) -> dict[str, str]:
    """A row of `JUDGED`."""
    runs = f"{int((rows.seeds > 0).sum())} of {len(rows)}"
    verdict = f"**{rows.verdict.iloc[0]}**"
    return {"title": h.title, "runs": runs, "bounds": h.bounds, "verdict": verdict}


def _in_words(bounds: tuple[Bound, ...]) -> str:
    parts = []
    for bound in bounds:
        name, low, high = paper.pretty(bound.optimizer), bound.low, bound.high
        word = f"≤ {high:g}" if not low else f"≥ {low:g}" if high >= 100 else f"{low:g} to {high:g}"
        left = f" with {100 * bound.law_left:.0f} % of the law left" if bound.law_left else ""
        parts.append(f"{name} {word}{left}")
    return ", ".join(parts)
