"""Stopping points and final runs on curves written out by hand."""

import numpy as np
import pandas as pd
import pytest

from rllc.replication.paper import STUDY
from rllc.suite.choose import selection
from rllc.suite.score import provenance, readings
from tests.suite import synthetic_records as made

TASK, NAME = "mnist_mlp", "M(0.9)"
CURVE = pd.DataFrame(
    {
        "run": "a",
        "step": [0, 250, 500, 750],
        "validation_accuracy": [0.10, 0.93, 0.96, 0.96],
        "test_loss": [2.3, 0.20, 0.35, 0.40],
        "test_accuracy": [0.10, 0.94, 0.95, 0.93],
        "test_accuracy_batch_mean": [0.10, 0.97, 0.96, 0.92],
    }
)


def final(**columns):
    row, _ = made.run(TASK, NAME, 0)
    return pd.DataFrame([row | {"run": "a", "tuned": True} | columns])


def test_three_stopping_points():
    rows = readings.readings(STUDY, final(), CURVE).set_index("reading")
    expected = {  # step, test loss, test accuracy, the paper's metric
        "last": (750, 0.40, 93, 92),
        "validated": (500, 0.35, 95, 96),
        "best": (250, 0.20, 95, 97),  # the lowest loss, and the highest of both accuracies
    }
    for reading, numbers in expected.items():
        row = rows.loc[reading]
        found = (row.step, row.test_loss, row.test_accuracy, row.batch_accuracy)
        assert found == pytest.approx(numbers), reading


def test_best_takes_loss_and_accuracy_from_different_steps():
    curve = CURVE.assign(test_accuracy_batch_mean=[0.1, 0.5, 0.6, 0.99])
    best = readings.readings(STUDY, final(), curve).set_index("reading").loc["best"]
    found = (best.test_loss, best.test_accuracy, best.batch_accuracy)
    assert found == pytest.approx((0.20, 95, 99))  # each by itself


def test_a_run_without_a_finite_number_keeps_its_rows():
    nothing = CURVE.assign(validation_accuracy=np.nan, test_loss=np.nan, test_accuracy=np.nan)
    rows = readings.readings(STUDY, final(status="diverged"), nothing)
    assert sorted(rows.reading) == ["best", "last", "validated"]
    assert rows.test_loss.isna().all()


def test_diverged_runs_are_counted_but_not_averaged():
    pairs = [made.run(TASK, NAME, s, floor=0.02 + 0.01 * s, noise=0) for s in (0, 1)]
    pairs.append(made.run(TASK, NAME, 2, status="diverged"))
    records = made.gather(pairs)
    runs = selection.default_variants(selection.tidy(records.runs))
    rows = readings.readings(STUDY, readings.final_runs(runs, made.no_choices()), records.curves)
    last = readings.summarize(STUDY, rows).set_index("reading").loc["last"]
    assert (last.seeds, last.diverged) == (3, 1)
    floors = np.array([0.02, 0.03])
    ends = 100 * (1 - (floors + (0.9 - floors) * np.exp(-12.5)) * 1.02)
    assert last.test_accuracy_mean == pytest.approx(ends.mean())
    assert last.test_accuracy_std == pytest.approx(abs(np.diff(ends)[0]) / np.sqrt(2))


def test_runs_that_end_at_chance_are_averaged_and_counted():
    """Accuracy 10 % finished, 10 % diverged, 90 %: the mean is that of the finished two."""
    rows = pd.concat(
        readings.readings(STUDY, final(run=run, seed=seed, status=status), CURVE.assign(**curve))
        for seed, (run, status, curve) in enumerate(
            [
                ("a", "finished", {"test_accuracy": 0.1}),
                ("a", "diverged", {"test_accuracy": 0.1}),
                ("a", "finished", {"test_accuracy": 0.9}),
            ]
        )
    )
    last = readings.summarize(STUDY, rows).set_index("reading").loc["last"]
    assert (last.seeds, last.diverged, last.at_chance) == (3, 1, 1)
    assert last.test_accuracy_mean == pytest.approx(50)


def select(pairs, choices):
    runs = selection.tidy(made.gather(pairs).runs)
    shown = readings.final_runs(selection.default_variants(runs), choices)
    return runs, shown


def choice(learning_rate=0.03, **evidence):
    hyper = made.hyper(learning_rate=learning_rate, law_learning_rate=0.01)
    row = {"task": TASK, "optimizer": NAME, "hyper": hyper, **evidence}
    return pd.DataFrame([row], columns=selection.CHOICE_COLUMNS)


def test_final_runs_are_those_at_the_chosen_rates_and_the_rest_is_told():
    pairs = [made.run(TASK, NAME, seed) for seed in (0, 1)]
    pairs += [made.run(TASK, NAME, 2, learning_rate=0.1), made.run(TASK, NAME, 100)]
    pairs += [made.run(TASK, NAME, 3, steps=2_000), made.run(TASK, NAME, 4, batch_size=32)]
    runs, shown = select(pairs, choice())
    assert list(shown.seed) == [0, 1]
    assert shown.tuned.all()
    left = provenance.unused(runs, shown)
    assert dict(zip(left.reason, left.runs, strict=True)) == {
        "other rates than those chosen": 1,
        "fewer steps than the runs shown": 1,
        "other settings than the default": 1,
    }


def test_a_cell_whose_chosen_point_was_not_run_is_missing():
    runs, shown = select([made.run(TASK, NAME, 0)], choice(learning_rate=0.3))
    assert shown.empty
    assert list(provenance.unused(runs, shown).runs) == [1]


@pytest.mark.parametrize("optimizer", ["SGD", "M(0.9)"])
def test_without_a_choice_the_most_used_rates_count(optimizer):
    pairs = [made.run(TASK, optimizer, 0, learning_rate=0.1)]
    pairs += [made.run(TASK, optimizer, s, learning_rate=0.3) for s in (0, 1)]
    _, shown = select(pairs, made.no_choices())
    assert list(shown.learning_rate) == [0.3, 0.3]
    assert not shown.tuned.any()


def test_provenance_names_what_falls_short():
    pairs = [made.run(TASK, NAME, seed, steps=2_000) for seed in (0, 1)]
    _, shown = select(pairs, made.no_choices())
    row = provenance.provenance(STUDY, shown, made.no_choices()).iloc[0]
    assert row.training == "2000 of 10000 steps; 2 of 3 seeds"
    assert row.tuning == "no tuning records"
    assert provenance.full_cells(provenance.provenance(STUDY, shown, made.no_choices())) == set()


def test_provenance_of_a_cell_at_full_protocol():
    evidence = choice(seeds=3, grid_seeds=3, grid_points=18, steps=10_000)
    _, shown = select([made.run(TASK, NAME, seed) for seed in (0, 1, 2)], evidence)
    row = provenance.provenance(STUDY, shown, evidence).iloc[0]
    assert (row.training, row.tuning) == ("full", "full")


SCREENED = {"grid_points": 3, "screened_points": 18, "screened_steps": 3_000, "steps": 10_000}


def made_row(numbers, **columns):
    evidence = choice(seeds=3, grid_seeds=3, **numbers)
    _, shown = select([made.run(TASK, NAME, seed) for seed in (0, 1, 2)], evidence)
    return provenance.provenance(STUDY, shown.assign(**columns), evidence).iloc[0]


def test_a_whole_grid_that_was_screened_is_said_and_is_not_short():
    for columns in ({}, {"family": "neighbour"}):  # the paper has no grid for neighbours
        row = made_row(SCREENED, **columns)
        assert row.grid == "whole grid for 3000 steps, its best points to the end"
        assert not row.short_grid
    assert made_row(SCREENED | {"grid_points": 18}).grid != "full"
    whole = {"grid_points": 18, "screened_points": 0, "screened_steps": 0, "steps": 10_000}
    row = made_row(whole)
    assert (row.grid, row.short_grid) == ("full", False)


@pytest.mark.parametrize(
    "less",
    [{"screened_points": 17}, {"screened_steps": 2_999}, {"grid_points": 2}, {"steps": 9_999}],
)
def test_a_screen_of_less_is_a_short_grid(less):
    row = made_row(SCREENED | less)
    assert row.short_grid
    points = (SCREENED | less)["screened_points"]
    assert f"of 18 grid points, kept of {points} after" in row.grid


def test_a_grid_of_one_seed_is_said_though_the_best_points_have_more():
    evidence = choice(seeds=3, grid_seeds=1, grid_points=18, steps=10_000)
    _, shown = select([made.run(TASK, NAME, seed) for seed in (0, 1, 2)], evidence)
    row = provenance.provenance(STUDY, shown, evidence).iloc[0]
    assert row.tuning == "1 of 3 seeds per point (3 at the leading points)"
