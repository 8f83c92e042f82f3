"""scripts/show.py on records of short runs: any runs, two rates, a law, numbers, bad words."""

import sys

import numpy as np
import pandas as pd
import pytest

from rllc.suite import records
from rllc.suite.execute import execution
from rllc.suite.execute.execution import Options
from rllc.suite.plan import plan
from scripts import show as script
from tests.suite.toy import RLLC, SGD, TASK

pytestmark = pytest.mark.slow

PROTOCOL = {"steps": 20, "batch_size": 16, "eval_every": 5, "law_every": 2}
PROBES = {"probes": {"law": "rllc.get_law"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records of SGD at three rates (the last diverges) and of RLLC, three seeds each."""
    place = tmp_path_factory.mktemp("shown") / "records"
    runs = [
        plan.make_run(TASK, {**config, "learning_rate": rate}, seed, PROTOCOL)
        for config, rates in ((SGD, (0.01, 0.1, 1e30)), ({**RLLC, **PROBES}, (0.1,)))
        for rate in rates
        for seed in (0, 1, 2)
    ]
    options = Options(place, progress=False)
    assert not any(o.error for o in execution.execute(execution.prepare(runs, options), options))
    return place


@pytest.fixture
def show(monkeypatch, capsys, folder, tmp_path):
    """Runs the script in this process; returns (exit value, stdout, its output folder)."""

    def run(*words, place=folder):
        fixed = ["--records", str(place), "--output", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["show.py", *words[:1], *fixed, *words[1:]])
        code = None
        try:
            script.main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out + err, tmp_path / "out"

    return run


def test_numbers_are_the_means_of_the_records(show, folder):
    code, out, output = show("numbers")
    assert code is None
    table = pd.read_csv(output / "numbers.csv")
    assert len(table) == 4
    _, curves = records.read(folder)
    slow = curves[(curves.learning_rate == 0.01) & (curves.step == 20)].test_accuracy * 100
    row = table[table.run == "SGD, learning rate 0.01"].iloc[0]
    text = f"{slow.mean():.2f} ± {slow.std(ddof=1):.2f}"
    assert row["test accuracy (%), last"] == text
    assert text in out
    assert "3 (3 diverged)" in out


def test_two_rates_are_compared_in_the_order_of_the_words(show, folder):
    code, out, output = show("compare", "optimizer=sgd", "learning_rate=0.1,0.01")
    assert code is None
    assert (output / "compare.png").stat().st_size > 10_000
    assert "RLLC" not in out
    _, curves = records.read(folder)
    curves = curves[curves.optimizer == "SGD"]
    at_best = curves.loc[curves.groupby("run").validation_accuracy.idxmax()]
    by = at_best.set_index(["learning_rate", "seed"]).test_accuracy * 100
    difference = np.mean([by[0.01, seed] - by[0.1, seed] for seed in (0, 1, 2)])
    assert f"learning rate 0.01 minus SGD, learning rate 0.1: {difference:+.2f}, 95 %" in out


def test_a_law_is_drawn_and_its_means_are_told(show, folder):
    code, out, output = show("probe", "optimizer=M(0.9)+M(0.0)")
    assert code is None
    assert (output / "law.png").exists()
    loaded = records.load(folder)
    laws = loaded.laws(loaded.runs.run)
    last = np.mean([list(law) for law in laws[laws.step == 20].law], axis=0)
    assert ", ".join(f"{x:.4g}" for x in last) in out


def test_curves_leave_diverged_runs_out_and_say_so(show):
    code, out, output = show("curves", "--split", "validation", "--metric", "loss")
    assert code is None
    assert "learning rate 1e+30" in out
    assert (output / "curves.pdf").exists()


def test_of_many_lines_the_best_are_drawn(show, monkeypatch):
    monkeypatch.setattr(script.lines, "MOST", 1)
    monkeypatch.setattr(script.lines.best, "__defaults__", (1,))
    code, out, _ = show("curves", "optimizer=SGD")
    assert code is None
    assert "3 lines: the best 1 of each task" in out
    assert "0.1 " in out
    assert "1e+30" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["curves", "tsk=toy"], "no run has a 'tsk'; did you mean 'task'?"),
        (["curves", "optimizer=sgdd"], "optimizer=sgdd; did you mean 'sgd'?"),
        (["curves", "learning_rate=7"], "learning_rate=7; there are 0.01, 0.1, 1e+30"),
        (["curves", "task"], "must look like KEY=VALUE"),
        (["curves", "--metric", "acc"], "has no metric 'acc'; it has accuracy, loss"),
        (["compare", "optimizer=sgd", "learning_rate=0.1"], "nothing to compare"),
        (["probe", "optimizer=sgd"], "nothing was recorded over time"),
        (["probe", "--probe", "rate"], "there are law"),
        (["numbers", "--split", "validation"], "--split says nothing with numbers"),
        (["curves", "--probe", "law"], "--probe says nothing with curves"),
        (["curves", "--recods", "x"], "did you mean --records"),
        (["curve"], "invalid choice: 'curve'"),
    ],
)
def test_words_that_mean_nothing_are_refused(show, words, message):
    code, out, output = show(*words)
    assert code
    assert message in f"{out}{code}"
    assert not output.exists()


def test_a_folder_without_records_is_named(show, tmp_path):
    code, _, _ = show("curves", place=tmp_path)
    assert str(code).startswith(f"error: no records in {tmp_path}")
