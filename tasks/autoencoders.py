"""A deep autoencoder: images through a narrow code and back, by the squared error of the pixels."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from tasks import datasets
from tasks.images import are_widths, check_choices, load
from tasks.modules import functions
from tasks.networks import Dense
from tasks.task import Metric, Task

HIDDEN = (1000, 500, 250)  # of the encoder; the decoder has them in reverse
CODE = 30
ACTIVATIONS = {"tanh": jnp.tanh, "logistic": nn.sigmoid, "relu": nn.relu}
# Squared distance of the mean training image from the others, mean over the training set. A
# property of the data, whose sums `tasks.datasets` checks.
GUESSES = {"mnist": 52.76, "fashion_mnist": 68.19, "cifar10": 190.6}


class Autoencoder(nn.Module):
    """Images (b, h, w, c) -> (b, pixels), each between 0 and 1.

    Hidden layers, a linear code, the hidden layers in reverse, and logistic outputs (Hinton &
    Salakhutdinov 2006). Weights start as those of `tasks.networks`.

    Attributes:
      hidden: units of the encoder's hidden layers.
      code: units between the two halves, which are linear.
      activation: of hidden layers, one of `ACTIVATIONS`.
    """

    hidden: tuple[int, ...] = HIDDEN
    code: int = CODE
    activation: str = "tanh"
    initialisation: str = "truncated_normal"
    compute_dtype: str = "float32"

    @nn.compact
    def __call__(self, x, train):
        del train
        x = x.reshape(x.shape[0], -1)
        pixels = x.shape[1]
        for width in self.hidden:
            x = self._activated(self._dense(width)(x))
        x = self._dense(self.code)(x)
        for width in reversed(self.hidden):
            x = self._activated(self._dense(width)(x))
        return nn.sigmoid(self._dense(pixels)(x).astype(jnp.float32))

    def _activated(self, x):
        return ACTIVATIONS[self.activation](x)

    def _dense(self, width):
        return Dense(width, self.initialisation, self.compute_dtype)


def autoencoder(
    name: str = "mnist_autoencoder",
    dataset: str = "mnist",
    hidden: Sequence[int] = HIDDEN,
    code: int = CODE,
    activation: str = "tanh",
    initialisation: str = "truncated_normal",
    compute_dtype: str = "float32",
) -> Task:
    """The deep autoencoder that optimizers are often compared on, trained as one from the start.

    Its shape is that of Hinton & Salakhutdinov (Science 313, 2006) for MNIST, which Martens (ICML
    2010) trained without pretraining. Their hidden units are logistic and start from a
    Boltzmann machine or a sparse draw; here they are tanh and start as all networks of this suite.

    The loss is the squared error of an image, summed over its pixels of 0 to 1, mean over images:
    the unit in which these papers tell it.

    Args:
      name: label in the records.
      dataset: "mnist" | "fashion_mnist" | "cifar10".
      hidden: units of the encoder's hidden layers.
      code: units of the code.
      activation: of hidden layers: "tanh" | "logistic" | "relu".
      initialisation: of weights, see `tasks.networks.initializer`.
      compute_dtype: "float32" | "bfloat16".

    Raises:
      DataError: unknown data set.
      ValueError: a setting that makes no sense.
    """
    shape = datasets.find(dataset).image_shape
    if not are_widths(list(hidden)):
        raise ValueError(f"hidden={hidden!r} must be a list of positive integers")
    if not are_widths([code]):
        raise ValueError(f"code={code!r} must be a positive integer")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r} must be one of {', '.join(ACTIVATIONS)}")
    check_choices({"initialisation": initialisation, "compute_dtype": compute_dtype})
    network = Autoencoder(tuple(hidden), code, activation, initialisation, compute_dtype)
    init, apply = functions(network, shape)
    return Task(
        name=name,
        init=init,
        loss=reconstruction(apply),
        data=partial(load, dataset),
        metrics=(Metric("squared_error", "min", "per image", guess=GUESSES[dataset]),),
        prepare=prepare,
        synthetic=partial(datasets.synthetic, dataset),
    )


def reconstruction(apply: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of an autoencoder (see `tasks.Task`) from (params, state, x, train) -> (pixels, …).

    Batches are {"x": images float32 (b, h, w, c), 0 to 1}; labels are passed over.
    """

    def loss(params: Any, state: Any, batch: Any, key: jax.Array, train: bool) -> Any:
        del key
        shown, state = apply(params, state, batch["x"], train)
        errors = jnp.sum((shown - batch["x"].reshape(shown.shape)) ** 2, axis=1)
        return jnp.mean(errors), (state, {"squared_error": errors})

    return loss


def prepare(batch: Any, key: jax.Array | None) -> Any:
    """Pixels from uint8 to 0 … 1."""
    del key
    return {**batch, "x": batch["x"].astype(jnp.float32) / 255}
