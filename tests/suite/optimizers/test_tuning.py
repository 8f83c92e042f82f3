"""A neighbour's second tuned number survives the way from the grid to the final run."""

import itertools

import jax
import numpy as np
import optax
import pytest

from rllc.replication.paper import STUDY
from rllc.suite import records
from rllc.suite.choose import selection
from rllc.suite.engine import batching, training
from rllc.suite.metrics import CLASSIFICATION
from rllc.suite.plan import plan
from rllc.suite.show import sweep_figures
from tests.suite import toy

pytestmark = pytest.mark.slow

TASK = {"_target_": "tests.suite.toy.make", "name": "toy"}
PROTOCOL = {"steps": 30, "eval_every": 10, "batch_size": 16, "data": "synthetic"}
NAG = {
    "name": "NAG",
    "family": "neighbour",
    "_target_": "optax.sgd",
    "nesterov": True,
    "learning_rate": "auto",
    "momentum": "auto",
    "traced": ["learning_rate", "momentum"],
}
POINTS = list(itertools.product((0.001, 0.1), (0.5, 0.9)))
LOSS = CLASSIFICATION[1]  # accuracies of so small a set tie


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neighbour") / "records"
    runs = [
        plan.make_run(
            TASK, {**NAG, "learning_rate": lr, "momentum": beta}, 100, PROTOCOL, role="tune"
        )
        for lr, beta in POINTS
    ]
    (group,) = plan.group_runs(runs)
    training.train_group(group, toy.make(), toy.data(), folder, folder.parent / "partial", False)
    return records.load(folder)


def test_records_name_the_numbers(loaded):
    found = selection.with_hyper(loaded.runs)
    assert selection.hyper_names(found) == ["learning_rate", "momentum"]
    assert sorted(zip(found.learning_rate, found.momentum, strict=True)) == POINTS


def test_points_of_the_grid_stay_apart_and_the_choice_fills_in_auto(loaded, tmp_path):
    points = selection.tuning_points(selection.tidy(loaded.runs), loaded.curves, LOSS)
    assert len(points) == 4
    assert points.value.nunique() == 4
    choices = selection.choose(points, LOSS)
    assert (choices.grid_points == 4).all()
    assert "momentum" in choices.edges[0]
    path = tmp_path / "choices.csv"
    selection.write_choices(choices, path)
    tuned = selection.chosen_rates(selection.read_choices(path))
    best = points.loc[points.value.idxmin()]
    chosen = {"learning_rate": best.learning_rate, "momentum": best.momentum}
    assert tuned["toy", "NAG"] == chosen
    assert plan.make_run(TASK, NAG, 0, PROTOCOL, tuned).traced == chosen


def test_sensitivity_is_drawn_over_the_number(loaded):
    points = selection.tuning_points(selection.tidy(loaded.runs), loaded.curves, LOSS)
    figure = sweep_figures.sensitivity_figure(STUDY, points, selection.choose(points, LOSS), "toy")
    assert "momentum" in {axes.get_ylabel() for axes in figure.axes}


def test_any_number_of_hyperparameters_trains_is_chosen_and_fills_in_auto(tmp_path):
    """Four traced numbers of Adam, one of them called like no other optimizer's."""
    names = ["learning_rate", "b1", "b2", "eps"]
    config = {
        "name": "Adam",
        "_target_": "optax.adam",
        "traced": names,
        **dict.fromkeys(names, "auto"),
    }
    points = [(0.01, 0.9, 0.999, 1e-8), (0.01, 0.5, 0.999, 1e-8), (0.03, 0.9, 0.9, 1e-6)]
    runs = [
        plan.make_run(
            TASK, config | dict(zip(names, point, strict=True)), 100, PROTOCOL, role="tune"
        )
        for point in points
    ]
    for group in plan.group_runs(runs):
        training.train_group(group, toy.make(), toy.data(), tmp_path, tmp_path / "partial", False)
    loaded = records.load(tmp_path)
    found = selection.tuning_points(selection.tidy(loaded.runs), loaded.curves, LOSS)
    assert sorted(found[names].itertuples(index=False, name=None)) == sorted(points)
    choice = selection.choose(found, LOSS)
    best = found.loc[found.value.idxmin(), names].to_dict()
    tuned = selection.chosen_rates(choice)
    assert plan.make_run(TASK, config, 0, PROTOCOL, tuned).traced == best


def test_a_number_that_no_record_could_hold_is_refused_before_training():
    for name in ("seed", "hyper", "family"):
        config = {"name": "odd", "_target_": "optax.sgd", "traced": [name], name: 1.0}
        with pytest.raises(plan.PlanError, match=f"no traced number may be called '{name}'"):
            plan.make_run(TASK, config, 0, PROTOCOL)
    config = {"name": "odd", "_target_": "optax.adam", "learning_rate": 1.0, "grid": {"b1": [0.9]}}
    with pytest.raises(plan.PlanError, match="its grid tunes 'b1', which `traced` does not"):
        plan.make_run(TASK, config, 0, PROTOCOL)


def test_schedule_free_runs_are_evaluated_at_their_average(tmp_path):
    """Training goes on at y, evaluation looks at x: here far apart, against a plain loop."""
    path = "optax.contrib.schedule_free_eval_params"
    optimizer = {
        "name": "Schedule-free SGD",
        "family": "neighbour",
        "_target_": "optax.contrib.schedule_free_sgd",
        "evaluation_parameters": path,
        "learning_rate": 1.0,
        "b1": 0.5,
        "traced": ["learning_rate", "b1"],
    }
    (group,) = plan.group_runs([plan.make_run(TASK, optimizer, 3, PROTOCOL)])
    task, data = toy.make(), toy.data()
    training.train_group(group, task, data, tmp_path, tmp_path / "partial", False)
    recorded = records.load(tmp_path).curves.set_index("step").test_loss[30]

    params, _ = task.init(batching.stream_key(3, batching.INIT))
    tx = optax.contrib.schedule_free_sgd(1.0, b1=0.5)
    state = tx.init(params)

    @jax.jit
    def loss(params, batch):
        return task.loss(params, {"steps": 0}, task.prepare(batch, None), None, True)[0]

    for index in batching.batch_indices(3, 0, 30, batching.example_count(data), 16):
        batch = {key: array[index] for key, array in data.train.items()}
        gradients = jax.grad(loss)(params, batch)
        updates, state = tx.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    average = optax.contrib.schedule_free_eval_params(state, params)
    np.testing.assert_allclose(recorded, loss(average, data.test), rtol=1e-4)
    assert abs(recorded - loss(params, data.test)) > 0.01 * recorded
