"""The vision transformer against its definition in float64, and what must hold of any."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import tasks
from rllc.suite.engine import task_check
from tasks import modules, vision
from tasks.images import METRICS
from tasks.vision import VisionTransformer
from tests.tasks.transformer_in_numpy import block_in_numpy, normed

CONF = Path(__file__).parents[2] / "conf" / "task" / "image"
RNG = np.random.default_rng(0)
NETWORK = VisionTransformer(patch=4, width=24, layers=2, heads=3)
IMAGES = RNG.normal(size=(2, 12, 8, 3))  # six patches, in three rows of two
SMALL = {"width": 24, "layers": 1, "heads": 3}


@pytest.fixture(scope="module")
def params():
    started = NETWORK.init(jax.random.key(0), jnp.asarray(IMAGES, jnp.float32), True)["params"]
    # Larger weights and positions than at the start, scales and biases of their own.
    return jax.tree.map(lambda a: 2 * a + 0.1 if a.ndim == 1 else 2 * a, started)


def logits(params, images=IMAGES):
    return np.asarray(NETWORK.apply({"params": params}, jnp.asarray(images, jnp.float32), True))


def patches_in_numpy(image, size):
    """Patches (p, size²·c) of one image, row by row."""
    return [
        image[i : i + size, j : j + size].ravel()
        for i in range(0, image.shape[0], size)
        for j in range(0, image.shape[1], size)
    ]


def network_in_numpy(image, params):
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    x = np.stack(patches_in_numpy(image, 4)) @ p["embedding"]["w"] + p["positions"]
    for i in range(2):
        x = block_in_numpy(x, p[f"block_{i}"], 3, ordered=False)
    pooled = normed(x, p["norm_out"]["scale"]).mean(axis=0)
    return pooled @ p["head"]["w"] + p["bias"]


@pytest.mark.slow
def test_the_network_is_its_transcription_in_float64(params):
    expected = [network_in_numpy(image, params) for image in IMAGES]
    # float32: sums of up to 96 terms of size 1 to 10, through two blocks
    np.testing.assert_allclose(logits(params), expected, rtol=2e-5, atol=5e-5)


@pytest.mark.slow
def test_without_positions_the_order_of_patches_is_nothing(params):
    rows = IMAGES.reshape(2, 3, 4, 2, 4, 3)[:, [2, 0, 1]][:, :, :, [1, 0]]
    shuffled = rows.reshape(IMAGES.shape)
    np.testing.assert_array_equal(
        np.sort(patches_in_numpy(shuffled[0], 4), axis=0),
        np.sort(patches_in_numpy(IMAGES[0], 4), axis=0),
    )
    assert np.abs(logits(params, shuffled) - logits(params)).max() > 0.01
    blind = {**params, "positions": jnp.zeros_like(params["positions"])}
    np.testing.assert_allclose(logits(blind, shuffled), logits(blind), atol=1e-5)


@pytest.mark.slow
def test_positions_and_rows_inside_a_patch_matter(params):
    upside_down = IMAGES.reshape(2, 3, 4, 8, 3)[:, :, ::-1].reshape(IMAGES.shape)
    assert np.abs(logits(params, upside_down) - logits(params)).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    # 48 d of the patches, 64 d of the positions, 12 d² + 2 d a block, d of the last norm, 10 d + 10
    [("cifar10_vit", 1_196_938), ("cifar10_vit_small", 205_002)],
)
def test_configs_make_tasks_of_the_promised_size(name, count):
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert (config.pop("id"), config.pop("_target_")) == (
        "vision_transformer",
        "tasks.vision_transformer",
    )
    task = tasks.vision_transformer(**config)
    assert (task.name, task.metrics) == (name, METRICS)
    params, state = jax.eval_shape(task.init, jax.random.key(0))
    assert sum(math.prod(a.shape) for a in jax.tree.leaves(params)) == count
    assert {a.dtype for a in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert state == {}


@pytest.fixture(scope="module")
def task():
    return tasks.vision_transformer(**SMALL)


def test_the_engine_takes_it(task):
    task_check.check_task(task, "small")
    task_check.check_program(task, task.synthetic(), 32, "small")


@pytest.mark.slow
def test_a_network_of_zeros_guesses(task):
    params, state = task.init(jax.random.key(0))
    batch = {"x": jnp.ones((6, 32, 32, 3)), "y": jnp.arange(6)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    loss, (_, metrics) = task.loss(zeros, state, batch, None, True)
    assert loss == pytest.approx(math.log(10), rel=1e-6) == task.metrics[1].guess
    assert metrics["accuracy"].tolist() == [True] + 5 * [False]
    untrained, _ = task.loss(params, state, batch, None, True)
    assert untrained == pytest.approx(math.log(10), abs=0.2)


@pytest.mark.slow
def test_runs_batched_by_vmap_are_runs_alone(task):
    """As the engine trains several: every product has the runs as its batch."""
    params = [task.init(jax.random.key(i))[0] for i in range(2)]
    batch = {"x": jax.random.normal(jax.random.key(3), (4, 32, 32, 3)), "y": jnp.arange(4)}

    def gradient(params):
        return jax.grad(lambda p: task.loss(p, {}, batch, None, True)[0])(params)

    together = jax.vmap(gradient)(jax.tree.map(lambda *a: jnp.stack(a), *params))
    for i, alone in enumerate(map(gradient, params)):
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[i], b, atol=1e-5 * float(jnp.abs(b).max()) + 1e-9)


@pytest.mark.slow
def test_evaluating_in_parts_changes_nothing(task):
    params, state = task.init(jax.random.key(0))
    batch = jax.tree.map(lambda a: a[: 3 * modules.PART], task.synthetic().train)
    batch = task.prepare(batch, None)
    (_, (_, parts)), (_, (_, whole)) = (
        task.loss(params, state, batch, None, train) for train in (False, True)
    )
    for name in ("accuracy", "loss"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5)
    traced = jax.make_jaxpr(lambda p: task.loss(p, state, batch, None, False))(params)
    assert "scan[" in str(traced)


@pytest.mark.slow
def test_training_images_are_augmented_and_others_are_not(task):
    batch = jax.tree.map(lambda a: a[:4], task.synthetic().train)
    plain = task.prepare(batch, None)["x"]
    assert jnp.abs(task.prepare(batch, jax.random.key(0))["x"] - plain).max() > 0.1
    still = {"zoom": [1, 1], "flip": False, "rotation": 0}
    same = tasks.vision_transformer(**SMALL, **still).prepare(batch, jax.random.key(0))["x"]
    np.testing.assert_array_equal(same, plain)


@pytest.mark.slow
def test_computing_in_bfloat16_agrees(params):
    half = NETWORK.clone(compute_dtype="bfloat16")
    found = half.apply({"params": params}, jnp.asarray(IMAGES, jnp.float32), True)
    error = np.asarray(found, np.float32) - logits(params)
    # eight bits a number, through two blocks of doubled weights
    assert 0 < np.sqrt((error**2).mean()) < 0.05 * np.sqrt((logits(params) ** 2).mean())


def test_images_of_another_shape_are_refused(task):
    params, state = jax.eval_shape(task.init, jax.random.key(0))
    batch = {"x": jnp.zeros((2, 28, 28, 1)), "y": jnp.zeros(2, jnp.int32)}
    with pytest.raises(ValueError, match=r"^an example has shape \(28, 28, 1\); .*\(32, 32, 3\)"):
        jax.eval_shape(lambda p: task.loss(p, state, batch, None, True), params)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 5}, "patch=5 must divide 32 and 32, the images' edges"),
        ({"patch": 8, "dataset": "mnist"}, "patch=8 must divide 28 and 28"),
        ({"heads": 5}, "width=24 must be a multiple of heads=5"),
        ({"layers": 0}, "layers=0 must be a positive integer"),
        ({"patch": 4.0}, "patch=4.0 must be a positive integer"),
        ({"compute_dtype": "float16"}, "compute_dtype='float16' must be one of float32, bfloat16"),
        ({"fill": "white"}, "fill='white' must be one of mean, edge, black"),
        ({"zoom": [1.2, 0.8]}, r"zoom=\(1.2, 0.8\) must be two factors"),
        ({"dataset": "svhn"}, "unknown data set 'svhn'; known: mnist"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises((ValueError, tasks.DataError), match=message) as caught:
        tasks.vision_transformer(**SMALL | settings)
    assert "\n" not in str(caught.value)


def test_patches_are_squares_row_by_row():
    image = np.arange(2 * 4 * 4).reshape(1, 4, 4, 2)
    np.testing.assert_array_equal(vision.patches(image, 2)[0], patches_in_numpy(image[0], 2))
