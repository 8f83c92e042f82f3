"""scripts/tune.py on made-up data: whole grids, screened grids, second rounds, bad numbers."""

import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from rllc.suite import records
from rllc.suite.choose import selection
from rllc.suite.plan import sweep
from rllc.suite.plan.plan import Run
from scripts import tune as script

REHEARSAL = ("protocol=rehearsal", "protocol.steps=4", "protocol.eval_every=2")
RATES = "optimizer.grid.learning_rate=[0.001,0.01,0.1,1.0]"


class Records(NamedTuple):
    """As much of `records.Records` as a choice needs."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    metrics: Mapping = MappingProxyType({})


@pytest.fixture
def tune(monkeypatch, capsys, tmp_path):
    """Runs the script in this process; returns (exit value, stdout, stderr)."""

    def run(*words, settings=()):
        fixed = ["--tasks", "mnist_mlp", "--optimizers", "sgd", "--records", str(tmp_path)]
        overrides = ["--set", *REHEARSAL, RATES, *settings]
        monkeypatch.setattr(sys, "argv", ["tune.py", *fixed, *words, *overrides])
        with pytest.raises(SystemExit) as end:
            script.main()
        out, err = capsys.readouterr()
        return end.value.code, out, err + str(end.value.code)

    return run


@pytest.mark.slow
def test_a_screened_grid_trains_only_its_best_points_to_the_end(tune, tmp_path):
    words = ("--screen", "2", "--keep", "2", "--best", "1", "--more-seeds", "101", "102")
    code, out, _ = tune(*words)
    assert code == 0
    assert "4 grid runs of 2 steps, 4 to train" in out
    assert "2 grid runs, 2 to train" in out
    assert "2 runs of the best points, 2 to train" in out
    loaded = records.load(tmp_path)
    runs = selection.with_hyper(loaded.runs)
    assert (runs.steps == 2).sum() == 4
    best = loaded.curves.groupby("run").validation_accuracy.max()
    whole = runs[(runs.steps == 4) & (runs.seed == 100)]
    screened = runs[runs.steps == 2].set_index("learning_rate").run.map(best)
    kept = screened.index.isin(whole.learning_rate)
    assert (len(whole), kept.sum()) == (2, 2)
    assert screened[kept].min() >= screened[~kept].max()
    again = runs[runs.seed > 100]
    assert set(again.seed) == {101, 102}
    values = whole.set_index("learning_rate").run.map(best)
    assert values[again.learning_rate].min() == values.max()
    assert tune(*words)[1].count(" 0 to train as 0 programs") == 3


@pytest.mark.slow
def test_the_best_points_and_their_neighbours_are_told(tune, tmp_path):
    """Of four rates the best, those beside it, and that it is the highest or not."""
    code, out, _ = tune()
    assert code == 0
    loaded = records.load(tmp_path)
    runs = selection.with_hyper(loaded.runs)
    best = runs.run.map(loaded.curves.groupby("run").validation_accuracy.max())
    chosen = runs.learning_rate[best == best.max()].min()
    told = [line.split() for line in out.partition("of 4 points:")[2].splitlines()]
    rows = {float(line[1]): line[2:] for line in told if line and line[0] == "learning_rate"}
    assert rows[chosen] == [f"{100 * best.max():.2f}", "1", "chosen"]
    rates = sorted(runs.learning_rate)
    place = rates.index(chosen)
    for beside in {place - 1, place + 1} & set(range(4)):
        assert rows[rates[beside]][-1] == "neighbour"
    assert ("at the edge of its grid" in out) == (place in (0, 3))


@pytest.mark.slow
def test_dropped_points_that_could_draw_level_are_trained_to_the_end(tune, tmp_path):
    """Two rates next to each other, of which one is kept, and one that learns nothing."""
    close = ("optimizer.grid.learning_rate=[1e-6,0.1,0.101]",)
    assert tune(settings=(*close, "protocol.batch_size=2"))[0] == 0  # another experiment
    code, out, _ = tune("--screen", "2", "--keep", "1", settings=close)
    assert code == 0
    assert "1 grid runs, 1 to train" in out
    assert "1 grid runs that could still draw level, 1 to train" in out
    runs = selection.with_hyper(records.load(tmp_path).runs).learning_rate
    assert sorted(runs) == [1e-6, 1e-6, *[0.1] * 3, *[0.101] * 3]
    assert tune("--screen", "2", "--keep", "1", settings=close)[1].count(" 0 to train") == 2


@pytest.mark.slow
def test_processes_train_what_one_process_does(tune, tmp_path, tmp_path_factory):
    """Groups of two of four points, two at a time; a second call finds all of them recorded."""
    folder = tmp_path_factory.mktemp("of_processes")
    words = ["--tasks", "mnist_mlp", "--optimizers", "sgd", "--records", str(folder / "records")]
    words += ["--processes", "2", "--group-size", "2", "--set", *REHEARSAL, RATES]
    command = [sys.executable, script.__file__, *words]
    first, again = (subprocess.run(command, capture_output=True, text=True) for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "4 to train as 2 programs\n" in first.stdout
    assert "2 groups handed to submitit (local); logs in" in first.stdout
    assert "2/2" in first.stderr  # the bar
    assert "0 to train as 0 programs" in again.stdout
    assert "4 to train as 1 programs" in tune()[1]
    theirs, ours = records.load(folder / "records").curves, records.load(tmp_path).curves
    merged = theirs.merge(ours, on=["run", "step"])
    assert len(merged) == len(ours) == 4 * 3
    np.testing.assert_allclose(merged.test_loss_x, merged.test_loss_y, rtol=1e-5)


@pytest.mark.slow
def test_runs_that_diverge_are_reported_and_a_screen_of_them_is_an_error(tune):
    code, out, err = tune("--screen", "2", settings=("optimizer.grid.learning_rate=[1e30,1e31]",))
    assert code == 1
    assert "2 of 2 runs diverged: SGD, learning_rate=1e+30, seed 100, at step" in err
    assert "failed: SGD on mnist_mlp: every point of the screen diverged" in err
    assert "grid runs," not in out  # none to the end


def test_a_point_with_a_diverged_seed_is_never_among_the_best(monkeypatch):
    """Rate 0.3 has the highest accuracy, but one of its two seeds diverged."""
    runs = [
        Run({"name": "t"}, {"name": "o"}, {"learning_rate": rate}, seed, {}, {})
        for rate in (0.1, 0.3)
        for seed in (100, 101)
    ]
    table = pd.DataFrame(
        {"run": [run.name for run in runs], "task": "mnist_mlp", "status": "finished"}
    )
    table.loc[3, "status"] = "diverged"
    values = [0.97, 0.97, 0.98, 0.98]
    curves = pd.DataFrame({"run": table.run, "step": 1, "validation_accuracy": values})
    monkeypatch.setattr(sweep.records, "load", lambda folder: Records(table, curves))
    assert [run.traced for run in sweep.best_points(runs, "", 2)] == [{"learning_rate": 0.1}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--screen", "0"), "0 is not positive"),
        (("--screen", "4"), "--screen 4: must be below the 4 steps of a run"),
        (("--screen", "2", "--keep", "-1"), "-1 is not positive"),
        (("--screen", "two"), "invalid"),
        (("--optimizers", "sdg"), "unknown optimizer 'sdg'"),
        (("--seeds", "0"), "seed 0 is one for final runs; tune runs take seeds from 100 to 199"),
        (("--seeds", "200"), "seed 200 is one for question runs"),
        (("--seeds",), "expected at least one argument"),
        (("--best", "-1"), "-1 is not positive"),
        (("--keep", "2"), "--keep says nothing without --screen"),
        (("--more-seeds", "101"), "--more-seeds says nothing without --best"),
    ],
)
def test_bad_numbers_are_errors_before_training(tune, tmp_path, words, message):
    code, _, err = tune(*words)
    assert code
    assert message in err
    assert not list(tmp_path.rglob("*.parquet"))
