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


def test_words_of_an_optimizer_are_its_arguments_and_schedules():
    assert (
        len(Entry.of("sgd optimizer.grid.learning_rate=[1] +optimizer.x=2 schedule.final=0").words)
        == 3
    )
    for word in ("seed=7", "role=final", "optimizer=adam", "protocol.steps=3", "task=mnist_mlp"):
        with pytest.raises(PlanError, match=f"'{word}' is none of its words"):
            Entry.of(f"sgd {word}")


@pytest.mark.parametrize("word", ["seed=7", "force=true", "records=x", "optimizer=adam", "task=x"])
def test_words_that_a_study_would_not_follow(word):
    study, tasks, entries = studies.resolved(CONF, study_of("sgd"))
    with pytest.raises(PlanError, match=f"'{word}' is nothing that a study takes"):
        bench.plan(CONF, study, tasks, entries, [word])


@pytest.fixture
def inheriting(tmp_path):
    """Configs of a study: what they say, by name, of optimizers and of tasks."""

    def written(optimizers=(), tasks=()):
        for group, configs in (("optimizer", optimizers), ("task", tasks)):
            (tmp_path / group).mkdir()
            for name, text in dict(configs).items():
                (tmp_path / group / f"{name}.yaml").write_text(text)
        return Conf(CONF.main, (tmp_path,))

    return written


def test_configs_that_inherit_have_the_name_they_inherit(inheriting):
    conf = inheriting(
        {
            "slow": "defaults: [adam@_here_, _self_]\nb1: 0.99\n",
            "second": "defaults: [m_0.9_multiplicative@_here_, _self_]\npropagator: M(0.8)\n",
            "third": "defaults: [adam@_here_, _self_]\nname: Adam ${.b1}\n",
            "plain": "_target_: optax.sgd\n",
        },
        {"mine": "defaults: [mnist_mlp@_here_, _self_]\nwidth: 3\n"},
    )
    found = [conf.label(name) for name in ("slow", "second", "third", "plain")]
    assert found == ["Adam", "multiplicative M(0.9)", "Adam 0.9", "plain"]
    assert conf.task("mine") == "mnist_mlp"
    with pytest.raises(PlanError, match="'adam' and 'slow' have one label, Adam"):
        studies.resolved(conf, study_of("adam", "slow"))
    with pytest.raises(PlanError, match="two tasks of the study have one name"):
        studies.resolved(conf, study_of("adam", tasks=("mnist_mlp", "mine")))


def test_two_optimizers_whose_runs_have_one_name(inheriting):
    """The second would be told the first one's numbers."""
    other = "defaults: [adam@_here_, _self_]\nname: Mine\n_target_: optax.adabelief\n"
    conf = inheriting({"mine": other, "apart": f"{other}id: mine\n"})
    study, tasks, entries = studies.resolved(conf, study_of("adam", "mine"))
    with pytest.raises(PlanError, match=r"Adam and Mine would be the same run .* an id of its own"):
        bench.plan(conf, study, tasks, entries, [])
    study, tasks, entries = studies.resolved(conf, study_of("adam", "apart"))
    assert len(bench.plan(conf, study, tasks, entries, [])) == 2


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("0.1", r"grid.learning_rate=0.1 must be a list of at least one number"),
        ("[]", r"grid.learning_rate=\[\] must be a list"),
        ("[0.1], x: [1]", "grid.x is for 'x', which the config has not"),
    ],
)
def test_grids_that_are_none(inheriting, grid, message):
    text = "_target_: optax.sgd\nname: S\nlearning_rate: auto\ntraced: [learning_rate]\n"
    conf = inheriting({"mine": f"{text}grid: {{learning_rate: {grid}}}\n"})
    study, tasks, entries = studies.resolved(conf, study_of("mine"))
    with pytest.raises(PlanError, match=message):
        bench.plan(conf, study, tasks, entries, [])
