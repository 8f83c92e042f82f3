"""Peer (c): learned_optimization's own image task, optimizer and loop, on the same data."""

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rllc.suite.adapters.learned_optimization.package import load
from rllc.suite.adapters.learned_optimization.tasks import container


def make(spec: dict[str, Any]) -> Callable[[int], None]:
    """A function that trains so many steps and waits for the end.

    Args:
      spec: network, optimizer, batch, images and labels (.npy).

    Raises:
      ValueError: the package has no such task or optimizer.
    """
    if spec["optimizer"] not in ("SGD", "Momentum SGD"):
        raise ValueError(f"learned_optimization has no {spec['optimizer']}")
    images, labels = np.load(spec["images"]), np.load(spec["labels"])
    shape = images.shape[1:]
    batches = _batches(images, labels, spec["batch"])
    task = _task(spec["network"], container([batches] * 4, spec["batch"], shape, jnp.float32))
    base = load("optimizers.base")
    opt = base.SGDM(1e-3, 0.9) if spec["optimizer"] == "Momentum SGD" else base.SGD(1e-3)
    key = jax.random.PRNGKey(0)
    state = opt.init(task.init(key))

    @jax.jit
    def step(state: Any, key: jax.Array, batch: Any) -> tuple[Any, jax.Array, jax.Array]:
        key, now = jax.random.split(key)
        loss, gradients = jax.value_and_grad(task.loss)(opt.get_params(state), now, batch)
        return opt.update(state, gradients, loss), key, loss

    def train(steps: int) -> None:
        nonlocal state, key
        for _ in range(steps):
            state, key, loss = step(state, key, next(task.datasets.train))
        loss.block_until_ready()

    return train


def _task(network: str, datasets: Any) -> Any:
    """Its own task classes with the layers of its stock tasks."""
    if network == "mlp":
        return load("tasks.fixed.image_mlp")._MLPImageTask(datasets, [128, 128, 128])
    if network == "conv":
        module = load("tasks.fixed.conv")
        loss = module._cross_entropy_pool_loss([32, 64, 64], jax.nn.relu, num_classes=10)
        return module._ConvTask(loss, datasets)
    raise ValueError("learned_optimization has no ResNet-20 for these images")


def _batches(images: np.ndarray, labels: np.ndarray, size: int) -> Iterator[dict[str, np.ndarray]]:
    """Its own order of things: pixels as float32 in 0..1, reshuffled every epoch."""
    rng = np.random.default_rng(0)
    while True:
        order = rng.permutation(len(labels))
        for first in range(0, len(order) - size + 1, size):
            chosen = order[first : first + size]
            yield {"image": images[chosen].astype(np.float32) / 255, "label": labels[chosen]}


def version() -> str:
    """Of what is measured."""
    found = importlib.metadata.version("learned_optimization")
    return f"learned_optimization {found}, jax {jax.__version__}"
