"""bfloat16 beside float32, in pairs."""

import json

import pytest

from rllc.replication import half_precision
from rllc.replication.half_precision import FULL, HALF, NO, YES
from tests.suite import synthetic_records as made

TASK, NAME = "mnist_mlp", "Adam"
SEEDS = range(5)


def computed_in(numbers, pair):
    row, curve = pair
    settings = made.json_settings(row)
    settings["task"] |= {"compute_dtype": numbers}
    name = f"{row['run']}-{numbers}"
    return row | {"settings": json.dumps(settings, sort_keys=True), "run": name}, curve.assign(
        run=name
    )


def found(full, half, tuned=True, **more):
    """The table where either number format ends at these errors, by seed."""
    ends = {FULL: (full, {}), HALF: (half, more)}
    pairs = [
        computed_in(numbers, made.run(TASK, NAME, seed, floor=errors[seed], noise=0.0, **others))
        for numbers, (errors, others) in ends.items()
        for seed in errors
    ]
    if tuned:
        pairs.append(computed_in(FULL, made.run(TASK, NAME, 100, floor=0.02, noise=0.0)))
    return half_precision.table(made.analysed(made.gather(pairs)))


def test_differences_are_in_pairs_and_within_the_margin():
    full = {seed: 0.02 + 0.002 * seed for seed in SEEDS}  # seeds differ by more than the margin
    shift = (0.0011, 0.0009, 0.001, 0.001, 0.001)
    (row,) = found(full, {s: full[s] - shift[s] for s in SEEDS}).itertuples()
    assert (row.task, row.optimizer, row.seeds, row.diverged) == (TASK, NAME, 5, 0)
    assert getattr(row, HALF) - getattr(row, FULL) == pytest.approx(row.difference)
    assert row.difference == pytest.approx(0.1, rel=0.05)
    assert 0 < row.low < row.difference < row.high < 0.3
    assert row.word == YES


def test_a_difference_beyond_the_margin_is_not_called_as_accurate():
    full = dict.fromkeys(SEEDS, 0.02)
    half = {seed: 0.026 + 1e-4 * seed for seed in SEEDS}
    (row,) = found(full, half).itertuples()
    assert row.word == NO
    assert row.high < -0.3


def test_only_seeds_that_both_have_count():
    (row,) = found(dict.fromkeys(SEEDS, 0.02), {1: 0.02, 3: 0.021, 7: 0.9}).itertuples()
    assert row.seeds == 2


def test_a_diverged_run_counts_as_a_guess():
    full = dict.fromkeys(SEEDS, 0.02)
    (row,) = found(full, full, status="diverged").itertuples()
    assert getattr(row, HALF) == 10
    assert row.diverged == 5
    assert row.word == NO


def test_other_rates_do_not_count():
    full = dict.fromkeys(SEEDS, 0.02)
    assert found(full, full, learning_rate=0.5).empty
    assert "Not yet measured." in half_precision.page(found(full, {}))


def test_without_tuning_there_is_nothing_to_compare():
    full = dict.fromkeys(SEEDS, 0.02)
    assert len(found(full, full)) == 1
    assert found(full, full, tuned=False).empty
