"""A task small enough for engine tests: two dense layers on 4×4 images of four classes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

CLASSES = 4


class ToyTask(NamedTuple):
    """Same fields as ``tasks.Task``."""

    name: str
    dataset: str
    init: Any
    prepare: Any
    apply: Any
    augments: bool
    one_at_a_time: bool


def make(
    name: str = "toy", width: int = 8, augments: bool = False, one_at_a_time: bool = False
) -> ToyTask:
    """A task whose state counts training steps, so that lost state shows."""

    def init(key):
        first, second = jax.random.split(key)
        params = {
            "a": {"w": jax.random.normal(first, (16, width)) / 4, "b": jnp.zeros(width)},
            "z": {"w": jax.random.normal(second, (width, CLASSES)) / width**0.5},
        }
        return params, {"steps": jnp.zeros((), jnp.int32)}

    def prepare(images, key):
        x = images.astype(jnp.float32) / 255.0
        return x if key is None else x + 0.1 * jax.random.normal(key, x.shape)

    def apply(params, state, x, train):
        hidden = jax.nn.relu(x.reshape(len(x), -1) @ params["a"]["w"] + params["a"]["b"])
        return hidden @ params["z"]["w"], {"steps": state["steps"] + train}

    return ToyTask(name, "toy", init, prepare, apply, augments, one_at_a_time)


class ToyData(NamedTuple):
    """Same fields as ``tasks.Dataset``."""

    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    checksum: str


def data(seed: int = 0, train: int = 400, held_out: int = 200) -> ToyData:
    """Noisy class prototypes; 400 training, 200 validation and 200 test images."""
    rng = np.random.default_rng(seed)
    prototypes = rng.integers(0, 256, (CLASSES, 4, 4, 1))

    def split(size):
        labels = rng.integers(0, CLASSES, size).astype(np.int32)
        noise = rng.normal(0, 60, (size, 4, 4, 1))
        return np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8), labels

    return ToyData(*split(train), *split(held_out), *split(held_out), f"toy-{seed}")
