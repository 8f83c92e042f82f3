"""Scores for practice: costs and gains by hand, and times that are shown only if they may be."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rllc.replication.analysis import benchmark_steps
from rllc.suite import records
from rllc.suite.metrics import CLASSIFICATION, Metric
from rllc.suite.score import practice, step_times
from rllc.suite.score.ranking import field
from rllc.suite.show.analysis import practice_of
from tests.suite import synthetic_records as made

ROOT = Path(__file__).resolve().parents[3]
ACCURACY = CLASSIFICATION[0]
NAMES = ("SGD", "Momentum SGD", "Adam", "M(0.9)")
SPEEDS = {"SGD": 10.0, "Momentum SGD": 10.0, "Adam": 12.0, "M(0.9)": 15.0}  # ms per step


def test_best_of_k_is_the_mean_over_all_choices_of_k_points():
    values = np.array([90.0, -np.inf, 50.0, 98.0, 70.0])
    counted = np.where(np.isfinite(values), values, 10.0)  # a diverged point is a guess
    found = practice.best_of(values, ACCURACY)
    for k in range(1, 6):
        by_hand = np.mean([max(chosen) for chosen in combinations(counted, k)])
        assert found[k - 1] == pytest.approx(by_hand, rel=1e-12)


def test_best_of_k_of_a_loss_is_its_lowest():
    loss = Metric("loss", "min")
    found = practice.best_of(np.array([3.0, 1.0, np.inf]), loss)  # no guess is known: as the worst
    assert found == pytest.approx([7 / 3, 5 / 3, 1.0])
    assert np.isnan(practice.best_of(np.array([np.inf, np.inf]), loss)).all()


def test_failed_points_diverged_or_only_guessed():
    assert practice.is_failed(np.array([-np.inf, 11.9, 12.1, 99.0]), ACCURACY).tolist() == [
        True, True, False, False,
    ]  # fmt: skip
    bits = Metric("bits_per_byte", "min", "bits", guess=8.0)
    values = np.array([np.inf, 7.9, 7.8, 2.0])
    assert practice.is_failed(values, bits).tolist() == [True, True, False, False]


def timed(speeds=SPEEDS, finals=None, steps=10_000, device="cpu (made up)"):
    """Records whose groups say how long they took, by optimizer; finals at half the time."""
    found = made.records(("mnist_mlp",), NAMES, range(3), (100,), noise=1e-4)
    final = found.runs.role == "final"
    each = found.runs.optimizer.map(speeds)
    each = each.where(~final, 0.5 * found.runs.optimizer.map(finals or speeds))
    together = found.runs.groupby(["optimizer", "role"]).run.transform("size")
    runs = found.runs.assign(
        trained_together=together, seconds=each * steps * together / 1e3,
        device=np.where(final, device, "cpu (made up)"),
        shard=found.runs.shard + found.runs.role,
    )  # fmt: skip
    return found._replace(runs=runs)


def times_of(found, measured=None):
    return made.analysed(found, measured=measured).step_times


def test_recorded_times_that_bear_each_other_out_are_shown():
    times = times_of(timed())
    assert not times.benchmark
    assert times.ratio == pytest.approx(1.0)
    by = times.table.set_index("optimizer").milliseconds_per_step.to_dict()
    assert by == pytest.approx(SPEEDS)
    table = practice_of(made.analysed(timed())).set_index("optimizer")
    assert table.relative_time.to_dict() == pytest.approx(
        {name: ms / 10 for name, ms in SPEEDS.items()}
    )


@pytest.mark.parametrize(
    ("changed", "ratio"),
    [
        ({"finals": SPEEDS | {"SGD": 20.0}}, 2.0),  # something ran beside its final runs
        ({"device": "another"}, np.nan),  # final runs were elsewhere: nothing to compare
        ({"steps": 10}, 1.0),  # too short, and mostly compilation
    ],
)
def test_recorded_times_that_may_mislead_are_not_shown(changed, ratio):
    times = times_of(timed(**changed))
    assert times.table.empty
    assert times.ratio == pytest.approx(ratio, nan_ok=True)


def test_records_without_times_have_none():
    times = times_of(made.records(("mnist_mlp",), NAMES, range(3), (100,)))
    assert times.table.empty
    assert np.isnan(times.ratio)
    assert not times.disagree


def test_a_benchmark_goes_before_records():
    measured = pd.DataFrame([("mnist_mlp", "SGD", 2.0, "x"), ("mnist_mlp", "Adam", 3.0, "x")])
    measured = measured.set_axis(step_times.COLUMNS, axis=1)
    a = made.analysed(timed(finals=SPEEDS | {"SGD": 50.0}), measured=measured)
    assert a.step_times.benchmark
    table = practice_of(a)
    shown = table.set_index("optimizer").relative_time
    assert (shown["SGD"], shown["Adam"]) == (1.0, 1.5)
    assert shown[["Momentum SGD", "M(0.9)"]].isna().all()
    text = practice.page(a.study, table, a.step_times)
    assert "by a benchmark on x" in text
    assert f"up to {a.step_times.ratio:.2g}-fold" in text
    assert a.step_times.ratio == pytest.approx(50 / 10)


def test_a_row_says_what_a_cell_costs_and_gains():
    found = made.records(("mnist_mlp",), NAMES, range(3), (100, 101))
    lost = made.run("mnist_mlp", "M(0.9)", 3, status="diverged")
    whole = made.gather([lost])
    a = made.analysed(
        found._replace(
            runs=pd.concat([found.runs, whole.runs], ignore_index=True),
            curves=pd.concat([found.curves, whole.curves], ignore_index=True),
        )
    )
    table = practice_of(a)
    assert list(table) == practice.practice_table(a.study).names
    assert table["mean"].is_monotonic_decreasing
    by = table.set_index("optimizer")
    assert (by.grid_points["Adam"], by.grid_points["M(0.9)"]) == (3, 9)
    assert by.tuning_steps["M(0.9)"] == 9 * 2 * 10_000
    assert (by.failed_share == 0).all()
    assert by.diverged["M(0.9)"] == 1
    assert by.low["M(0.9)"] < by["mean"]["M(0.9)"] < by.high["M(0.9)"]
    assert np.isnan(by.best_of_6["Adam"])  # it has three points
    best = by.best_of_3["Adam"]
    assert by.best_of_1["Adam"] < best
    points = a.choices.set_index("optimizer").value
    assert best == pytest.approx(100 * points["Adam"])
    scores = field(a.study, a.rows, a.summary)
    assert np.isnan(by.improvement[scores.best[0]])
    values = {name: scores.value[o, 0] for o, name in enumerate(scores.optimizers)}
    wins = values["M(0.9)"][:, None] - values[scores.best[0]][None]
    wins = wins[np.isfinite(wins)]
    assert by.improvement["M(0.9)"] == pytest.approx(np.mean((wins > 0) + 0.5 * (wins == 0)))


def test_a_page_of_nothing_says_so():
    a = made.analysed(made.nothing())
    text = practice.page(a.study, practice_of(a), a.step_times)
    assert "Not yet measured." in text
    assert "Time per step is not shown" in text


def test_records_keep_the_time_of_their_group():
    folder = ROOT / "results" / "records"
    header = sorted((folder / "cifar10_resnet20").glob("*.json"))[:1]
    runs = records.load(folder, header).runs
    assert (runs.seconds > 0).all()
    sizes = runs.groupby(["shard", "group", "seconds"]).size()
    wanted = runs.groupby(["shard", "group", "seconds"]).trained_together.max()
    assert (sizes <= wanted).all()


def test_fashion_mnist_takes_mnists_times_of_one_device(tmp_path):
    assert benchmark_steps(tmp_path) is None
    rows = [("mnist_mlp", "SGD", 1.0, "a"), ("cifar10_mlp", "SGD", 2.0, "a")]
    rows.append(("mnist_mlp", "SGD", 9.0, "b"))
    pd.DataFrame(rows, columns=step_times.COLUMNS).to_csv(tmp_path / "training_step.csv")
    found = benchmark_steps(tmp_path)
    assert found.set_index("task").milliseconds_per_step.to_dict() == {
        "mnist_mlp": 1.0, "cifar10_mlp": 2.0, "fashion_mnist_mlp": 1.0,
    }  # fmt: skip
