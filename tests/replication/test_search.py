"""The search for a propagator: planned sweeps, rounds, and what the tables say of it."""

import re
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rllc.replication import aggregation, analysis, paper, questions, search
from rllc.suite import records
from rllc.suite.plan import configuration, sweep
from rllc.suite.records.roles import CANDIDATE, of_seed
from scripts import search as script
from tests.suite import synthetic_records as made

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
TASK = "fashion_mnist_mlp"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_have_as_many_runs_as_they_say(name):
    path = CONF / "experiment" / f"{name}.yaml"
    stated = re.search(r"([\d]+) (?:reduced )?runs", path.read_text())
    params = OmegaConf.load(path).hydra.sweeper.params
    jobs = list(configuration.jobs([f"{key}={value}" for key, value in params.items()]))
    assert len(set(jobs)) == len(jobs)
    assert stated is None or len(jobs) == int(stated[1])


@pytest.mark.parametrize("question", questions.QUESTIONS[1:], ids=lambda q: q.name)
def test_a_questions_sweep_varies_its_settings(question):
    params = OmegaConf.load(CONF / "experiment" / f"question_{question.name}.yaml")
    keys = {str(key).lstrip("+") for key in params.hydra.sweeper.params}
    paths = {path.replace("traced.", "optimizer.") for path in question.settings}
    assert keys & paths


def test_an_experiment_becomes_runs_and_words_replace_its_own():
    words = ["optimizer.learning_rate=0.1", "protocol.steps=500"]
    runs = sweep.experiment_runs(CONF, "question_pooling", words)
    assert [run.task["pooling"] for run in runs] == ["average", "max"]
    assert {run.traced["learning_rate"] for run in runs} == {0.1}
    assert {run.seed for run in runs} == {200}
    assert {run.protocol["steps"] for run in runs} == {500}
    with pytest.raises(sweep.PlanError, match="unknown experiment"):
        sweep.experiment_runs(CONF, "nothing")


def candidate(name, seed, floor, rate=made.BEST_RATE):
    row, curve = made.run(TASK, name, seed, rate, floor=floor, noise=0.0005)
    return row | {"family": CANDIDATE, "role": of_seed(seed, CANDIDATE)}, curve


def searched(floors, second=(), tested=(), seeds=range(10)):
    """The paper's cells of one task, and candidates with these floors of the error."""
    whole = made.records((TASK,), seeds=seeds)
    pairs = [
        candidate(name, 100, floor, rate) for name, floor in floors.items() for rate in (0.01, 0.03)
    ]
    pairs += [candidate(name, seed, floors[name]) for name in second for seed in (101, 102)]
    pairs += [candidate(name, seed, floors[name]) for name in tested for seed in seeds]
    more = made.gather(pairs)
    runs = aggregation.pd.concat([whole.runs, more.runs], ignore_index=True)
    curves = aggregation.pd.concat([whole.curves, more.curves], ignore_index=True)
    return analysis.analyse(made.SyntheticRecords(runs, curves))


@pytest.mark.slow
def test_candidates_stay_out_of_every_other_table():
    a = searched({"M(0.5)": 0.05}, ["M(0.5)"], ["M(0.5)"])
    m = a.measured
    for table in (
        m.runs, m.points, m.choices, m.final, m.cells, m.made, m.against, a.deviations
    ):  # fmt: skip
        assert "M(0.5)" not in set(table.optimizer)
    assert set(a.measured.candidates.optimizer) == {"M(0.5)"}


@pytest.mark.slow
def test_the_winner_is_chosen_on_validation_and_tested_against_the_best():
    a = searched(
        {"M(0.5)": 0.100, "M(0.6)": 0.095, "M(0.7)": 0.2}, ["M(0.5)", "M(0.6)"], ["M(0.6)"]
    )
    (found,) = search.found(a.measured)
    assert found.winner == "M(0.6)"
    assert found.rivals == ["M3(0.6)", "Adam"]  # 89.25 and 88.78 in the paper
    table = found.standing.set_index("optimizer")
    assert table.seeds["M(0.7)"] == 1
    assert table.winner_minus_this["M3(0.6)"] == pytest.approx(90.5 - 89.25, abs=0.2)
    assert table.test_accuracy_mean.notna()["M(0.6)"]
    assert table.test_accuracy_mean.isna()["M(0.5)"]  # nothing but the winner is tested
    assert "better than both" in search.sentence(found)
    assert set(table.index) >= set(paper.OPTIMIZERS)


@pytest.mark.slow
def test_a_winner_that_gains_nothing_is_said_to():
    (found,) = search.found(searched({"M(0.5)": 0.1075}, ["M(0.5)"], ["M(0.5)"]).measured)
    assert "not better than both" in search.sentence(found)


@pytest.mark.slow
def test_an_unfinished_search_has_no_winner():
    (found,) = search.found(searched({"M(0.5)": 0.05, "M(0.6)": 0.2}).measured)
    assert found.winner == ""
    assert "no winner yet" in search.sentence(found)
    (later,) = search.found(searched({"M(0.5)": 0.05, "M(0.6)": 0.2}, ["M(0.5)"]).measured)
    assert "not tested yet" in search.sentence(later)
    assert "first round" in search.page([later])
    assert "Not yet measured" in search.page([])


def test_a_search_on_a_task_without_the_papers_optimizers():
    pairs = [candidate("M(0.5)", seed, 0.05) for seed in (100, 101)]
    (found,) = search.found(made.analysed(made.gather(pairs)))
    assert list(found.standing.optimizer) == ["M(0.5)"]
    assert found.rivals == []


@pytest.mark.slow
def test_the_script_trains_three_rounds(monkeypatch, tmp_path):
    """Made-up training: the second round goes to the three best, the third to the best of them."""
    trained = []
    errors = {"M(0.98)": 0.10, "M2(0.5)": 0.101, "M3(0.4)": 0.102}

    def train(runs, options, what):
        assert (options.data_folder, options.yes) == ("/data", True)
        trained.append(list(runs))
        return False

    def load(folder):
        pairs = []
        for run in {run.name: run for part in trained for run in part}.values():
            name = run.optimizer["name"]
            rates = run.traced["learning_rate"], run.traced["law_learning_rate"]
            row, curve = made.run(
                TASK, name, run.seed, *rates, floor=errors.get(name, 0.2), noise=0
            )
            pairs.append(
                (row | {"run": run.name, "family": "candidate"}, curve.assign(run=run.name))
            )
        return made.gather(pairs)

    monkeypatch.setattr(script, "train", train)
    monkeypatch.setattr(records, "load", load)
    few = "optimizer.propagator='M(0.5)','M(0.98)','M2(0.5)','M3(0.4)','M(0.2)'"
    words = ["--records", str(tmp_path), "--data-folder", "/data", "-y"]
    monkeypatch.setattr(sys, "argv", ["search.py", *words, "--set", few])
    with pytest.raises(SystemExit) as end:
        script.main()
    assert end.value.code == 0
    first, second, third = trained
    assert (len(first), len(second), len(third)) == (5 * 8, 3 * 3 * 2, 10)
    assert {run.optimizer["name"] for run in second} == set(errors)
    assert {run.seed for run in second} == {101, 102}
    assert {run.optimizer["name"] for run in third} == {"M(0.98)"}
    assert {run.traced["learning_rate"] for run in third} == {made.BEST_RATE}
    assert [run.seed for run in third] == list(range(10))
