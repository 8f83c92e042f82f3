"""Tasks small enough for engine tests, written as a user would, without a line of `tasks`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

CLASSES = 4

# Configs of the task below, and of two optimizers.
TASK = {"_target_": "tests.suite.toy.make", "name": "toy"}
RLLC = {
    "_target_": "rllc.lm_rllc",
    "canonical": "rllc.canonical_arguments",
    "name": "M(0.9)+M(0.0)",
    "family": "rllc",
    "propagator": "M(0.9)+M(0.0)",
    "learning_rate": 0.1,
    "law_learning_rate": 0.01,
    "initial_law": "ones",
    "traced": ["learning_rate", "law_learning_rate", "initial_law"],
}
OBSERVED = {**RLLC, "probes": {"law": "rllc.get_law"}}
SGD = {"_target_": "optax.sgd", "name": "SGD", "learning_rate": 0.1, "traced": ["learning_rate"]}


class ToyMetric(NamedTuple):
    """Same fields as ``tasks.Metric``."""

    name: str
    direction: str
    unit: str = ""
    guess: float | None = None
    scale: float = 1.0


class ToyTask(NamedTuple):
    """Same fields as ``tasks.Task``."""

    name: str
    init: Any
    loss: Any
    data: Any
    metrics: Any
    prepare: Any = lambda batch, key: batch
    synthetic: Any = None
    one_at_a_time: bool = False
    batch_means: bool = False


class ToyData(NamedTuple):
    """Fields of ``tasks.Dataset``."""

    train: Any
    validation: Any
    test: Any
    name: str = "toy"
    checksum: str = ""


METRICS = (ToyMetric("accuracy", "max", "%", 1 / CLASSES, 100.0), ToyMetric("loss", "min", "nats"))


def make(
    name: str = "toy", width: int = 8, augments: bool = False, one_at_a_time: bool = False
) -> ToyTask:
    """Two dense layers on 4×4 images; a state that counts steps, so that lost state shows."""

    def init(key):
        first, second = jax.random.split(key)
        params = {
            "a": {"w": jax.random.normal(first, (16, width)) / 4, "b": jnp.zeros(width)},
            "z": {"w": jax.random.normal(second, (width, CLASSES)) / width**0.5},
        }
        return params, {"steps": jnp.zeros((), jnp.int32)}

    def prepare(batch, key):
        x = batch["x"].astype(jnp.float32) / 255.0
        if augments and key is not None:
            x += 0.1 * jax.random.normal(key, x.shape)
        return {**batch, "x": x}

    def loss(params, state, batch, key, train):
        x, y = batch["x"], batch["y"]
        hidden = jax.nn.relu(x.reshape(len(x), -1) @ params["a"]["w"] + params["a"]["b"])
        logits = hidden @ params["z"]["w"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        metrics = {"accuracy": jnp.argmax(logits, axis=-1) == y, "loss": losses}
        return losses.mean(), ({"steps": state["steps"] + train}, metrics)

    def made(folder=None):
        return data()

    return ToyTask(name, init, loss, made, METRICS, prepare, made, one_at_a_time, True)


def data(seed: int = 0, train: int = 400, held_out: int = 200) -> ToyData:
    """Noisy class prototypes; 400 training, 200 validation and 200 test images."""
    rng = np.random.default_rng(seed)
    prototypes = rng.integers(0, 256, (CLASSES, 4, 4, 1))

    def split(size):
        labels = rng.integers(0, CLASSES, size).astype(np.int32)
        noise = rng.normal(0, 60, (size, 4, 4, 1))
        return {"x": np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8), "y": labels}

    return ToyData(split(train), split(held_out), split(held_out), checksum=f"toy-{seed}")


def quadratic(name: str = "quadratic", dimension: int = 10, noise: float = 0.1) -> ToyTask:
    """No data at all: half the squared distance to 0, its gradient with noise of each step's own.

    A step of gradient descent with rate a on the diagonal of eigenvalues h is
    x ← (1 - a h) x - a noise z, whatever the batch size.
    """
    h = jnp.linspace(0.1, 1.0, dimension)

    def init(key):
        return jnp.ones(dimension), {}

    def sample(key, step):
        return noise * jax.random.normal(key, (dimension,))

    def loss(params, state, batch, key, train):
        value = 0.5 * jnp.sum(h * params**2)
        return value + params @ batch * train, (state, {"distance": jnp.sum(params**2)})

    return ToyTask(name, init, loss, lambda folder: sample, (ToyMetric("distance", "min"),))
