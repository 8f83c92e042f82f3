"""Classification of images; the paper's seven tasks by name."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tasks import datasets
from tasks.augmentation import Augmentation
from tasks.canonical import CLASSES
from tasks.modules import functions, in_parts
from tasks.networks import MLP, Conv, ResNet20
from tasks.task import Dataset, Metric, Task

NETWORKS: dict[str, Any] = {"mlp": MLP, "conv": Conv, "resnet20": ResNet20}
TASKS = (
    "mnist_mlp",
    "mnist_conv",
    "fashion_mnist_mlp",
    "fashion_mnist_conv",
    "cifar10_mlp",
    "cifar10_conv",
    "cifar10_resnet20",
)
# Mean and standard deviation of the pixels in units of 0..1, as the paper has them.
CONSTANTS = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.3,), (0.3,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
CHOICES = {
    "pooling": ("average", "max"),
    "shortcut": ("pad", "projection"),
    "initialisation": ("truncated_normal", "lecun_normal", "he_normal"),
    "compute_dtype": ("float32", "bfloat16"),
    "fill": ("mean", "edge", "black"),
}
METRICS = (
    Metric("accuracy", "max", "%", guess=1 / CLASSES, scale=100.0),
    Metric("loss", "min", "nats", guess=math.log(CLASSES)),
)


def names() -> tuple[str, ...]:
    """Names of the paper's tasks."""
    return TASKS


def make(name: str, **settings: Any) -> Task:
    """One of the paper's tasks.

    Args:
      name: one of `names()`.
      **settings: fields of the network (see `tasks.networks`), and for ResNet-20 those of
        `tasks.augmentation.Augmentation`; each has a default.

    Raises:
      ValueError: unknown task or setting, or a value that makes no sense.
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    dataset, network = name.rsplit("_", 1)
    network_class, augmented = NETWORKS[network], network == "resnet20"
    _check(name, settings, {*_fields(network_class), *(_fields(Augmentation) if augmented else ())})
    module = network_class(**_pick(network_class, settings))
    augmentation = Augmentation(**_pick(Augmentation, settings)) if augmented else None
    return classification(module, dataset, name, augmentation, one_at_a_time=network != "mlp")


def classification(
    network: Any,
    dataset: str,
    name: str | None = None,
    augmentation: Augmentation | None = None,
    one_at_a_time: bool = False,
    part_by_part: bool = False,
) -> Task:
    """A network that classifies the images of a data set, trained by the mean cross-entropy.

    Args:
      network: Flax module, (x float32 (b, h, w, c), train) -> logits (b, 10).
      dataset: "mnist" | "fashion_mnist" | "cifar10"; its batches are {"x": images uint8
        (b, h, w, c), "y": labels int32 (b,)}.
      name: label in the records; data set and class of the network by default.
      augmentation: of the training images; None for none.
      one_at_a_time: see `tasks.Task`.
      part_by_part: whether it is evaluated so (`modules.in_parts`); for networks without state.

    Raises:
      DataError: unknown data set.
    """
    init, apply = functions(network, datasets.find(dataset).image_shape)
    if part_by_part:
        apply = _parted(apply)
    augments = augmentation is not None and augmentation.active
    return Task(
        name=name or f"{dataset}_{type(network).__name__.lower()}",
        init=init,
        loss=cross_entropy(apply),
        data=partial(load, dataset),
        metrics=METRICS,
        prepare=_prepare(dataset, augmentation if augments else None),
        synthetic=partial(datasets.synthetic, dataset),
        one_at_a_time=one_at_a_time,
        batch_means=True,
    )


def _parted(apply: Callable[..., Any]) -> Callable[..., Any]:
    """`apply` of a module without state, evaluation going part by part."""

    def parted(params, state, x, train):
        if train:
            return apply(params, state, x, train)
        return in_parts(lambda part: apply(params, state, part, train)[0], x), state

    return parted


def cross_entropy(apply: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of a classifier (see `tasks.Task`) from (params, state, x, train) -> (logits, …)."""

    def loss(params, state, batch, key, train):
        del key
        logits, state = apply(params, state, batch["x"], train)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"])
        correct = jnp.argmax(logits, axis=-1) == batch["y"]
        return jnp.mean(losses), (state, {"accuracy": correct, "loss": losses})

    return loss


@lru_cache(maxsize=3)
def load(dataset: str, folder: str | None) -> Dataset:
    """`tasks.datasets.load`, kept, as tasks with other networks share it."""
    return datasets.load(dataset, folder)


def _prepare(dataset: str, augmentation: Augmentation | None) -> Callable:
    mean, std = (jnp.array(constant, jnp.float32) for constant in CONSTANTS[dataset])

    def prepare(batch: Any, key: jax.Array | None) -> Any:
        x = (batch["x"].astype(jnp.float32) / 255 - mean) / std
        if key is not None and augmentation is not None:
            x = augmentation(key, x, black=-mean / std)
        return {**batch, "x": x}

    return prepare


def _fields(cls: Any) -> list[str]:
    ours = ("parent", "name", "outputs")
    return [f.name for f in dataclasses.fields(cls) if f.name not in ours]


def _pick(cls: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {key: value for key, value in settings.items() if key in _fields(cls)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}


def check_choices(settings: Mapping[str, Any]) -> None:
    """That settings which have names for values have one of these.

    Raises:
      ValueError: names the first that has not.
    """
    for key, value in settings.items():
        if key in CHOICES and value not in CHOICES[key]:
            raise ValueError(f"{key}={value!r} must be one of {', '.join(CHOICES[key])}")


def _check(name: str, settings: Mapping[str, Any], known: set[str]) -> None:
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"{name} has no setting {key!r}; known: {', '.join(sorted(known))}")
        if key == "hidden" and not are_widths(value):
            raise ValueError(f"hidden={value!r} must be a list of positive integers")
        if key in ("norm_decay", "norm_epsilon") and not _is_fraction(value):
            raise ValueError(f"{key}={value!r} must be a number between 0 and 1")
    check_choices(settings)


def are_widths(value: Any) -> bool:
    """Whether this is a list of positive integers."""
    return isinstance(value, list | tuple) and all(type(v) is int and v > 0 for v in value)


def _is_fraction(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) and 0 < value < 1
