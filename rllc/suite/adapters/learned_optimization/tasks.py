"""Our tasks as learned_optimization's ``Task``."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rllc.suite.adapters.learned_optimization.package import load

CLASSES = 10


def as_task(task: Any, data: Any, batch_size: int = 128, seed: int = 0) -> Any:
    """A classification task of ours behind learned_optimization's ``Task`` interface.

    A batch is ``{"image": uint8 (b, h, w, c), "label": int32 (b,)}``; normalisation and
    augmentation happen in the loss, on the device. The loss is the task's in training, since that
    interface does not tell training from evaluation; aux values hold the accuracy. Without batch
    statistics the model state is None.

    Args:
      task: has ``name``, ``init``, ``prepare``, ``loss`` as those of `tasks.classification`.
      data: its data, splits {"x": images, "y": labels} (see `tasks.load`).
      batch_size: examples in a batch; the rest of each epoch is dropped.
      seed: of the order of examples, reshuffled every epoch.

    Returns:
      A ``Task``. Its ``datasets`` never end; inner_valid and outer_valid both are our
      validation split.

    Raises:
      ImportError: learned_optimization is not installed.
      ValueError: a split is smaller than a batch.
    """
    base = load("tasks.base")
    stateful = bool(jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))[1]))

    class SuiteTask(base.Task):  # type: ignore[misc, name-defined]  # untyped
        datasets = _datasets(data, batch_size, seed)

        def init_with_state(self, key: jax.Array) -> tuple[Any, Any]:
            params, state = task.init(key)
            return params, state if stateful else None

        def init(self, key: jax.Array) -> Any:
            return task.init(key)[0]

        def loss_with_state_and_aux(
            self, params: Any, state: Any, key: jax.Array, data: Any
        ) -> tuple[jax.Array, Any, dict[str, jax.Array]]:
            batch = task.prepare({"x": data["image"], "y": data["label"]}, key)
            loss, (state, metrics) = task.loss(params, state if stateful else {}, batch, key, True)
            aux = {"accuracy": jnp.mean(metrics["accuracy"])}
            return loss, state if stateful else None, aux

        def loss_with_state(
            self, params: Any, state: Any, key: jax.Array, data: Any
        ) -> tuple[jax.Array, Any]:
            return self.loss_with_state_and_aux(params, state, key, data)[:2]

        def loss_and_aux(
            self, params: Any, key: jax.Array, data: Any
        ) -> tuple[jax.Array, dict[str, jax.Array]]:
            self._refuse_if_stateful()
            loss, _, aux = self.loss_with_state_and_aux(params, None, key, data)
            return loss, aux

        def loss(self, params: Any, key: jax.Array, data: Any) -> jax.Array:
            return self.loss_and_aux(params, key, data)[0]

        def normalizer(self, loss: jax.Array) -> jax.Array:
            """Loss in 0 … 1.5 log 10, what is not a number included, as its own tasks have it."""
            worst = 1.5 * np.log(CLASSES)
            return jnp.nan_to_num(jnp.clip(loss, 0, worst), nan=worst)

        @property
        def name(self) -> str:
            label: str = task.name
            return label

        def _refuse_if_stateful(self) -> None:
            if stateful:
                raise ValueError(f"{task.name} has batch statistics: use loss_with_state")

    return SuiteTask()


def _datasets(data: Any, batch_size: int, seed: int) -> Any:
    splits = ("train", "validation", "validation", "test")
    iterators = [_batches(data, split, batch_size, seed + i) for i, split in enumerate(splits)]
    images = data.train["x"]
    return container(iterators, batch_size, images.shape[1:], images.dtype)


def container(
    iterators: list[Iterator[Any]], batch_size: int, shape: tuple[int, ...], dtype: Any
) -> Any:
    """Its ``Datasets`` of four iterators (train, inner_valid, outer_valid, test)."""
    abstract = {
        "image": jax.ShapeDtypeStruct((batch_size, *shape), dtype),
        "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
    }
    base = load("tasks.datasets.base")
    return base.Datasets(*iterators, extra_info={"num_classes": CLASSES}, abstract_batch=abstract)


def _batches(data: Any, split: str, batch_size: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    images, labels = getattr(data, split)["x"], getattr(data, split)["y"]
    if len(labels) < batch_size:
        raise ValueError(f"{split} has {len(labels)} examples, fewer than batch_size={batch_size}")
    return _endless(images, labels, batch_size, np.random.default_rng(seed))


def _endless(
    images: np.ndarray, labels: np.ndarray, size: int, rng: np.random.Generator
) -> Iterator[dict[str, np.ndarray]]:
    while True:
        order = rng.permutation(len(labels))
        for first in range(0, len(order) - size + 1, size):
            chosen = order[first : first + size]
            yield {"image": images[chosen], "label": labels[chosen]}
