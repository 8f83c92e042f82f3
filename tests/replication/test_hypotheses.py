"""Hypotheses about the paper's law, on made-up runs whose verdict is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rllc.replication import accelerator_queue, hypotheses
from rllc.replication.hypotheses import (
    ALONE,
    CONFIRMED,
    DOUBLE,
    HYPOTHESES,
    MIXED,
    REJECTED,
    SCALED,
    TRIPLE,
    UNDECIDED,
    UNMEASURED,
)  # fmt: skip
from rllc.suite.choose import selection
from tests.suite import synthetic_records as made

TASK = "fashion_mnist_conv"
NAMED = {h.name: h for h in HYPOTHESES}


def run(optimizer, rates, accuracy, law="first", seed=200, status="finished", **settings):
    """A run of constant accuracy (%) from an initial law."""
    row, curve = made.run(TASK, optimizer, seed, *rates, status=status)
    parts = json.loads(row["settings"])
    parts["traced"] = {"initial_law": law}
    parts["optimizer"] |= settings
    name = f"{row['run']}-{law}-{settings}"
    for column in curve.columns[curve.columns.str.contains("accuracy")]:
        curve[column] = accuracy / 100
    return row | {"settings": json.dumps(parts), "run": name}, curve.assign(run=name)


def table(pairs):
    """The hypotheses' table; the cells' defaults are runs that no hypothesis asks for."""
    default = [run(name, (0.03, 0.01), 50.0, "ones") for name in (ALONE, MIXED, DOUBLE, TRIPLE)]
    records = made.gather([*default, *pairs])
    tidy = selection.tidy(records.runs)
    chosen = tidy[tidy.hyper.str.contains("0.03") & tidy.settings.str.contains('"ones"')]
    variants = {(r.task, r.optimizer): r.variant for r in chosen.itertuples()}
    return hypotheses.table(tidy, selection.default_variants(tidy, variants), records)


def word(found, name):
    (only,) = found[found.hypothesis == name].verdict.unique()
    return only


def whole(number, double, triple=87.0, mixed=90.5, alone=91.0):
    """All runs of L₀ = x·e₁; each optimizer's first point has the accuracy, others 1 less."""
    h = NAMED[f"e1_{number}"]
    best = {DOUBLE: double, TRIPLE: triple, MIXED: mixed, ALONE: alone}
    return [
        run(name, point, best[name] - (i > 0))
        for name, points in h.points.items()
        for i, point in enumerate(points)
    ]


def test_without_runs_nothing_is_measured():
    found = table([])
    assert set(found.verdict) == {UNMEASURED}
    assert len(found) == sum(len(points) for h in HYPOTHESES for points in h.points.values())
    assert hypotheses.scaled_verdict(found) == UNMEASURED
    assert "None yet." in hypotheses.page(found)


@pytest.mark.slow
def test_confirmed_where_all_runs_are_within_their_bounds():
    found = table(whole(3, 84.0))
    assert word(found, "e1_3") == CONFIRMED
    assert word(found, "e1_5") == UNMEASURED
    assert hypotheses.scaled_verdict(found) == CONFIRMED
    first = found[(found.hypothesis == "e1_3") & (found.optimizer == DOUBLE)]
    np.testing.assert_allclose(first.highest, [84.0, 83.0])
    assert "**confirmed**" in hypotheses.page(found)


@pytest.mark.parametrize("missing", range(6))
def test_one_run_too_few_confirms_nothing(missing):
    pairs = whole(3, 84.0)
    assert len(pairs) == 6
    found = table(pairs[:missing] + pairs[missing + 1 :])
    assert word(found, "e1_3") == UNDECIDED


@pytest.mark.slow
def test_rejected_where_m2_is_high_for_every_x_that_serves_m():
    high = [*whole(3, 89.0), *whole(7, 88.5)]
    assert hypotheses.scaled_verdict(table([*high, *whole(5, 88.5)])) == REJECTED
    assert hypotheses.scaled_verdict(table(high)) == UNDECIDED  # x = 5 is not measured
    one = table([*high, *whole(5, 84.0, triple=90.0)])
    assert (word(one, "e1_3"), word(one, "e1_5")) == (REJECTED, UNDECIDED)
    assert hypotheses.scaled_verdict(one) == UNDECIDED
    dull = table([*high, *whole(5, 84.0, triple=90.0, alone=80.0)])  # x = 5 serves M(0.9) badly
    assert hypotheses.scaled_verdict(dull) == REJECTED
    assert hypotheses.scaled_verdict(table(whole(3, 89.0))) == UNDECIDED  # x = 5 is to come


@pytest.mark.slow
def test_a_larger_law_counts_as_the_rates_it_stands_for():
    rates = hypotheses.queue.RATES_3[1]
    from_three = run(DOUBLE, (rates[0] / 3, rates[1] * 3), 80.0, [3.0, 0.0])
    found = table([from_three])
    row = found[(found.hypothesis == "e1_3") & (found.seeds > 0)]
    assert list(zip(row.learning_rate, row.law_learning_rate, strict=True)) == [rates]
    elsewhere = table([run(DOUBLE, rates, 80.0, "last"), run(DOUBLE, rates, 80.0, "ones")])
    assert word(elsewhere, "e1_3") == UNMEASURED


def test_with_one_unit_ones_is_e1():
    found = table([run(ALONE, hypotheses.queue.RATES_3[0], 91.0, "ones")])
    assert found[(found.hypothesis == "e1_3") & (found.optimizer == ALONE)].seeds.sum() == 1


@pytest.mark.slow
def test_runs_that_differ_otherwise_or_diverged_give_no_number():
    rates = hypotheses.queue.RATES_3[0]
    other = run(DOUBLE, rates, 84.0, epsilon_mode="absolute")
    assert word(table([other]), "e1_3") == UNMEASURED
    final = run(DOUBLE, rates, 84.0, seed=0)
    assert word(table([final]), "e1_3") == UNMEASURED
    lost = table([run(DOUBLE, rates, 84.0, status="diverged")])
    row = lost[(lost.hypothesis == "e1_3") & (lost.seeds > 0)].iloc[0]
    assert (row.seeds, row.diverged) == (1, 1)
    assert np.isnan(row.highest)


@pytest.mark.slow
def test_updated_memory_is_rejected_unless_confirmed():
    points = NAMED["updated"].points[ALONE]
    low = [run(ALONE, p, 89.0, "ones", correct_with="updated") for p in points]
    assert word(table(low[:3]), "updated") == UNDECIDED  # the fourth may reach 90.5
    assert word(table(low), "updated") == REJECTED
    over = [run(DOUBLE, points[0], 86.5, "ones", correct_with="updated")]
    assert word(table(over), "updated") == REJECTED


def test_a_large_epsilon_must_keep_the_law_too():
    bound = NAMED["epsilon_1"].confirmed[0]
    columns = ["optimizer", "seeds", "highest", "law_left"]

    def row(highest, left):
        return pd.DataFrame([[ALONE, 1, highest, left]], columns=columns)

    assert hypotheses.holds(bound, row(91.0, 0.4)) is True
    assert hypotheses.holds(bound, row(91.0, 0.3)) is False
    assert hypotheses.holds(bound, row(90.7, 0.4)) is False


def test_a_number_may_still_rise_while_runs_are_missing():
    columns = ["optimizer", "seeds", "highest", "law_left"]
    low, wanted = [DOUBLE, 1, 80.0, 0.5], [DOUBLE, 1, 84.0, 0.5]
    missing, high = [DOUBLE, 0, np.nan, np.nan], [DOUBLE, 1, 90.0, 0.5]

    def held(*rows):
        bound = hypotheses.Bound(DOUBLE, 82.5, 86.0)
        return hypotheses.holds(bound, pd.DataFrame(rows, columns=columns))

    assert held(low, wanted) is True
    assert held(missing, wanted) is None
    assert held(missing, low) is None
    assert held(low, low) is False
    assert held(missing, high) is False


def test_the_queue_trains_what_the_hypotheses_ask_for():
    wanted = {
        (h.task, optimizer, *point, json.dumps(dict(h.settings), sort_keys=True))
        for h in HYPOTHESES
        for optimizer, points in h.points.items()
        for point in points
        if h.name != "law_rate_ones"  # recorded before there was a queue
    }
    planned = {
        (run.task["name"], run.optimizer["name"], *run.hyper.values(), _settings(run))
        for entry in accelerator_queue.QUEUE[:5]
        for sweep in entry.sweeps
        for name in sweep.optimizers
        for run in accelerator_queue.planned(sweep, name, ())
    }
    assert wanted <= planned
    assert {h.task for h in SCALED} == {TASK}


def _settings(run):
    varied = {key: run.optimizer[key] for key in hypotheses.VARIED if key in run.optimizer}
    return json.dumps({k: v for k, v in varied.items() if v != 1e-6}, sort_keys=True)


@pytest.mark.slow
def test_the_experiments_are_the_queues_runs():
    from rllc.suite.plan import sweep as sweeps

    conf = Path(__file__).parents[2] / "conf"
    names = sorted(path.stem for path in (conf / "experiment").glob("reading_*.yaml"))
    found = {run.name for name in names for run in sweeps.experiment_runs(conf, name)}
    planned = {
        run.name
        for entry in accelerator_queue.QUEUE[:5]
        for sweep in entry.sweeps
        for name in sweep.optimizers
        for run in accelerator_queue.planned(sweep, name, ())
    }
    assert planned <= found
