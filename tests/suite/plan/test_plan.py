"""Identity, checking and grouping of runs."""

from pathlib import Path

import numpy as np
import pytest

from rllc.suite.engine.optimizer_check import check_optimizer
from rllc.suite.errors import first_words
from rllc.suite.execute import execution
from rllc.suite.plan import commandline, configuration, plan
from tests.suite.toy import RLLC, SGD, TASK

CONF = Path(__file__).parents[3] / "conf"


def run(optimizer=RLLC, seed=0, **changes):
    return plan.make_run(TASK, {**optimizer, **changes}, seed)


def test_identity_ignores_labels_word_order_and_spelling():
    shuffled = dict(reversed(RLLC.items()))
    assert run().name == run(shuffled).name
    assert run().name == run(name="another label", grid={"learning_rate": [1]}).name
    assert run().name == run(propagator="M(.9) ⊕ M(0)", initial_law=[1, 1]).name
    assert run().name == run(learning_rate="0.1").name


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.2},
        {"law_learning_rate": 0.02},
        {"initial_law": "first"},
        {"propagator": "M(0.8)+M(0.0)"},
        {"epsilon": 1e-3},
        {"seed": 1},
    ],
)
def test_identity_sees_everything_that_determines_a_run(change):
    seed = change.pop("seed", 0)
    assert run(seed=seed, **change).name != run().name


def test_protocol_and_task_settings_are_part_of_the_identity():
    shorter = plan.make_run(TASK, RLLC, 0, {"steps": 20})
    wider = plan.make_run({**TASK, "width": 9}, RLLC, 0)
    assert len({run().name, shorter.name, wider.name}) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": -0.1}, r"learning_rate=-0.1 must be finite and not negative"),
        ({"learning_rate": "nan"}, "must be finite"),
        ({"law_learning_rate": float("inf")}, "law_learning_rate=inf"),
        ({"learning_rate": "fast"}, "'fast' is not a number"),
        ({"initial_law": [1.0, 2.0, 3.0]}, "initial_law"),
        ({"propagator": "M(0.9)+Q(2)"}, "propagator: .*position"),
        ({"learning_rate": "auto"}, "no tuned learning_rate for toy"),
        ({"learning_rate": None}, "lacks learning_rate"),
    ],
)
def test_bad_requests_name_the_value(change, message):
    with pytest.raises(plan.PlanError, match=message):
        run(**change)


@pytest.mark.parametrize("seed", [1.5, "zero", -1, True, None])
def test_a_seed_is_a_natural_number(seed):
    with pytest.raises(plan.PlanError, match="seed="):
        run(seed=seed)


@pytest.mark.parametrize(
    "protocol",
    [{"steps": 0}, {"steps": 1.5}, {"data": "fake"}, {"epochs": 3}, {"batch_size": True}],
)
def test_bad_protocols(protocol):
    with pytest.raises(plan.PlanError, match="protocol"):
        plan.make_run(TASK, RLLC, 0, protocol)


def test_auto_takes_the_tuned_value_then_the_untuned_default():
    config = {**SGD, "learning_rate": "auto", "untuned": {"learning_rate": 0.3}}
    assert plan.make_run(TASK, config, 0).traced == {"learning_rate": 0.3}
    tuned = {("toy", "SGD"): {"learning_rate": 0.03}}
    assert plan.make_run(TASK, config, 0, tuned=tuned).traced == {"learning_rate": 0.03}


def test_three_optimizers_by_six_rates_by_three_seeds_are_three_programs():
    optimizers = [SGD, {**SGD, "_target_": "optax.adam", "name": "Adam"}, RLLC]
    rates = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    runs = [run(o, s, learning_rate=lr) for o in optimizers for lr in rates for s in (0, 1, 2)]
    assert [len(group) for group in plan.group_runs(runs)] == [18, 18, 18]


def test_groups_are_rectangles_without_duplicates():
    runs = [run(SGD, s, learning_rate=lr) for s in (0, 1) for lr in (0.1, 0.2)]
    runs += [run(SGD, 2, learning_rate=0.1), runs[0]]
    groups = plan.group_runs(runs)
    assert sorted(len(group) for group in groups) == [1, 4]
    assert {r.name for group in groups for r in group} == {r.name for r in runs}


@pytest.mark.parametrize(
    ("most", "sizes"), [(6, [6, 6, 6]), (8, [6, 6, 6]), (18, [18]), (2, [2, 1] * 6)]
)
def test_large_groups_are_cut_into_rectangles(most, sizes):
    runs = [run(SGD, s, learning_rate=r / 10) for s in (0, 1, 2) for r in range(1, 7)]
    groups = plan.group_runs(runs, most)
    assert [len(group) for group in groups] == sizes
    for group in groups:
        seeds = {r.seed for r in group}
        points = {r.traced["learning_rate"] for r in group}
        assert len(group) == len(seeds) * len(points)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "damaged", "x" * 101, "a\nb"])
def test_a_task_whose_name_is_no_folder_is_refused(name):
    with pytest.raises(plan.PlanError, match="cannot be the name of a folder"):
        plan.make_run({**TASK, "name": name}, SGD, 0)


@pytest.mark.parametrize("value", [1e39, "1e300", float("nan"), "inf"])
def test_numbers_that_are_not_finite_in_float32_are_refused(value):
    with pytest.raises(plan.PlanError, match="must be finite"):
        run(learning_rate=value)
    with pytest.raises(plan.PlanError, match="must be finite"):
        run(initial_law=[value, 1.0])


@pytest.mark.parametrize("name", ["+".join(f"M(0.{i})" for i in range(10, 50)), "⊕" * 90])
def test_a_long_label_leaves_room_in_the_name_of_a_file(name):
    wanted = [run(SGD, name=name), run(SGD, name=name, seed=1)]
    assert len(plan.shard_name(wanted).encode()) <= 117
    assert plan.shard_name(wanted[:1]) != plan.shard_name(wanted)


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": "ab"}, {"arguments": [1, 2]}, {"grid": 3}, {"probes": "x"}, {"untuned": [1]},
        {"traced": 3}, {"traced": "learning_rate"}, {"traced": [1]},
    ],
)  # fmt: skip
def test_keys_of_the_suite_that_hold_another_kind_are_refused(change):
    with pytest.raises(plan.PlanError, match=rf"optimizer SGD: {next(iter(change))}=.* must be a"):
        run(SGD, **change)
    with pytest.raises(plan.PlanError, match="no config of an optimizer"):
        plan.make_run(TASK, "SGD", 0)


def test_another_librarys_message_becomes_one_line():
    config = {**RLLC, "law_groups": []}
    resolved = plan.make_run(TASK, config, 0)
    with pytest.raises(plan.PlanError, match="pytree structure error") as found:
        check_optimizer(resolved.optimizer, resolved.traced, np.ones(3))
    assert "\n" not in str(found.value)
    assert len(first_words(ValueError("x " * 10_000))) < 520


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("+learning_rate=0.5", "learning_rate is no setting; .* optimizer.learning_rate"),
        ("+optimiser=adam", r"optimiser is no setting; did you mean optimizer\?"),
        ("+protocols.steps=3", r"protocols is no setting; did you mean protocol\?"),
        ("+schedules.shape=cosine", "schedules is no setting"),
    ],
)
def test_words_that_nobody_would_read(word, message):
    with pytest.raises(plan.PlanError, match=message):
        configuration.run_of(configuration.compose(CONF, [word]))


@pytest.mark.parametrize("word", ["task=null", "optimizer=0.1", "~optimizer=3", "task={a: 1}"])
def test_a_group_that_is_no_name_is_refused(word):
    with pytest.raises(plan.PlanError, match="takes the name of a config"):
        commandline.check_groups(["-m", word], ["task", "optimizer"])


@pytest.mark.parametrize("word", ["task=a,b", "task=glob(*)", "optimizer=[a]", "seed=3", "task="])
def test_other_words_are_left_to_hydra(word):
    commandline.check_groups([word], ["task", "optimizer"])


@pytest.mark.parametrize("words", [["task=null"], ["seed=0,1"], ["(=)"], ["~nowhere"]])
def test_what_hydra_refuses_is_one_line(words):
    with pytest.raises(plan.PlanError) as found:
        configuration.run_of(configuration.compose(CONF, words))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("key", ["seed", "role", "protocol"])
def test_a_key_that_was_deleted_is_named(key):
    with pytest.raises(plan.PlanError, match=f"no {key}"):
        configuration.run_of(configuration.compose(CONF, [f"~{key}"]))


@pytest.mark.parametrize("word", ["records=3", "records=null", "records=''", "data_folder=[a]"])
def test_a_folder_is_a_path(word):
    with pytest.raises(plan.PlanError, match=r"must be the path of a folder"):
        execution.options_of(configuration.compose(CONF, [word]))


@pytest.mark.parametrize("key", ["group_size", "force", "records", "data_folder", "devices"])
def test_an_option_that_stands_for_nothing_is_one_line(key):
    with pytest.raises(plan.PlanError, match="'nowhere' not found") as found:
        execution.options_of(configuration.compose(CONF, [f"{key}=${{nowhere}}"]))
    assert "\n" not in str(found.value)


def test_a_switch_is_no_rate():
    with pytest.raises(plan.PlanError, match=r"optimizer.learning_rate=True is not a number"):
        configuration.run_of(configuration.compose(CONF, ["optimizer.learning_rate=true"]))
