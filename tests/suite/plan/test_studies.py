"""From a study's names to labels: optimizers with words behind them, tasks in sub-folders."""

from pathlib import Path

import pytest

from rllc.suite.execute import bench
from rllc.suite.plan import studies
from rllc.suite.plan.configuration import Conf
from rllc.suite.plan.plan import PlanError
from rllc.suite.plan.studies import Entry
from rllc.suite.study import Study

CONF = Conf(Path(__file__).parents[3] / "conf")
OPTIMIZERS = ("momentum", "adamw schedule=cosine", "m_0.9 law_schedule=linear")


def study_of(*optimizers, tasks=("text/sympy_lm_small",), titles=None):
    known = Study("mine", tasks, optimizers, baselines=optimizers[:1])

    def named(name):
        return (titles or {}).get(name, name)

    return known._replace(title=named, pretty=named)


def test_entries_have_labels_and_words():
    study, tasks, entries = studies.resolved(CONF, study_of(*OPTIMIZERS))
    assert study.optimizers == ("Momentum SGD", "AdamW, cosine", "M(0.9), linear of the law")
    assert study.baselines == ("Momentum SGD",)
    assert entries[1] == Entry("adamw", ("schedule=cosine",))
    assert (study.tasks, tasks) == (("sympy_lm_small",), ("text/sympy_lm_small",))


def test_titles_are_given_to_what_the_study_names():
    titles = {"text/sympy_lm_small": "SymPy", OPTIMIZERS[1]: "AdamW with a cosine"}
    study, _, _ = studies.resolved(CONF, study_of(*OPTIMIZERS, titles=titles))
    assert (study.title("sympy_lm_small"), study.title("rain")) == ("SymPy", "rain")
    assert study.pretty("AdamW, cosine") == "AdamW with a cosine"
    assert study.pretty("Momentum SGD") == "Momentum SGD"


@pytest.mark.parametrize(
    ("optimizers", "message"),
    [
        (
            ("adam", "adam optimizer.b1=0.8"),
            "and 'adam optimizer.b1=0.8' have one label, Adam",
        ),
        (("adam cosine",), "'cosine' must look like KEY=VALUE, such as schedule=cosine"),
        (("adam schedule=cosin",), "did you mean 'cosine'"),
        (("adma schedule=cosine",), "unknown optimizer 'adma'; did you mean 'adam'"),
        (("adam 'schedule=cosine",), "No closing quotation"),
    ],
)
def test_entries_that_cannot_be(optimizers, message):
    with pytest.raises(PlanError, match=message):
        studies.resolved(CONF, study_of(*optimizers))


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(PlanError, match="two tasks of the study have one name"):
        studies.resolved(CONF, study_of("adam", tasks=("mnist_mlp", "mnist_mlp")))
    with pytest.raises(PlanError, match="unknown task 'text/sympy'"):
        studies.resolved(CONF, study_of("adam", tasks=("text/sympy",)))


def test_a_recorded_task_is_found_in_its_sub_folder():
    assert CONF.task_called("sympy_lm_small") == "text/sympy_lm_small"
    assert CONF.task_called("mnist_mlp") == "mnist_mlp"
    for label in ("nowhere", "../config", "text/sympy"):
        with pytest.raises(PlanError, match="unknown task"):
            CONF.task_called(label)


def test_grid_and_final_runs_of_an_entry_are_scheduled():
    study, tasks, entries = studies.resolved(CONF, study_of(OPTIMIZERS[1]))
    (work,) = bench.plan(CONF, study, tasks, entries, ["protocol.steps=50"])
    assert (work.grid.task, work.grid.optimizer) == ("sympy_lm_small", "AdamW, cosine")
    assert len(work.grid.runs) == 18
    assert len({run.group for run in work.grid.runs}) == 1
    (final, *_) = work.final({"learning_rate": 0.01, "weight_decay": 0.1}).runs
    for run in (final, work.grid.runs[0]):
        assert run.optimizer["schedules"]["learning_rate"]["steps"] == 50
    assert final.traced["learning_rate"] == 0.01
