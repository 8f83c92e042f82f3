"""Augmentation: exact special cases, ranges, and determinism by key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from tasks.augmentation import Augmentation, resample

pytestmark = pytest.mark.slow

STILL = {"zoom": (1.0, 1.0), "rotation": 0.0, "flip": False}
BLACK = jnp.array([-2.0, -1.0, -3.0])


def images(b=16, h=32, w=32):
    return jnp.asarray(np.random.default_rng(0).normal(size=(b, h, w, 3)).astype(np.float32))


def turned(x, degrees, fill=None):
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.broadcast_to(matrix.astype(np.float32), (len(x), 2, 2))
    return resample(x, matrix, np.zeros((len(x), 2), np.float32), fill)


@pytest.mark.parametrize("fill", ["mean", "edge", "black"])
def test_nothing_happens_when_nothing_may(fill):
    x = images()
    still = Augmentation(**STILL, fill=fill)
    assert not still.active
    np.testing.assert_array_equal(still(jax.random.key(0), x, BLACK), x)


def test_flip_mirrors_about_half_of_the_images():
    x = images(200)
    y = np.asarray(Augmentation(**STILL | {"flip": True})(jax.random.key(0), x, BLACK))
    same, mirrored = (y == x).all(axis=(1, 2, 3)), (y == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 60 < mirrored.sum() < 140  # ±5.7 standard deviations of a fair coin


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("fill", [None, BLACK])
def test_quarter_turns_are_rot90(turns, fill):
    x = images()
    expected = jnp.rot90(x, -turns, axes=(1, 2))  # sine and cosine round at 1e-7, pixels at 32
    np.testing.assert_allclose(turned(x, 90 * turns, fill), expected, atol=5e-5)


def test_linear_images_are_resampled_exactly():
    h = w = 9
    ramp = jnp.broadcast_to(jnp.arange(h)[:, None, None] * 2.0, (1, h, w, 3))
    matrix = np.array([[[0.5, 0], [0, 0.5]]], np.float32)  # twofold zoom about the centre
    got = resample(ramp, matrix, np.array([[0.25, 0]], np.float32), None)[0, :, 0, 0]
    np.testing.assert_allclose(got, 2 * ((np.arange(h) - 4) / 2 + 4.25), rtol=1e-6)


@pytest.mark.parametrize(("fill", "value"), [("mean", 0.0), ("black", -1.0), ("edge", 5.0)])
def test_what_lies_outside_is_filled(fill, value):
    x = jnp.full((8, 32, 32, 3), 5.0)
    small = Augmentation(zoom=(0.5, 0.5), rotation=0.0, fill=fill)
    y = np.asarray(small(jax.random.key(0), x, jnp.full(3, -1.0)))
    assert y.max() == 5.0
    # The shrunken image covers a quarter; its rim of one pixel is blended.
    outside = np.isclose(y, value).mean() if value != 5 else 1.0
    assert outside > 0.68
    assert (y == 5.0).mean() > 0.2


def test_zoom_and_place_stay_in_range():
    matrix, shift = Augmentation(rotation=0.0).transforms(jax.random.key(0), 2000, 32, 32)
    zoom = 1 / np.abs(np.asarray(matrix)[:, [0, 1], [0, 1]])
    assert zoom.min() == pytest.approx(0.8, abs=2e-3)
    assert zoom.max() == pytest.approx(1.2, abs=2e-3)
    np.testing.assert_allclose(zoom[:, 0], zoom[:, 1], rtol=1e-6)  # aspect 1
    room = 16 * np.abs(1 - 1 / zoom)  # so the crop lies inside, or the image inside the frame
    assert (np.abs(shift) <= room + 1e-5).all()
    matrix, _ = Augmentation(aspect=1.5).transforms(jax.random.key(0), 2000, 32, 32)
    ratio = np.linalg.norm(matrix[:, :, 0], axis=1) / np.linalg.norm(matrix[:, :, 1], axis=1)
    assert ratio.max() == pytest.approx(1.5, abs=5e-3)
    assert ratio.min() == pytest.approx(1 / 1.5, abs=5e-3)


def test_rotation_stays_in_range():
    matrix, _ = Augmentation(zoom=(1, 1), rotation=20.0).transforms(jax.random.key(0), 2000, 8, 8)
    angles = np.rad2deg(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    assert angles.max() == pytest.approx(20, abs=0.1)
    assert angles.min() == pytest.approx(-20, abs=0.1)


def test_the_task_augments_by_key_image_by_image_and_only_with_a_key():
    task = tasks.make("cifar10_resnet20")
    raw = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8))
    raw = jnp.repeat(raw, 3, axis=0)
    prepare = jax.jit(lambda x, key: task.prepare({"x": x}, key)["x"])
    first, again, other = (np.asarray(prepare(raw, jax.random.key(k))) for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first[0], first[1])
    plain = tasks.make("cifar10_conv").prepare({"x": raw}, jax.random.key(1))["x"]
    np.testing.assert_array_equal(task.prepare({"x": raw}, None)["x"], plain)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"zoom": (1.2, 0.8)}, "zoom=.* must be two factors"),
        ({"zoom": 0.8}, "zoom=0.8 must be two factors"),
        ({"aspect": 0.5}, "aspect=0.5 must be a number, at least 1"),
        ({"rotation": -3}, "rotation=-3 must be between 0 and 180"),
        ({"flip": "yes"}, "flip='yes' must be true or false"),
        ({"fill": "grey"}, "fill='grey' must be one of mean, edge, black"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        tasks.make("cifar10_resnet20", **setting)
