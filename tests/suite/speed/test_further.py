"""Steps of optimizers beside the study's, from their configs."""

from pathlib import Path

import pandas as pd
import pytest

from rllc.replication.paper import STUDY
from rllc.suite.errors import PlanError
from rllc.suite.plan.configuration import Conf
from rllc.suite.speed import further, report, session, setups, steps, store

DEVICE = "cpu (here)"
CONF = Conf(Path(__file__).parents[3] / "conf")


def test_optimizers_are_named_as_in_a_study():
    groups = further.of(CONF, ["lion", "adam schedule=cosine"])("mnist_mlp")
    assert list(groups) == ["Lion", "Adam, cosine"]
    for (run,) in groups.values():
        assert run.task["name"] == "mnist_mlp"
        assert run.protocol["steps"] == 10_000
    assert groups["Lion"][0].traced["learning_rate"] == 1e-4  # its default point


def test_all_are_those_that_need_no_further_word():
    groups = further.of(CONF, ["all", "adamw schedule=cosine"])("cifar10_mlp")
    assert set(groups) == set(CONF.labels()) - {"???"} | {"AdamW, cosine"}


@pytest.mark.parametrize(
    ("entry", "says"),
    [("lionn", "did you mean 'lion'"), ("adam sched=1", "none of its words")],
)
def test_what_is_no_optimizer_is_named(entry, says):
    with pytest.raises(PlanError, match=says):
        further.of(CONF, [entry])


def test_a_value_that_cannot_be_trained_is_named():
    with pytest.raises(PlanError, match="fast"):
        further.of(CONF, ["lion optimizer.learning_rate=fast"])("mnist_mlp")


def test_the_study_is_timed_first_and_each_optimizer_once(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(
        steps, "measure", lambda task, groups, *_: (timed.append((task, groups)), ([], []))[1]
    )
    asked = further.of(CONF, ["m_0.9", "lion"])
    (job,) = session.jobs(STUDY, ["step"], ["mnist_mlp"], {}, tmp_path, further=asked)
    job.measure()
    ((task, groups),) = timed
    assert (task, list(groups)) == ("mnist_mlp", [*STUDY.optimizers, "Lion"])
    assert groups["M(0.9)"] == setups.runs(task, "M(0.9)", 1)  # as without further ones


def test_figure_3_has_the_study_alone(tmp_path):
    row = {"task": "cifar10_mlp", "network": "mlp", "milliseconds_per_step": 2.0}
    rows = [{**row, "optimizer": name, "gflop_per_step": 0.1} for name in ("Adam", "Lion")]
    store.write(tmp_path, "training_step", rows, DEVICE)
    assert list(report.step_times(STUDY, tmp_path, DEVICE).optimizer) == ["Adam"]
    assert len(pd.read_csv(tmp_path / "training_step.csv")) == 2
