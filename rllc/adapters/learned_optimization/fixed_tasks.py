"""learned_optimization's fixed image tasks as tasks of our engine."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rllc.adapters.learned_optimization.package import load
from rllc.adapters.learned_optimization.tasks import CLASSES, container

SHAPES = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
MODULES = ("tasks.fixed.image_mlp", "tasks.fixed.conv")


class ImageTask(NamedTuple):
    """What `from_task` returns: the fields of a task of the suite, documented there.

    Attributes:
      name: label in the records.
      dataset: "mnist" | "fashion_mnist" | "cifar10".
      init: key -> (params, state); state is None without batch norm.
      prepare: (images uint8 (b, h, w, c), key or None) -> float32 (b, h', w', c) in 0..1.
      apply: (params, state, x, train) -> (logits (b, 10), new state).
      augments, one_at_a_time: False.
    """

    name: str
    dataset: str
    init: Callable[[jax.Array], tuple[Any, Any]]
    prepare: Callable[[jax.Array, jax.Array | None], jax.Array]
    apply: Callable[[Any, Any, jax.Array, bool], tuple[jax.Array, Any]]
    augments: bool = False
    one_at_a_time: bool = False


def from_task(task: Any, name: str | None = None, dataset: str | None = None) -> ImageTask:
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
    label = name or (task if isinstance(task, str) else task.name)
    if isinstance(task, str):
        task, dataset = _make(task)
    if dataset not in SHAPES:
        raise ValueError(f"dataset={dataset!r} must be one of {', '.join(SHAPES)}")
    size = tuple(task.datasets.abstract_batch["image"].shape[1:3])

    def init(key):
        return task.init_with_state(jax.random.key_data(key))

    def prepare(images, key):
        del key
        pixels = images.astype(jnp.float32) / 255.0
        shape = (*images.shape[:-3], *size, images.shape[-1])
        if shape == images.shape:
            return pixels
        return jax.image.resize(pixels, shape, "bilinear", antialias=False)

    def apply(params, state, x, train):
        del train
        logits, _, state = _logits(task, params, state, x, jnp.zeros(len(x), jnp.int32))
        return logits, state

    _check_cross_entropy(task, label, init)
    return ImageTask(label, dataset, init, prepare, apply)


def _logits(task: Any, params: Any, state: Any, x: jax.Array, labels: jax.Array) -> tuple:
    """(output of the last linear layer, loss, new state): its interface gives the loss only."""
    haiku = importlib.import_module("haiku")
    outputs = []

    def note(method, args, kwargs, context):
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


def _check_cross_entropy(task: Any, label: str, init: Callable) -> None:
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

    def stand_in(key: str) -> Callable:
        def datasets(batch_size, image_size=None, **_):
            dataset = key.removesuffix("_datasets")
            if dataset not in SHAPES:
                raise ValueError(f"{task} trains on {dataset}; ours are {', '.join(SHAPES)}")
            asked.append(dataset)
            shape = (*(image_size or SHAPES[dataset][:2]), SHAPES[dataset][2])
            return container([iter(())] * 4, batch_size, shape, jnp.float32)

        return datasets

    try:
        for key in real:
            setattr(image, key, stand_in(key))
        yield asked
    finally:
        for key, function in real.items():
            setattr(image, key, function)
