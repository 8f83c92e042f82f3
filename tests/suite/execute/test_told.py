"""Numbers that a training ends with."""

from pathlib import Path

import pytest

from rllc.suite import records
from rllc.suite.execute import execution, told
from rllc.suite.execute.execution import Options, Outcome
from rllc.suite.plan import plan
from tests.suite.toy import SGD, TASK

pytestmark = pytest.mark.slow

PROTOCOL = {"steps": 20, "batch_size": 16, "eval_every": 5}


def trained(folder, *rates, seeds=(0,), **protocol):
    runs = [
        plan.make_run(TASK, {**SGD, "learning_rate": rate}, seed, PROTOCOL | protocol)
        for rate in rates
        for seed in seeds
    ]
    options = Options(folder, progress=False)
    return execution.execute(execution.prepare(runs, options), options)


def test_a_run_ends_with_every_metric_at_both_stops(tmp_path):
    trained(tmp_path, 0.7)  # another record in the folder
    text = told.numbers(trained(tmp_path, 0.1), tmp_path)
    loaded = records.load(tmp_path)
    (name,) = loaded.runs.run[loaded.runs.hyper == '{"learning_rate":0.1}']
    curve = loaded.curves[loaded.curves.run == name].set_index("step")
    at = curve.validation_accuracy.idxmax()
    assert f"validated (step {at})" in text
    rows = {line[:24].strip(): line[24:].split() for line in text.splitlines()[1:]}
    assert rows["test accuracy (%)"] == [f"{100 * curve.test_accuracy[s]:.2f}" for s in (20, at)]
    assert rows["validation loss"] == [f"{curve.validation_loss[s]:.4f}" for s in (20, at)]
    assert "made-up" not in text


def test_a_sweep_ends_with_a_row_for_each_line(tmp_path):
    text = told.numbers(trained(tmp_path, 0.01, 0.1, seeds=(0, 1)), tmp_path)
    assert "SGD, learning rate 0.01  2 " in text
    assert len(text.splitlines()) == 3


def test_rehearsals_are_said_to_mean_nothing(tmp_path):
    text = told.numbers(trained(tmp_path, 0.1, data="synthetic"), tmp_path)
    assert text.endswith("made-up data: these numbers mean nothing")


def test_a_diverged_run_and_a_failed_group_have_no_numbers(tmp_path):
    text = told.numbers(trained(tmp_path, 1e30), tmp_path)
    assert "nan" not in text
    assert "test loss                –" in text
    lost = trained(tmp_path / "r", 1e30, 1e31, seeds=(0, 1))
    several = told.numbers(lost, tmp_path / "r")
    assert several.count("2 (2 diverged)") == 2
    assert told.numbers([Outcome([], error=ValueError())], tmp_path) == ""


def test_of_many_lines_the_rest_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(told, "MOST", 1)
    text = told.numbers(trained(tmp_path, 0.01, 0.1), tmp_path)
    assert text.endswith("… and 1 more: python scripts/show.py numbers")


def test_jobs_elsewhere_name_their_records_in_full(tmp_path, monkeypatch):
    outcomes = trained(tmp_path, 0.1)
    monkeypatch.chdir(tmp_path)
    named = [outcome._replace(record=outcome.record.absolute()) for outcome in outcomes]
    assert told.numbers(named, Path(".")) == told.numbers(outcomes, tmp_path) != ""
