"""ResNet-20 judged in four ways: clean or augmented test images, running or batch statistics.

The framework the paper started from evaluates with the statistics of the batch, and applies one
map of the images, augmentation included, to every split. Training is that of the plain task.
"""

from typing import Any

import jax
import jax.numpy as jnp

from tasks.images import CONSTANTS, make
from tasks.task import Task

BLOCK = 128  # images that share statistics, the paper's batch
SUFFIX = "_modes"
MODES = ("", "_batch", "_augmented", "_augmented_batch")  # behind the names of the metrics


def judged(name: str, **settings: Any) -> Task:
    """The task of that name without `SUFFIX`, with every metric in all `MODES`.

    Held-out images are augmented by a key of the batch, the same for all runs and evaluations. In a
    split that 128 does not divide, the last block's statistics also see the engine's padding (16 of
    the 10,000 test images share a block with it); a batch that 128 does not divide is one block.

    Args:
      name: such as ``cifar10_resnet20_modes``; a name of its own, since the metrics are others.
      **settings: as of `tasks.make`.

    Raises:
      ValueError: the name lacks the suffix, or a setting that makes no sense.
    """
    if not name.endswith(SUFFIX):
        raise ValueError(f"task name {name!r} must end with {SUFFIX}")
    plain = make(name.removesuffix(SUFFIX), **settings)
    metrics = tuple(m._replace(name=m.name + mode) for mode in MODES for m in plain.metrics)

    def loss(params: Any, state: Any, batch: Any, key: Any, train: bool) -> Any:
        value, (after, clean) = plain.loss(params, state, batch, key, train)
        if train:  # the engine drops these metrics, but wants every name
            return value, (after, {n + mode: v for mode in MODES for n, v in clean.items()})
        augmented = plain.prepare({**batch, "x": _pixels(batch["x"], plain.name)}, key)
        found = (
            clean,
            _by_batch(plain, params, state, batch, key),
            plain.loss(params, state, augmented, key, False)[1][1],
            _by_batch(plain, params, state, augmented, key),
        )
        modes = zip(MODES, found, strict=True)
        return value, (after, {n + mode: v for mode, each in modes for n, v in each.items()})

    return plain._replace(name=name, metrics=metrics, loss=loss, batch_means=False)


def _by_batch(plain: Task, params: Any, state: Any, batch: Any, key: Any) -> dict[str, Any]:
    """Metrics per example with each block's own statistics; running ones stay as they are."""
    count = len(batch["y"])
    blocks = count // BLOCK if count % BLOCK == 0 else 1
    parts = jax.tree.map(lambda a: a.reshape(blocks, -1, *a.shape[1:]), batch)
    found = jax.vmap(lambda b: plain.loss(params, state, b, key, True)[1][1])(parts)
    return {name: value.reshape(count) for name, value in found.items()}


def _pixels(x: jax.Array, name: str) -> jax.Array:
    """Images as `Task.prepare` takes them, 0 to 255, from what it returned."""
    mean, std = (jnp.array(c, jnp.float32) for c in CONSTANTS[name.rsplit("_", 1)[0]])
    return (x * std + mean) * 255
