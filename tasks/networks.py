"""The paper's three networks in Flax, with the exact shapes of its starting framework.

Weights start as Haiku's do: normal, cut at two standard deviations, 1/√fan_in before the cut
(Flax's lecun_normal is 12 % wider, as it makes up for the cut); biases start at zero.
Parameters are float32 whatever `compute_dtype` is.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.custom_batching import custom_vmap

from tasks.canonical import CLASSES
from tasks.convolution import convolution
from tasks.normalisation import BatchNorm, relu

NARROW = 32  # products with fewer columns are slow on a CPU: their transpose is not


def initializer(name: str) -> Any:
    """Initialiser of weights whose last axis is the output: "truncated_normal" (Haiku's
    default), "lecun_normal" or "he_normal"."""
    if name == "truncated_normal":
        return truncated_normal
    return {"lecun_normal": nn.initializers.lecun_normal, "he_normal": nn.initializers.he_normal}[
        name
    ]()


def truncated_normal(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """1/√fan_in times a normal cut at ±2; its standard deviation is 0.88/√fan_in."""
    fan_in = 1
    for size in shape[:-1]:
        fan_in *= size
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) / jnp.sqrt(fan_in).astype(
        dtype
    )


@jax.custom_vjp
def product(x: jax.Array, w: jax.Array) -> jax.Array:
    """x (b, i) times w (i, o), with a gradient of w that is computed as (i, o).

    JAX's own is an (o, i) product and its transpose. Where XLA does not fold that, as on a CPU, the
    optimizer then reads the gradient in strides. Has reverse-mode derivatives only.
    """
    return x @ w


def _save(x, w):
    return x @ w, (x, w)


def _pull_back(saved, dy):
    x, w = saved
    dx = lax.dot_general(dy, w, (((1,), (1,)), ((), ())))
    return dx, _weight_gradient(x, dy)


@custom_vmap
def _transposed_product(x, dy):
    if dy.shape[-1] < NARROW:
        return lax.dot_general(dy, x, (((0,), (0,)), ((), ()))).T
    return lax.dot_general(x, dy, (((0,), (0,)), ((), ())))


@_transposed_product.def_vmap
def _transposed_products(runs, batched, x, dy):
    """The gradients of many runs, (r, i, o).

    In the first layer x (b, i) is the same for all runs: one product of (b, r·o) for all. On a CPU
    the barrier keeps that order, (i, r·o), where XLA would turn to (r·o, i) and the optimizer would
    read in strides again.
    """
    x_batched, dy_batched = batched
    if x_batched or not dy_batched or jax.default_backend() != "cpu":
        axes = (0 if x_batched else None, 0 if dy_batched else None)
        return jax.vmap(_transposed_product.fun, axes)(x, dy), True
    side_by_side = jnp.swapaxes(dy, 0, 1).reshape(dy.shape[1], -1)
    joined = lax.optimization_barrier(_transposed_product.fun(x, side_by_side))
    return jnp.swapaxes(joined.reshape(x.shape[1], runs, -1), 0, 1), True


@jax.custom_vjp
def _weight_gradient(x, dy):
    """xᵀ dy: x (b, i), dy (b, o) -> (i, o)."""
    return _transposed_product(x, dy)


_weight_gradient.defvjp(
    lambda x, dy: (_transposed_product(x, dy), (x, dy)),
    lambda saved, d: (saved[1] @ d.T, saved[0] @ d),
)


product.defvjp(_save, _pull_back)


class Dense(nn.Module):
    """x (b, i) -> (b, features)."""

    features: int
    initialisation: str
    compute_dtype: str

    @nn.compact
    def __call__(self, x):
        shape = (x.shape[-1], self.features)
        w = self.param("w", initializer(self.initialisation), shape)
        b = self.param("b", nn.initializers.zeros, (self.features,))
        x, w, b = (value.astype(self.compute_dtype) for value in (x, w, b))
        return product(x, w) + b


class Convolution(nn.Module):
    """3×3, 'SAME': x (b, h, w, c) -> (b, h/stride, w/stride, features)."""

    features: int
    stride: int
    initialisation: str
    compute_dtype: str
    use_bias: bool = True

    @nn.compact
    def __call__(self, x):
        shape = (3, 3, x.shape[-1], self.features)
        w = self.param("w", initializer(self.initialisation), shape)
        x = convolution(x.astype(self.compute_dtype), w.astype(self.compute_dtype), self.stride)
        if not self.use_bias:
            return x
        b = self.param("b", nn.initializers.zeros, (self.features,))
        return x + b.astype(self.compute_dtype)


class MLP(nn.Module):
    """Flattens, then hidden layers with ReLU, then a linear layer to the outputs."""

    hidden: tuple[int, ...] = (128, 128, 128)
    initialisation: str = "truncated_normal"
    compute_dtype: str = "float32"
    outputs: int = CLASSES

    @nn.compact
    def __call__(self, x, train):
        x = x.reshape(x.shape[0], -1)
        for features in self.hidden:
            x = relu(Dense(features, self.initialisation, self.compute_dtype)(x))
        return Dense(self.outputs, self.initialisation, self.compute_dtype)(x)


class Conv(nn.Module):
    """3×3 convolutions of 32, 64, 64 channels with strides 2, 1, 1 and ReLU, global pooling."""

    pooling: str = "average"
    initialisation: str = "truncated_normal"
    compute_dtype: str = "float32"

    @nn.compact
    def __call__(self, x, train):
        for features, stride in ((32, 2), (64, 1), (64, 1)):
            layer = Convolution(features, stride, self.initialisation, self.compute_dtype)
            x = relu(layer(x))
        pool = jnp.mean if self.pooling == "average" else jnp.max
        x = pool(x, axis=(1, 2))
        return Dense(CLASSES, self.initialisation, self.compute_dtype)(x)


class ResNet20(nn.Module):
    """ResNet-20 for CIFAR (He et al. 2016, section 4.2).

    Where the shape changes, the shortcut takes every second pixel and, with "pad", appends
    zero channels (their option A, without parameters: what they use on CIFAR) or, with
    "projection", maps by a 1×1 convolution and a batch norm (option B).
    """

    shortcut: str = "pad"
    norm_decay: float = 0.9
    norm_epsilon: float = 1e-5
    initialisation: str = "truncated_normal"
    compute_dtype: str = "float32"

    @nn.compact
    def __call__(self, x, train):
        x = relu(self._norm(train)(self._convolution(16, 1)(x)))
        for level, features in enumerate((16, 32, 64)):
            for block in range(3):
                x = self._block(x, features, 2 if level and not block else 1, train)
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        return Dense(CLASSES, self.initialisation, self.compute_dtype)(x)

    def _convolution(self, features, stride):
        return Convolution(
            features, stride, self.initialisation, self.compute_dtype, use_bias=False
        )

    def _norm(self, train):
        return partial(BatchNorm(self.norm_decay, self.norm_epsilon), train=train)

    def _block(self, x, features, stride, train):
        y = relu(self._norm(train)(self._convolution(features, stride)(x)))
        y = self._norm(train)(self._convolution(features, 1)(y))
        return relu(self._shortcut(x, features, stride, train) + y)

    def _shortcut(self, x, features, stride, train):
        if stride == 1 and x.shape[-1] == features:
            return x
        x = x[:, ::stride, ::stride]
        if self.shortcut == "pad":
            return jnp.pad(x, [(0, 0)] * 3 + [(0, features - x.shape[-1])])
        flat = nn.Dense(
            features,
            use_bias=False,
            dtype=self.compute_dtype,
            kernel_init=initializer(self.initialisation),
        )(x)
        return self._norm(train)(flat)
