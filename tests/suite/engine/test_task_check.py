"""Tasks of a user's own: generated problems, arrays of a file, and mistakes that end in a line."""

import json
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rllc.suite import metrics, records
from rllc.suite.choose import selection
from rllc.suite.engine import batching, optimizers, task_check
from rllc.suite.engine.optimizer_check import check_optimizer
from rllc.suite.execute import execution
from rllc.suite.plan import plan
from tests.suite import toy
from tests.suite.toy import RLLC, SGD

PROTOCOL = {"steps": 20, "eval_every": 10, "batch_size": 16, "law_every": 5}
QUADRATIC = {"_target_": "tests.suite.toy.quadratic", "name": "quadratic"}


def train(runs, folder):
    options = execution.Options(folder, progress=False)
    for group in execution.prepare(runs, options):
        outcome = execution.execute_group(group, options)
        if outcome.error is not None:
            raise outcome.error
    return records.load(folder)


def runs_of(task, optimizer=SGD, seeds=(0,), rates=(0.1,), **protocol):
    return [
        plan.make_run(task, {**optimizer, "learning_rate": r}, s, {**PROTOCOL, **protocol})
        for r in rates
        for s in seeds
    ]


@pytest.mark.slow
def test_a_noisy_quadratic_is_thousands_of_runs_without_data(tmp_path):
    """2,000 runs in one program, against gradient descent written out in NumPy."""
    rates = np.linspace(0.01, 1.0, 200)
    runs = runs_of(QUADRATIC, seeds=range(10), rates=rates)
    options = execution.Options(tmp_path / "records", group_size=2000, progress=False)
    (group,) = execution.prepare(runs, options)
    assert execution.execute_group(group, options).error is None
    found = records.load(tmp_path / "records")
    assert list(found.curves)[2:] == ["train_loss", "validation_distance", "test_distance"]
    last = found.curves[found.curves.step == 20].set_index("run")
    assert len(last) == 2000
    np.testing.assert_array_equal(last.validation_distance, last.test_distance)  # no noise in it
    for row in selection.with_hyper(found.runs).iloc[[0, 999, 1999]].itertuples():
        x, losses = descent(row.seed, row.learning_rate)
        assert last.test_distance[row.run] == pytest.approx(float(np.sum(x**2)), rel=1e-4)
        assert last.train_loss[row.run] == pytest.approx(np.mean(losses[10:]), rel=1e-4)


def descent(seed, rate):
    """(end, losses) of 20 steps of `toy.quadratic`; noise by the documented keys."""
    h, x, losses = np.linspace(0.1, 1.0, 10), np.ones(10), []
    for step in range(20):
        key = jax.random.fold_in(batching.stream_key(seed, batching.ORDER), step)
        z = 0.1 * np.asarray(jax.random.normal(key, (10,)), float)
        losses.append(0.5 * np.sum(h * x**2) + x @ z)
        x = x - rate * (h * x + z)
    return x, losses


@pytest.mark.slow
def test_generated_tasks_resume_and_take_turns_alike(tmp_path):
    """Chunks of another length, and runs one after another, see the same noise."""
    whole = train(runs_of(QUADRATIC, RLLC, seeds=(0, 1)), tmp_path / "a")
    cut = train(runs_of(QUADRATIC, RLLC, seeds=(0, 1), eval_every=5), tmp_path / "b")
    merged = [f.curves[f.curves.step == 20].test_distance.to_numpy() for f in (whole, cut)]
    np.testing.assert_allclose(*merged, rtol=1e-5)
    assert len(np.unique(merged[0])) == 2


@pytest.mark.slow
def test_evaluation_of_generated_batches_is_the_same_every_time(tmp_path, monkeypatch):
    """Metrics that depend on the batch alone: eight fixed batches, others for each split."""
    task = toy.quadratic()

    def loss(params, state, batch, key, train):
        value, (state, _) = task.loss(params, state, batch, key, train)
        return value, (state, {"distance": jnp.sum(batch**2)})

    monkeypatch.setattr(toy, "quadratic", lambda name: task._replace(loss=loss))
    curves = train(runs_of({**QUADRATIC, "_target_": "tests.suite.toy:quadratic"}), tmp_path).curves
    assert curves.test_distance.nunique() == curves.validation_distance.nunique() == 1
    assert curves.test_distance[0] != curves.validation_distance[0]
    assert 0.05 < curves.test_distance[0] < 0.2  # mean of 80 squares of variance 0.01, times 10


@pytest.mark.slow
def test_records_say_how_a_task_is_judged(tmp_path):
    train(runs_of(QUADRATIC), tmp_path)
    task = {"_target_": "tests.suite.toy.make", "name": "toy"}
    found = train(runs_of(task), tmp_path)
    assert found.metrics["quadratic"] == (metrics.Metric("distance", "min"),)
    assert found.metrics["toy"] == (
        metrics.Metric("accuracy", "max", "%", 0.25, 100.0),
        metrics.Metric("loss", "min", "nats"),
    )
    by_task = found.curves.merge(found.runs[["run", "task"]]).set_index("task")
    assert by_task.test_accuracy["quadratic"].isna().all()
    assert by_task.test_accuracy["toy"].notna().all()
    assert by_task.test_distance["toy"].isna().all()
    assert {"test_accuracy_batch_mean", "test_loss_batch_mean"} <= set(found.curves)
    assert "validation_loss_batch_mean" not in found.curves


@pytest.mark.slow
def test_records_without_metrics_are_of_classification(tmp_path):
    task = {"_target_": "tests.suite.toy.make", "name": "toy"}
    train(runs_of(task), tmp_path)
    (path,) = tmp_path.glob("*/*.json")
    header = json.loads(path.read_text())
    for new in ("metrics", "sha256", "curves_sha256"):  # as records of format 1 were
        del header[new]
    path.write_text(json.dumps(header | {"format": 1}))
    assert records.load(tmp_path).metrics == {"toy": metrics.CLASSIFICATION}


@pytest.mark.slow
def test_probes_are_recorded_by_name_and_leave_the_run_its_name(tmp_path):
    counted = {
        "_target_": "optax.adam", "name": "Adam", "traced": ["learning_rate"],
        "probes": {"count": "tests.suite.engine.test_task_check.count"},
    }  # fmt: skip
    (run,) = runs_of(QUADRATIC, counted)
    assert run.name == runs_of(QUADRATIC, {**counted, "probes": {}})[0].name
    found = train([run], tmp_path)
    noted = found.probe("count", [run.name])
    assert noted.step.tolist() == [0, 5, 10, 15, 20]
    assert [list(values) for values in noted["count"]] == [[0], [5], [10], [15], [20]]
    assert found.laws([run.name]).empty


def count(state):
    """Steps in the state of `optax.adam`."""
    return state[0].count


def test_a_probe_that_finds_nothing_is_named():
    (run,) = runs_of(QUADRATIC, {**SGD, "probes": {"law": "rllc.get_law"}})
    with pytest.raises(plan.PlanError, match=r"SGD: probe law=rllc\.get_law cannot read"):
        check_optimizer(run.optimizer, run.traced, jnp.ones(10))


@pytest.mark.slow
def test_a_task_is_one_file_of_the_users(tmp_path, monkeypatch):
    """Anywhere on the disk, with the whole contract and `tasks.Task`'s defaults."""
    (tmp_path / "sines.py").write_text(
        textwrap.dedent("""
        import jax, jax.numpy as jnp, numpy as np, tasks

        def make(name, frequency=3.0):
            x = np.linspace(0, 1, 90, dtype=np.float32)
            y = np.sin(frequency * x)
            split = lambda first: {"x": x[first::3], "y": y[first::3]}
            def init(key):
                return {"w": 0.1 * jax.random.normal(key, (3,))}, {}
            def loss(params, state, batch, key, train):
                p = jnp.stack([batch["x"] ** i for i in range(3)], -1) @ params["w"]
                error = (p - batch["y"]) ** 2
                return error.mean(), (state, {"mse": error})
            data = tasks.Dataset(split(0), split(1), split(2))
            metrics = (tasks.Metric("mse", "min", guess=float(y.var())),)
            return tasks.Task(name, init, loss, lambda folder: data, metrics)
    """)
    )
    monkeypatch.chdir(tmp_path)
    task = {"_target_": "sines.py:make", "name": "sines", "frequency": 2.0}
    curves = train(runs_of(task, rates=(0.3,)), tmp_path / "records").curves
    assert curves.test_mse.iloc[-1] < 0.5 * curves.test_mse.iloc[0]
    for target, message in {
        "nowhere.py:make": "nowhere.py does not exist",
        "sines.py:mak": "'mak'",
    }.items():
        with pytest.raises(plan.PlanError, match=message):
            optimizers.resolve(target)


def test_a_weighted_metric_is_the_ratio_of_its_sums():
    """Examples of 1 … 3 words, as in text; 150 of them, so that some are padding."""
    from rllc.suite.engine import evaluation

    words = np.arange(150) % 3 + 1
    held = evaluation.held_out(toy.ToyData(None, None, {"x": words}), "test")
    batch, known = held.batches["x"][0], held.known[0]
    sums, counts = evaluation.block_sums((2.0 * batch, batch), known)
    assert counts.tolist() == [words[:128].sum(), words[128:].sum(), 0, 0]
    assert evaluation.mean(np.asarray(sums)[None, None], np.asarray(counts)[None, None]) == 2.0


# What each changes of `toy.make()`, the message. Nothing of JAX may come through.
def with_loss(change):
    task = toy.make()

    def loss(*args):
        return change(*task.loss(*args))

    return task._replace(loss=loss)


def doubled_to_nine(value):
    return jax.lax.while_loop(lambda v: v < 9, lambda v: 2 * v, value)


def bad_tasks():
    task = toy.make()
    return {
        "not a scalar": (
            with_loss(lambda loss, aux: (aux[1]["loss"], aux)),
            r"loss on .*x'\] \[16, 4, 4, 1\].* must return a scalar float, .*float32\[16\]",
        ),
        "no metrics": (with_loss(lambda loss, aux: loss), r"must return \(scalar, \(state, metr"),
        "other metrics": (
            with_loss(lambda loss, aux: (loss, (aux[0], {"acuracy": aux[1]["accuracy"]}))),
            r"returns the metrics \['acuracy'\], the task declares \['accuracy', 'loss'\]",
        ),
        "metric of a batch": (
            with_loss(lambda loss, aux: (loss, (aux[0], {**aux[1], "loss": loss}))),
            r"metric loss must have a value per example, \(16,\)",
        ),
        "other state": (
            with_loss(lambda loss, aux: (loss, ({}, aux[1]))),
            r"must return a state like that of init: \{\} is not \{steps: int32\[\]\}",
        ),
        "shapes": (
            task._replace(
                prepare=lambda batch, key: {**batch, "x": batch["x"] / 255.0 @ np.ones(3)}
            ),
            "prepare on .* fails: (TypeError|ValueError): ",
        ),
        "a branch on a value": (
            with_loss(lambda loss, aux: (loss if loss > 0 else -loss, aux)),
            "fails: TracerBoolConversionError: ",
        ),
        "no derivative": (
            with_loss(
                lambda l, aux: (jax.lax.while_loop(lambda v: v < 9, lambda v: v + 1, l), aux)
            ),
            "its gradient fails: ValueError: Reverse-mode differentiation does not work",
        ),
        "integer parameters": (
            task._replace(init=lambda key: ({"w": jnp.zeros(3, int)}, {})),
            r"params\['w'\] is int32, parameters must be floats",
        ),
        "no parameters": (
            task._replace(init=lambda key: ({}, {})),
            r"init returns no parameters, params=\{\}: nothing to train",
        ),
        "init alone": (
            task._replace(init=lambda key: {"w": 1.0}),
            r"init must return \(params, st",
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("mistake", bad_tasks())
def test_a_mistake_in_a_task_is_one_line_before_training(mistake):
    task, message = bad_tasks()[mistake]
    with pytest.raises(plan.PlanError, match=f"^task toy: .*{message}") as caught:
        task_check.check_program(task, toy.data(), 16, "toy")
    assert "\n" not in str(caught.value)


def test_a_generated_split_that_fails_is_named():
    task = toy.quadratic()
    data = toy.ToyData(task.data(None), lambda key: key, task.data(None))
    with pytest.raises(plan.PlanError, match=r"^task q: validation of its data fails: TypeError"):
        task_check.check_program(task, data, 16, "q")


def test_a_batch_larger_than_the_training_set():
    message = "task toy: protocol.batch_size=401 is more than its 400 training examples"
    with pytest.raises(plan.PlanError, match=message):
        task_check.check_program(toy.make(), toy.data(), 401, "toy")


def changed(split, key, change):
    data = toy.data()
    return data._replace(
        **{split: {**getattr(data, split), key: change(getattr(data, split)[key])}}
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed("train", "y", lambda y: y[:-1]), r"train\['x'\] 400, train\['y'\] 399"),
        (
            changed("test", "x", lambda x: x * np.nan),
            r"test\['x'\] has 3200 values",
        ),
        (
            changed("train", "y", lambda y: y.astype(object)),
            r"train\['y'\] .* dtype object",
        ),
        (changed("train", "y", lambda y: y.astype(str)), r"train\['y'\] must be .* dtype <U"),
        (changed("test", "y", lambda y: None), "test holds|examples of test are"),
        (
            changed("test", "x", lambda x: x[:, 1:]),
            r"of test are .*\[3, 4, 1\].* of train",
        ),
        (toy.data()._replace(validation={"x": np.zeros((0, 4)), "y": np.zeros(0)}), "no examples"),
        (toy.data()._replace(train={}), "train holds no arrays"),
        (toy.data()._replace(train={"x": [1.0, 2.0]}), r"train\['x'\]\[0\] must be an array"),
        ({"train": 1}, "dict has no train"),
    ],
)
def test_a_mistake_in_data_names_the_array(data, message):
    with pytest.raises(plan.PlanError, match=f"^data of task toy: .*{message}"):
        task_check.check_data(data, "toy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ()}, r"metrics=\(\) must be a tuple of tasks.Metric"),
        ({"metrics": ("accuracy",)}, "metric 'accuracy' must be a tasks.Metric"),
        ({"metrics": toy.METRICS[:1] * 2}, "two metrics have the same name"),
        ({"metrics": (toy.ToyMetric("loss", "down"),)}, "direction='down' must be max or min"),
        ({"metrics": (toy.ToyMetric("a loss", "min"),)}, "metric name 'a loss' must be a word"),
        ({"loss": 3}, "loss=3 must be a function"),
    ],
)
def test_a_mistake_in_the_description_of_a_task(change, message):
    with pytest.raises(plan.PlanError, match=f"^task toy: .*{message}"):
        task_check.check_task(toy.make()._replace(**change), "toy")


def test_what_is_no_task_at_all():
    with pytest.raises(plan.PlanError, match="task x: dict has no field name"):
        task_check.check_task({}, "x")


def test_a_task_without_synthetic_data_says_so(tmp_path):
    with pytest.raises(plan.PlanError, match=r"quadratic has no synthetic data: .*data=real"):
        train(runs_of(QUADRATIC, data="synthetic"), tmp_path)
