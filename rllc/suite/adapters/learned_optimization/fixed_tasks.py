"""learned_optimization's fixed image tasks as tasks of our engine."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rllc.suite.adapters.learned_optimization.package import load
from rllc.suite.adapters.learned_optimization.tasks import CLASSES, container

MODULES = ("tasks.fixed.image_mlp", "tasks.fixed.conv")


def from_task(task: Any, name: str | None = None, dataset: str | None = None) -> Any:
    """A fixed image task of learned_optimization as a task of our engine, on our data.

    Its pixels stay in 0..1 as in its own pipeline, resized there where it resizes them. The
    logits are those its last linear layer computes. Batch norm uses the statistics of the batch
    in evaluation too, as it does there.

    Args:
      task: name of one of its ``tasks.fixed.image_mlp`` or ``tasks.fixed.conv`` functions, such
        as ``ImageMLP_Mnist_128x128x128_Relu``; or a ``Task`` instance.
      name: label in the records; that function's name by default.
      dataset: ours to train on; found out where `task` is a name.

    Raises:
      ImportError: learned_optimization is not installed.
      ValueError: no such task, one on other data, or one whose loss is not the cross-entropy of
        a last linear layer.
    """
    import tasks  # and with it Flax, which the rest of the bridge does without

    label = name or (task if isinstance(task, str) else task.name)
    if isinstance(task, str):
        task, dataset = _make(task)
    if dataset not in _shapes():
        raise ValueError(f"dataset={dataset!r} must be one of {', '.join(_shapes())}")
    size = tuple(task.datasets.abstract_batch["image"].shape[1:3])

    def init(key: jax.Array) -> tuple[Any, Any]:
        start: tuple[Any, Any] = task.init_with_state(jax.random.key_data(key))
        return start

    def prepare(batch: dict[str, Any], key: jax.Array | None) -> dict[str, Any]:
        del key
        pixels = batch["x"].astype(jnp.float32) / 255.0
        shape = (len(pixels), *size, pixels.shape[-1])
        if shape != pixels.shape:
            pixels = jax.image.resize(pixels, shape, "bilinear", antialias=False)
        return {**batch, "x": pixels}

    def apply(params: Any, state: Any, x: jax.Array, train: bool) -> tuple[jax.Array, Any]:
        del train
        logits, _, state = _logits(task, params, state, x, jnp.zeros(len(x), jnp.int32))
        return logits, state

    _check_cross_entropy(task, label, init)
    return tasks.Task(
        name=label,
        init=init,
        loss=tasks.cross_entropy(apply),
        data=partial(tasks.load, dataset),
        metrics=tasks.METRICS,
        prepare=prepare,
        synthetic=partial(tasks.synthetic, dataset),
        batch_means=True,
    )


def _shapes() -> dict[str, tuple[int, int, int]]:
    """Shape of an image of each of our data sets."""
    from tasks.datasets import SPECS

    return {name: spec.image_shape for name, spec in SPECS.items()}


def _logits(
    task: Any, params: Any, state: Any, x: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array, Any]:
    """(output of the last linear layer, loss, new state): its interface gives the loss only."""
    haiku = importlib.import_module("haiku")
    outputs = []

    def note(method: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        result = method(*args, **kwargs)
        if isinstance(context.module, haiku.Linear) and context.method_name == "__call__":
            outputs.append(result)
        return result

    key = jax.random.key_data(jax.random.key(0))
    with haiku.intercept_methods(note):
        loss, state = task.loss_with_state(params, state, key, {"image": x, "label": labels})
    if not outputs:
        raise ValueError(f"{task.name} has no linear layer to read logits from")
    return outputs[-1], loss, state


def _check_cross_entropy(task: Any, label: str, init: Callable[..., Any]) -> None:
    """One batch of noise: the loss must be that of the logits, or our engine trains another."""
    rng = np.random.default_rng(0)
    shape = (8, *task.datasets.abstract_batch["image"].shape[1:])
    x = jnp.asarray(rng.uniform(size=shape), jnp.float32)
    labels = jnp.arange(8) % CLASSES
    params, state = init(jax.random.key(0))
    logits, loss, _ = _logits(task, params, state, x, labels)
    ours = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))
    if not np.allclose(loss, ours, rtol=1e-4):
        raise ValueError(
            f"the loss of {label} ({loss:.6f}) is not the cross-entropy of its last linear "
            f"layer ({ours:.6f}), which is what this engine trains"
        )


def _make(name: str) -> tuple[Any, str]:
    """(task, our data set), made without reading data, as its constructor would."""
    for module in map(load, MODULES):
        factory = getattr(module, name, None)
        if callable(factory):
            with _stand_in_data(name) as asked:
                return factory(), asked[0]
    known = [n for m in map(load, MODULES) for n in vars(m) if n.startswith(("ImageMLP_", "Conv_"))]
    raise ValueError(f"unknown task {name!r}; known are {', '.join(sorted(known))}")


@contextlib.contextmanager
def _stand_in_data(task: str) -> Iterator[list[str]]:
    """Its image data sets answer with shapes only; yields the names of those asked for."""
    image, asked = load("tasks.datasets.image"), []
    real = {key: value for key, value in vars(image).items() if key.endswith("_datasets")}

    def stand_in(key: str) -> Callable[..., Any]:
        def datasets(batch_size: int, image_size: tuple[int, int] | None = None, **_: Any) -> Any:
            dataset = key.removesuffix("_datasets")
            if dataset not in _shapes():
                raise ValueError(f"{task} trains on {dataset}; ours are {', '.join(_shapes())}")
            asked.append(dataset)
            height, width, channels = _shapes()[dataset]
            shape = (*(image_size or (height, width)), channels)
            return container([iter(())] * 4, batch_size, shape, jnp.float32)

        return datasets

    try:
        for key in real:
            setattr(image, key, stand_in(key))
        yield asked
    finally:
        for key, function in real.items():
            setattr(image, key, function)
