"""The choice among laws, on made-up runs whose best one is known, and its test."""

import numpy as np
import pytest

from rllc.replication import law_variants
from rllc.replication.law_variants import CANDIDATES, CHOSEN_ON, MOMENTUM, RATE, TESTED_ON
from rllc.replication.paper import STUDY
from rllc.suite.show import analysis
from tests.suite import synthetic_records as made

pytestmark = pytest.mark.slow
BEST = CANDIDATES[1]
FLOORS = {MOMENTUM: 0.10, "Adam": 0.12, BEST: 0.09}
OTHERS = 0.11


def tuning(names=(MOMENTUM, "Adam", *CANDIDATES), tasks=(*CHOSEN_ON, *TESTED_ON)):
    """Two learning rates of every optimizer on every task, seed 100; momentum is best at 0.03."""
    return [
        made.run(
            task, name, law_variants.SEED, rate, RATE, floor=FLOORS.get(name, OTHERS), noise=0.0
        )
        for task in tasks
        for name in names
        for rate in (0.03, 0.3)
    ]  # fmt: skip


def final(name, task, seeds, rate=0.03, law_rate=RATE, **other):
    floor = FLOORS.get(name, OTHERS)
    return [
        made.run(task, name, seed, rate, law_rate, floor=floor, noise=0.001, **other)
        for seed in seeds
    ]


def variants(pairs):
    return law_variants.analyse(analysis.analyse(STUDY, made.gather(pairs)))


def test_the_candidate_with_the_highest_mean_difference_is_chosen():
    found = variants(tuning())
    assert law_variants.chosen(found.choice) == BEST
    ours = found.choice[found.choice.optimizer == BEST]
    assert list(ours.task) == list(CHOSEN_ON)
    assert (ours.difference > 0).all()
    assert set(found.choice.learning_rate) == {0.03}  # not 0.3, whatever is better there
    assert f"**{law_variants.paper.pretty(BEST)}**" in law_variants.page(found)


def test_nothing_is_chosen_before_all_are_measured():
    pairs = [
        (row, curve) for row, curve in tuning()
        if (row["optimizer"], row["task"]) != (CANDIDATES[2], CHOSEN_ON[2])
    ]  # fmt: skip
    found = variants(pairs)
    assert law_variants.chosen(found.choice) is None
    assert found.tests.empty
    assert "Nothing is chosen yet. Missing: multiplicative" in law_variants.page(found)


def test_the_chosen_one_is_tested_against_the_better_baseline_at_the_default_alone():
    task = TESTED_ON[0]
    pairs = [
        *tuning(), *final(MOMENTUM, task, range(5)), *final("Adam", task, range(5)),
        *final(BEST, task, range(4)), *final(BEST, task, range(4, 9), law_rate=0.03),
    ]  # fmt: skip
    (row,) = variants(pairs).tests.itertuples()
    assert (row.task, row.optimizer, row.rival, row.seeds) == (task, BEST, MOMENTUM, "4, 5")
    assert row.word == "better"
    assert row.low < row.difference < row.high
    assert row.difference == pytest.approx(1.0, abs=0.6)  # the floors are a point apart


def test_worse_is_said_as_plainly():
    task = TESTED_ON[1]
    pairs = [
        *tuning(), *final(MOMENTUM, task, range(5)), *final("Adam", task, range(5)),
        *(made.run(task, BEST, seed, 0.03, RATE, floor=0.2) for seed in range(3)),
    ]  # fmt: skip
    (row,) = variants(pairs).tests.itertuples()
    assert row.word == "worse"


def test_results_tell_tuned_from_default_and_what_is_left_of_the_law():
    task = TESTED_ON[0]
    pairs = [*tuning(), *final(BEST, task, range(3)), *final("Adam, cosine", task, range(2))]
    found = variants(pairs).results
    here = found[found.task == task].set_index(["optimizer", "way"])
    assert (BEST, "default") in here.index
    assert np.isfinite(here.law_left[BEST, "default"])
    assert ("Adam, cosine", "default") not in here.index


def test_untuned_runs_have_rows_of_their_own():
    task = TESTED_ON[0]
    untuned = [
        (row | {"role": "untuned", "hyper": made.hyper(learning_rate=0.1)}, curve)
        for row, curve in final("Adam", task, range(1000, 1003), rate=0.1)
    ]
    found = variants([*tuning(), *final("Adam", task, range(3)), *untuned])
    rows = found.results[found.results.optimizer == "Adam"].set_index("way")
    assert list(rows.index) == ["tuned", "untuned"]
    assert (rows.learning_rate["untuned"], rows.seeds["untuned"]) == (0.1, 3)
    assert rows.accuracy["untuned"] < rows.accuracy["tuned"]
    assert rows.low["untuned"] < rows.accuracy["untuned"] < rows.high["untuned"]
    line = next(
        x for x in law_variants.page(found).splitlines() if x.startswith("| Adam | untuned")
    )
    assert f"{rows.accuracy['untuned']:.2f}" in line
