"""A task is a NamedTuple of pure functions; `make` builds one from its name and settings."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tasks.augmentation import Augmentation
from tasks.networks import MLP, Conv, ResNet20

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
SHAPES = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
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


class Task(NamedTuple):
    """Data set and network of a task, without an optimizer.

    Attributes:
      name: one of `names()`.
      dataset: "mnist" | "fashion_mnist" | "cifar10".
      init: key -> (params, state), float32; state holds running statistics, {} without any.
      prepare: (images uint8 (b, h, w, c), key or None) -> float32 (b, h, w, c), normalised, and
        augmented if the task augments and a key is given.
      apply: (params, state, x (b, h, w, c), train) -> (logits float32 (b, 10), new state).
      augments: whether `prepare` uses its key.
      one_at_a_time: whether runs that share a CPU core train one after another, as the activations
        of one network fill its cache; small networks train faster in one batched product.
    """

    name: str
    dataset: str
    init: Callable[[jax.Array], tuple[Any, Any]]
    prepare: Callable[[jax.Array, jax.Array | None], jax.Array]
    apply: Callable[[Any, Any, jax.Array, bool], tuple[jax.Array, Any]]
    augments: bool
    one_at_a_time: bool


def names() -> tuple[str, ...]:
    """Names of the paper's tasks."""
    return TASKS


def make(name: str, **settings: Any) -> Task:
    """Builds a task.

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
    network_class = NETWORKS[network]
    augmented = network == "resnet20"
    ours = _pick(Augmentation, settings) if augmented else {}
    _check(name, settings, {*_fields(network_class), *(_fields(Augmentation) if augmented else ())})
    module = network_class(**_pick(network_class, settings))
    augmentation = Augmentation(**ours) if augmented else None
    augments = augmentation is not None and augmentation.active
    return Task(
        name=name,
        dataset=dataset,
        init=_init(module, SHAPES[dataset]),
        prepare=_prepare(dataset, augmentation if augments else None),
        apply=_apply(module),
        augments=augments,
        one_at_a_time=network != "mlp",
    )


def _fields(cls: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(cls) if f.name not in ("parent", "name")]


def _pick(cls: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {key: value for key, value in settings.items() if key in _fields(cls)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}


def _check(name: str, settings: Mapping[str, Any], known: set[str]) -> None:
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"{name} has no setting {key!r}; known: {', '.join(sorted(known))}")
        if key in CHOICES and value not in CHOICES[key]:
            raise ValueError(f"{key}={value!r} must be one of {', '.join(CHOICES[key])}")
        if key == "hidden" and not _are_widths(value):
            raise ValueError(f"hidden={value!r} must be a list of positive integers")
        if key in ("norm_decay", "norm_epsilon") and not _is_fraction(value):
            raise ValueError(f"{key}={value!r} must be a number between 0 and 1")


def _are_widths(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(type(v) is int and v > 0 for v in value)


def _is_fraction(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) and 0 < value < 1


def _init(module: Any, shape: tuple[int, ...]) -> Callable:
    @jax.jit
    def init(key):
        variables = module.init(key, jnp.zeros((1, *shape)), False)
        return variables["params"], variables.get("batch_stats", {})

    return init


def _apply(module: Any) -> Callable:
    def apply(params, state, x, train):
        variables = {"params": params, "batch_stats": state} if state else {"params": params}
        logits, updated = module.apply(variables, x, train, mutable=["batch_stats"])
        return logits.astype(jnp.float32), updated.get("batch_stats", state)

    return apply


def _prepare(dataset: str, augmentation: Augmentation | None) -> Callable:
    mean, std = (jnp.array(constant, jnp.float32) for constant in CONSTANTS[dataset])

    def prepare(images, key):
        x = (images.astype(jnp.float32) / 255 - mean) / std
        if key is None or augmentation is None:
            return x
        return augmentation(key, x, black=-mean / std)

    return prepare
