"""Initial laws other than the default, on made-up runs whose law is known."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from rllc.replication import (
    aggregation,
    analysis,
    initial_laws,
    law_claims,
    paper,
    question_report,
    report,
)
from rllc.replication.claims import NOT_MEASURED, NOT_SUPPORTED, PARTLY, SUPPORTED
from rllc.replication.law_dynamics import COUPLED, MIXED
from rllc.suite.choose import selection
from tests.suite import synthetic_records as made

pytestmark = pytest.mark.slow

TASK = "mnist_mlp"


class Records(NamedTuple):
    """Made-up records in which L_1 of a run from "first" falls from 1 and L_2 rises from 0."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    metrics: Mapping = MappingProxyType({})

    def laws(self, runs):
        steps = np.arange(0, 10_001, 10)
        falling = 1 - steps / 10_000
        whole = self.runs[self.runs.run.isin(list(runs))]
        parts = []
        for run in whole.itertuples():
            first = [falling, 0.5 * steps / 2_000] if "first" in run.settings else [falling] * 2
            units = [*first, -falling][: made.num_units(run.optimizer)]
            law = list(np.stack(units, 1).astype(np.float32))
            parts.append(pd.DataFrame({"run": run.run, "step": steps, "law": law}))
        return pd.concat(parts) if parts else pd.DataFrame(columns=["run", "step", "law"])


def run(law, seed, rate, floor=None, optimizer=MIXED, **more):
    row, curve = made.run(TASK, optimizer, seed, rate, floor=floor, **more)
    name = f"{row['run']}-{law}"
    return made.with_law(row, law) | {"run": name}, curve.assign(run=name)


def analysed(optimizer=MIXED):
    """Tuned from both laws (0.1 is best from first, 0.03 from ones), finals from both."""
    best = {"first": 0.1, "ones": 0.03}
    pairs = [
        run(law, 100, rate, 0.02 if rate == best[law] else 0.05, optimizer)
        for law in best
        for rate in (0.01, 0.03, 0.1)
    ]
    pairs += [
        run(law, seed, rate, optimizer=optimizer)
        for law, rate in best.items()
        for seed in (0, 1, 2)
    ]
    pairs += [run("first", 3, 0.03, optimizer=optimizer)]  # not at the rate chosen from first
    other = run("first", 0, 0.1, optimizer=optimizer, batch_size=64)  # differs otherwise too
    gathered = made.gather([*pairs, other])
    runs = gathered.runs
    ones = selection.tidy(runs[runs.settings.str.contains("ones")]).variant.iloc[0]
    return analysis.analyse(Records(runs, gathered.curves), defaults={(TASK, optimizer): ones})


@pytest.fixture(scope="module")
def found():
    return analysed()


def test_words():
    assert initial_laws.in_words("ones") == "1 in every unit"
    assert initial_laws.in_words("last") == "(0, …, 0, 1)"
    assert initial_laws.in_words("[0.9, 1]") == "[0.9, 1]"


def test_final_runs_are_at_the_rates_tuned_from_that_law(found):
    assert list(found.elsewhere) == ["first"]
    final = found.elsewhere["first"]
    assert sorted(final.seed) == [0, 1, 2]
    assert set(final.learning_rate) == {0.1}
    assert not final.settings.str.contains("64").any()
    assert set(found.measured.final.learning_rate) == {0.03}  # the tables show the default's only


def test_the_law_is_that_of_the_best_tuning_point(found):
    table = found.witnesses.set_index("answer")
    assert list(table.index) == ["first", "ones"]
    assert list(table.learning_rate) == [0.1, 0.03]
    assert list(table.points) == [3, 3]
    assert list(table.as_in_paper) == [True, False]  # equal coefficients are no reversal
    # 1 - t = 0.9 · 2.5 t with t = step / 10,000
    assert table.crossing["first"] == pytest.approx(10_000 / 3.25, abs=1)
    assert table.early["first"] > 0 > table.late["first"]


def test_a_reversal_with_a_crossing_elsewhere_is_not_the_papers(found, monkeypatch):
    monkeypatch.setattr(initial_laws.law_dynamics, "CROSSING_RANGE", (100, 3_000))
    table = initial_laws.witnesses(
        found.measured.every, found.measured.runs, found.measured.records
    )
    assert not table.as_in_paper.any()


def test_the_question_reports_the_witness(found):
    table = found.witnesses
    text = question_report.page(found.deviations, table)
    assert (
        "passes 0.9 between steps 1,000 and 4,000) from “first” (MNIST MLP); not from ones." in text
    )
    assert "| ones (default) | MNIST MLP | 3 | 1 |" in text
    none = question_report.page(found.deviations, table[~table.as_in_paper])
    assert "from no initial law; not from ones." in none
    assert "second witness" not in question_report.page(found.deviations)


def test_accuracies_stand_beside_the_defaults_and_the_papers(found):
    m = found.measured
    m = found.measured
    table = initial_laws.accuracies(found.elsewhere, m.records.curves, m.summary)
    (row,) = table.itertuples()
    cells = paper.cells().set_index(["task", "optimizer"]).test_accuracy_mean
    assert (row.answer, row.seeds, row.paper_mean) == ("first", 3, cells[TASK, MIXED])
    mine, default = (
        curves.groupby("run").test_accuracy.max().mean() * 100
        for curves in (
            m.records.curves[m.records.curves.run.isin(final.run)]
            for final in (found.elsewhere["first"], m.final)
        )
    )
    assert row.mean == pytest.approx(mine)
    assert row.default_mean == pytest.approx(default)
    assert row.mean != pytest.approx(row.default_mean)
    text = question_report.page(found.deviations, found.witnesses, table)
    assert f"{row.mean:.2f} ± {row.std:.2f}, n=3 | {row.default_mean:.2f} ±" in text
    none = initial_laws.accuracies({}, m.records.curves, m.summary)
    text = question_report.page(found.deviations, found.witnesses, none)
    assert "No final runs from another initial law" in text


def test_claims_from_another_law_have_a_section_of_their_own(found):
    def verdicts(a):
        return {c.verdict for c in law_claims.law(a.measured) if paper.pretty(MIXED) in c.claim}

    assert verdicts(found) == {PARTLY}  # three points are a short grid
    whole = found.measured._replace(made=found.measured.made.assign(short_grid=False))
    assert verdicts(found._replace(measured=whole)) == {NOT_SUPPORTED}
    reversal, crossing, unmeasured = dict(report.all_claims(found))[
        "The learning law over training, from another initial law"
    ]
    assert reversal.claim.startswith("from (1, 0, …, 0): M(0.9)⊕M(0.0)")
    assert (reversal.verdict, crossing.verdict) == (SUPPORTED, SUPPORTED)
    assert reversal.value == "3 of 3 seeds"
    assert unmeasured.verdict == NOT_MEASURED
    other = analysed(COUPLED)
    coupled = law_claims.law_from_elsewhere(other.measured, other.elsewhere)[-1]
    assert (coupled.n, coupled.verdict) == ("3", NOT_SUPPORTED)


def test_every_law_has_its_figure_and_the_main_one_is_like_the_papers(found):
    """From (1, 0) the laws are reversed and cross at 1,800; from ones they never cross."""
    figures = aggregation.all_figures(found)
    title = figures["figure2"]().get_suptitle()
    assert title == "Learning law over training, MNIST MLP, from (1, 0, …, 0)"
    assert figures["figure2_mnist_mlp"]().get_suptitle() == "Learning law over training, MNIST MLP"
    assert "figure2_first_mnist_mlp" not in figures
    alone = aggregation.all_figures(found._replace(elsewhere={}))
    assert alone["figure2"]().get_suptitle() == "Learning law over training, MNIST MLP"


def test_without_runs_nothing_is_said():
    found = analysis.analyse(made.nothing())
    assert found.elsewhere == {}
    assert found.witnesses.empty
