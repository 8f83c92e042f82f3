"""The deep autoencoder against its definition in float64, by hand-made numbers, and refusals."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import tasks
from rllc.suite.engine import task_check
from tasks import autoencoders

CONFIG = Path(__file__).parents[2] / "conf" / "task" / "image" / "mnist_autoencoder.yaml"
SMALL = {"hidden": [12, 7], "code": 3}
ACTIVATIONS = {
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
}


@pytest.fixture(scope="module")
def task():
    return tasks.autoencoder(**SMALL)


def images(task, count=4):
    """Images as the network sees them."""
    batch = jax.tree.map(lambda a: a[:count], task.synthetic().train)
    return task.prepare(batch, None)["x"]


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_error_is_that_of_the_network_written_out(activation):
    task = tasks.autoencoder(**SMALL, activation=activation)
    params, state = task.init(jax.random.key(0))
    params = jax.tree.map(lambda a: 2 * a + 0.1, params)  # biases of their own
    x = images(task)
    h = np.asarray(x, np.float64).reshape(4, -1)
    widths = [784, 12, 7, 3, 7, 12, 784]
    for i in range(6):
        layer = {k: np.asarray(v, np.float64) for k, v in params[f"Dense_{i}"].items()}
        assert layer["w"].shape == (widths[i], widths[i + 1])
        h = h @ layer["w"] + layer["b"]
        if i not in (2, 5):  # the code is linear
            h = ACTIVATIONS[activation](h)
    shown = ACTIVATIONS["logistic"](h)
    expected = ((shown - np.asarray(x, np.float64).reshape(4, -1)) ** 2).sum(axis=1)
    loss, (_, metrics) = task.loss(params, state, {"x": x}, None, True)
    np.testing.assert_allclose(metrics["squared_error"], expected, rtol=1e-4)  # float32 sums
    assert loss == pytest.approx(expected.mean(), rel=1e-4)


@pytest.mark.slow
def test_zeros_show_grey_at_a_quarter_a_pixel_off_black_and_white(task):
    params, state = task.init(jax.random.key(0))
    zeros = jax.tree.map(jnp.zeros_like, params)
    x = jnp.stack([jnp.zeros((28, 28, 1)), jnp.ones((28, 28, 1)), jnp.full((28, 28, 1), 0.5)])
    loss, (_, metrics) = task.loss(zeros, state, {"x": x}, None, True)
    np.testing.assert_allclose(metrics["squared_error"], [196, 196, 0], rtol=1e-6)
    assert loss == pytest.approx(2 * 196 / 3, rel=1e-6)


def test_pixels_are_shares_of_white():
    batch = {"x": np.array([0, 51, 255], np.uint8), "y": np.zeros(3)}
    np.testing.assert_allclose(autoencoders.prepare(batch, None)["x"], [0, 0.2, 1])


@pytest.mark.slow
def test_the_config_has_the_networks_of_2006():
    config = yaml.safe_load(CONFIG.read_text())
    assert (config.pop("id"), config.pop("_target_")) == ("autoencoder", "tasks.autoencoder")
    task = tasks.autoencoder(**config)
    params, state = jax.eval_shape(task.init, jax.random.key(0))
    widths = [784, 1000, 500, 250, 30, 250, 500, 1000, 784]
    shapes = [params[f"Dense_{i}"]["w"].shape for i in range(8)]
    assert shapes == list(itertools.pairwise(widths))
    # 2 · (784·1000 + 1000·500 + 500·250 + 250·30) weights, and a bias for each unit
    assert sum(a.size for a in jax.tree.leaves(params)) == 2_833_000 + 4_314
    assert (task.name, state) == (CONFIG.stem, {})
    assert not list(CONFIG.parents[1].glob("*auto*"))  # `task='glob(*)'` is the paper's seven


def test_the_engine_takes_it(task):
    (metric,) = task.metrics
    assert (metric.direction, metric.unit) == ("min", "per image")
    task_check.check_task(task, "small")
    task_check.check_program(task, task.synthetic(), 32, "small")


@pytest.mark.slow
def test_every_data_set_has_a_guess_below_that_of_grey():
    """Grey is at most a quarter a pixel off; the mean image is the best constant."""
    for name, spec in tasks.datasets.SPECS.items():
        found = tasks.autoencoder(dataset=name, **SMALL).metrics[0].guess
        assert 0 < found < 0.25 * np.prod(spec.image_shape)


def test_images_of_another_shape_are_refused(task):
    params, state = jax.eval_shape(task.init, jax.random.key(0))
    batch = {"x": jnp.zeros((2, 32, 32, 3))}
    with pytest.raises(ValueError, match=r"^an example has shape \(32, 32, 3\); .*\(28, 28, 1\)"):
        jax.eval_shape(lambda p: task.loss(p, state, batch, None, True), params)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": [12, 0]}, r"hidden=\[12, 0\] must be a list of positive integers"),
        ({"code": 0}, "code=0 must be a positive integer"),
        ({"code": 1.5}, "code=1.5 must be a positive integer"),
        ({"activation": "sigmoid"}, "activation='sigmoid' must be one of tanh, logistic, relu"),
        ({"initialisation": "sparse"}, "initialisation='sparse' must be one of truncated_normal"),
        ({"compute_dtype": "int8"}, "compute_dtype='int8' must be one of float32, bfloat16"),
        ({"dataset": "faces"}, "unknown data set 'faces'; known: mnist"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises((ValueError, tasks.DataError), match=message) as caught:
        tasks.autoencoder(**SMALL | settings)
    assert "\n" not in str(caught.value)
