"""The likely reading and the null, on made-up final runs whose agreement is known."""

import numpy as np
import pytest

from rllc.replication import paper, reported
from rllc.replication.paper import STUDY
from rllc.suite.score import readings
from tests.suite import synthetic_records as made

TASK = "mnist_mlp"


def final(pairs):
    records = made.gather(pairs)
    runs = reported_runs(records.runs)
    return runs, records.curves


def reported_runs(runs):
    from rllc.suite.choose import selection

    return selection.tidy(runs).assign(tuned=True)


def test_fewer_evaluations_see_fewer_peaks():
    runs, curves = final([made.run(TASK, "SGD", 0)])
    peak = curves.step == 5_250
    curves.loc[peak, "test_accuracy"] = 0.999
    curves.loc[curves.step == 5_000, "test_accuracy"] = 0.998
    every = readings.readings(STUDY, runs, curves).set_index("reading").test_accuracy
    (fewer,) = readings.best_every(STUDY, runs, curves, 1_000).itertuples()
    assert every["best"] == pytest.approx(99.9)
    assert (fewer.reading, fewer.test_accuracy) == ("best_1000", pytest.approx(99.8))


def test_cells_agree_within_the_papers_own_tolerance():
    pairs = [made.run(TASK, name, seed) for name in ("SGD", "M(0.9)") for seed in (0, 1)]
    runs, curves = final(pairs)
    cells = paper.cells().set_index(["task", "optimizer"])
    off = {"SGD": 0.0, "M(0.9)": -1.0}
    for row in runs.itertuples():
        mean = cells.test_accuracy_mean[TASK, row.optimizer] + off[row.optimizer]
        curves.loc[curves.run == row.run, "test_accuracy"] = mean / 100
    found = reported.table(runs, curves)
    assert set(found.reading) == {"last", "validated", "best", "best_1000"}
    likely = found[found.reading == "best_1000"].set_index("optimizer")
    assert list(likely.agrees) == [True, False]
    np.testing.assert_allclose(likely.accuracy_difference, [0.0, -1.0], atol=1e-6)
    momentum = cells.test_accuracy_mean[TASK, "Momentum SGD"]
    assert likely.null_accuracy["M(0.9)"] == momentum
    assert np.isnan(likely.null_accuracy["SGD"])
    distance = abs(momentum - cells.test_accuracy_mean[TASK, "M(0.9)"])
    assert likely.null_agrees["M(0.9)"] == (distance <= likely.tolerance["M(0.9)"])
    stds = cells.test_accuracy_std[TASK]
    wanted = max(0.3, 2 * np.sqrt(2 / 3) * np.sqrt(np.mean(np.square(stds))))
    assert likely.tolerance["SGD"] == pytest.approx(wanted)
    text = reported.page(found)
    assert "| `best_1000` | 1 of 1 | 0 of 1 | 1 of 2 |" in text


def test_a_diverged_run_keeps_a_cell_from_agreeing():
    runs, curves = final([made.run(TASK, "SGD", 0), made.run(TASK, "SGD", 1, status="diverged")])
    curves["test_accuracy"] = (
        paper.cells().set_index(["task", "optimizer"]).test_accuracy_mean[TASK, "SGD"] / 100
    )
    found = reported.table(runs, curves)
    assert not found.agrees.any()
    assert set(found.diverged) == {1}


@pytest.mark.parametrize(("factor", "agrees"), [(1.04, True), (0.96, True), (1.06, False)])
def test_losses_agree_within_five_per_cent(factor, agrees):
    runs, curves = final([made.run(TASK, "M(0.9)", seed) for seed in (0, 1)])
    cells = paper.cells().set_index(["task", "optimizer"]).test_loss_mean
    curves["test_loss"] = factor * cells[TASK, "M(0.9)"]
    found = reported.table(runs, curves)
    assert (found.loss_agrees == agrees).all()
    null = abs(cells[TASK, "Momentum SGD"] / cells[TASK, "M(0.9)"] - 1) <= 0.05
    assert (found.null_loss_agrees == null).all()
    assert f"its loss in {int(null)}." in reported.page(found)
