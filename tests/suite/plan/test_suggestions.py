"""Misspelt words of a command line."""

from pathlib import Path

import pytest

from rllc.suite.plan import configuration
from rllc.suite.plan.configuration import Conf
from rllc.suite.plan.plan import PlanError
from rllc.suite.plan.suggestions import did_you_mean

CONF = Conf(Path(__file__).parents[3] / "conf")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["optimizer=sdg"], "unknown optimizer 'sdg'; did you mean 'sgd'?"),
        (
            ["-m", "task=mnist_mlp,mnist_cnv"],
            "unknown task 'mnist_cnv'; did you mean 'mnist_conv'?",
        ),
        (
            ["task=text/sympy_lm_smal"],
            "unknown task 'text/sympy_lm_smal'; did you mean 'text/sympy_lm_small'?",
        ),
        (["task=text/sympy_lm", "task.width=64"], ""),
        (["schedule=cosin"], "unknown schedule 'cosin'; did you mean 'cosine'?"),
        (["experiment=tabel1"], "unknown experiment 'tabel1'; did you mean 'table1'?"),
        (["optimzer=sgd"], "unknown option 'optimzer'; did you mean 'optimizer'?"),
        (["protocl.steps=3"], "unknown option 'protocl.steps'; did you mean 'protocol.steps'?"),
        (["protocol.step=3"], "unknown option 'protocol.step'; did you mean 'protocol.steps'?"),
        (
            ["optimizer.law_learnin_rate=0.1"],  # a key of the default optimizer's base
            "unknown option 'optimizer.law_learnin_rate'; "
            "did you mean 'optimizer.law_learning_rate'?",
        ),
        (["optimizer=sgd", "optimizer.eps=1"], ""),  # nothing is like it: Hydra's message
        (["optimizer=sgd", "+optimizer.nesterov=true"], ""),
        (["optimizer=glob(*)", "seed=range(3)", "hydra.sweep.dir=x", "--cfg", "job"], ""),
        (["optimizer=adam", "optimizer.learning_rate=0.1", "group_size=2", "yes=true"], ""),
        (["task=mnist_mlp", "task.name=x", "seed=0,1", "protocol=rehearsal"], ""),
    ],
)
def test_the_nearest_is_named_and_what_is_right_is_left_alone(words, told):
    assert did_you_mean(CONF, words) == told


def test_overrides_of_other_scripts_are_read_the_same():
    with pytest.raises(PlanError, match=r"did you mean 'optimizer\.learning_rate'"):
        configuration.compose(CONF, ["optimizer=sgd", "optimizer.lerning_rate=0.1"])


def test_a_bare_rllc_is_refused_and_no_part_of_all_optimizers():
    cfg = configuration.compose(CONF, ["optimizer=rllc"])
    with pytest.raises(PlanError, match=r"^optimizer\.propagator has to be given: optim.*\(such"):
        configuration.run_of(cfg, {})
    assert "rllc" in CONF.names("optimizer")
    assert "rllc" not in CONF.check_names("optimizer", [])
    assert CONF.check_names("optimizer", ["rllc"]) == ["rllc"]


@pytest.mark.parametrize("option", [("--config-dir", "{}"), ("--config-dir={}",), ("-cd", "{}")])
def test_a_config_in_a_folder_of_the_users_is_known(tmp_path, option):
    words = [*(word.format(tmp_path) for word in option), "optimizer=adamm"]
    assert "did you mean 'adam'" in did_you_mean(CONF, words)
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "adamm.yaml").touch()
    assert did_you_mean(CONF, words) == ""
