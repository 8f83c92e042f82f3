"""Peer (a): a plain loop over a jitted step with Flax and optax, one run at a time.

Written as one would write it without a thought for sweeps: ordinary `nn.Conv`, a Python loop,
batches taken from the data set on the host.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn


class MLP(nn.Module):
    """Three hidden layers of 128."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = x.reshape(len(x), -1)
        for _ in range(3):
            x = nn.relu(nn.Dense(128)(x))
        return nn.Dense(10)(x)


class Conv(nn.Module):
    """32, 64, 64 channels, strides 2, 1, 1, global average."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for features, stride in ((32, 2), (64, 1), (64, 1)):
            x = nn.relu(nn.Conv(features, (3, 3), stride)(x))
        return nn.Dense(10)(x.mean(axis=(1, 2)))


class ResNet20(nn.Module):
    """He et al. 2016, section 4.2, shortcuts padded with zeros."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
        conv = partial(nn.Conv, kernel_size=(3, 3), use_bias=False)
        x = nn.relu(norm()(conv(16)(x)))
        for level, features in enumerate((16, 32, 64)):
            for block in range(3):
                stride = 2 if level and not block else 1
                y = nn.relu(norm()(conv(features, strides=stride)(x)))
                y = norm()(conv(features)(y))
                if stride == 2:
                    x = jnp.pad(x[:, ::2, ::2], [(0, 0)] * 3 + [(0, features // 2)])
                x = nn.relu(x + y)
        return nn.Dense(10)(x.mean(axis=(1, 2)))


NETWORKS: dict[str, Any] = {"mlp": MLP, "conv": Conv, "resnet20": ResNet20}


def optimizer(name: str) -> optax.GradientTransformation:
    """The optimizer of a label of the tables."""
    import rllc

    plain = {"SGD": optax.sgd(1e-3), "Momentum SGD": optax.sgd(1e-3, momentum=0.9)}
    return plain.get(name) or rllc.lm_rllc(name, 1e-3, 0.003)


def make(spec: dict[str, Any]) -> Callable[[int], None]:
    """A function that trains so many steps and waits for the end.

    Args:
      spec: network, optimizer, batch, task (for its augmentation), images and labels (.npy).
    """
    import tasks

    images, labels = np.load(spec["images"]), np.load(spec["labels"])
    model, tx, task = (
        NETWORKS[spec["network"]](),
        optimizer(spec["optimizer"]),
        tasks.make(spec["task"]),
    )
    variables = model.init(jax.random.key(0), jnp.zeros((1, *images.shape[1:])), False)
    params, stats = variables["params"], variables.get("batch_stats", {})
    state = tx.init(params)

    @jax.jit
    def step(
        params: Any, stats: Any, state: Any, x: Any, y: Any, count: int
    ) -> tuple[Any, Any, Any, jax.Array]:
        x = task.prepare({"x": x, "y": y}, jax.random.fold_in(jax.random.key(0), count))["x"]

        def loss(params: Any) -> tuple[jax.Array, Any]:
            variables = {"params": params, **({"batch_stats": stats} if stats else {})}
            logits, new = model.apply(variables, x, True, mutable=["batch_stats"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), new.get("batch_stats", {})

        (value, stats_), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = tx.update(gradients, state, params)
        return optax.apply_updates(params, updates), stats_, state, value

    rng = np.random.default_rng(0)
    order, place, count = rng.permutation(len(labels)), 0, 0

    def train(steps: int) -> None:
        nonlocal params, stats, state, order, place, count
        for _ in range(steps):
            if place + spec["batch"] > len(order):
                order, place = rng.permutation(len(labels)), 0
            chosen = order[place : place + spec["batch"]]
            place, count = place + spec["batch"], count + 1
            params, stats, state, value = step(
                params, stats, state, images[chosen], labels[chosen], count
            )
        value.block_until_ready()

    return train


def version() -> str:
    """Of what is measured."""
    return f"jax {jax.__version__}"
