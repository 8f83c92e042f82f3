"""3×3 'SAME' convolution that stays fast inside `scan` and under `vmap` over its weights.

On a CPU, XLA's own forward convolution reaches the rate of a matrix product from 32 channels on,
but its neighbours do not: fewer channels, where it spends its time on gathering patches; the
gradient of the weights, some 20 times slower inside a loop than outside; and a `vmap` over
weights, which becomes a grouped convolution. So the products here are written by hand, in the
forms that were fastest for the layers of the paper's networks, all of which XLA maps onto its
fast kernels; and `vmap` runs them one after another, as one network's activations fit the cache
and those of a dozen do not. A few images are in work at a time for the same reason.

On other backends this is ``lax.conv_general_dilated``, and `vmap` over weights unrolls: a grouped
convolution there is slow, too.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from tasks import winograd

LAYOUT = ("NHWC", "HWIO", "NHWC")
IMAGES, GRADIENT_IMAGES = 16, 8  # most images in work at a time, forward and for the weights
NARROW = 8  # channels below which a pixel is less than a vector register
WIDE = 32  # channels from which XLA's convolution is as fast as a product, and Winograd's faster


def convolution(x: jax.Array, w: jax.Array, stride: int = 1) -> jax.Array:
    """Convolves with 'SAME' padding, as ``lax.conv_general_dilated`` does.

    On a CPU it has reverse-mode derivatives only.

    Args:
      x: images (b, h, w, c).
      w: weights (3, 3, c, o).
      stride: 1 or 2, along height and width.

    Returns:
      (b, ceil(h / stride), ceil(w / stride), o).
    """
    if jax.default_backend() == "cpu":
        return by_hand(x, w, stride)
    return apart(x, w, stride)


def plain(x: jax.Array, w: jax.Array, stride: int = 1) -> jax.Array:
    """The convolution as XLA knows it; arguments as for `convolution`."""
    return lax.conv_general_dilated(x, w, (stride, stride), "SAME", dimension_numbers=LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def apart(x: jax.Array, w: jax.Array, stride: int = 1) -> jax.Array:
    """`plain`, but under `vmap` over weights one convolution per slice; arguments as there."""
    return _unrolled(partial(plain, stride=stride))(x, w)


def _save_apart(x, w, stride):
    return apart(x, w, stride), (x, w)


def _pull_back_apart(stride, saved, dy):
    def gradients(x, w, dy):
        return jax.vjp(partial(plain, stride=stride), x, w)[1](dy)

    return _unrolled(gradients)(*saved, dy)


apart.defvjp(_save_apart, _pull_back_apart)


def _unrolled(function: Callable) -> Callable:
    """`vmap` of the function computes slice by slice in one program, however deeply nested."""
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def rule(size, batched, *args):
        slices = [
            mapped(*[a[i] if b else a for a, b in zip(args, batched, strict=True)])
            for i in range(size)
        ]
        stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *slices)
        return stacked, jax.tree.map(lambda _: True, stacked)

    return mapped


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def by_hand(x: jax.Array, w: jax.Array, stride: int = 1) -> jax.Array:
    """The convolution with the derivatives below; arguments as for `convolution`."""
    return _forward(stride)(x, w)


def _save(x, w, stride):
    return by_hand(x, w, stride), (x, w)


def _pull_back(stride, saved, dy):
    x, w = saved
    return _input_gradient(x.shape[1:3], stride)(dy, w), _weight_gradient(stride)(x, dy)


by_hand.defvjp(_save, _pull_back)


def in_turn(function: Callable) -> Callable:
    """`vmap` of the function runs it for one slice after another, however deeply nested."""
    mapped = jax.custom_batching.custom_vmap(function)

    @mapped.def_vmap
    def rule(size, batched, *args):
        def one(slices):
            slices = iter(slices)
            return mapped(*[next(slices) if b else a for a, b in zip(args, batched, strict=True)])

        return lax.map(one, [a for a, b in zip(args, batched, strict=True) if b]), True

    return mapped


def _forward(stride):
    return in_turn(_fastest if stride == 1 else partial(plain, stride=stride))


def _fastest(x, w):
    """Stride 1."""
    c, o = w.shape[2:]
    if _suits_winograd(x, o):
        return winograd.convolution(x, w, _divisor(x.shape[0], IMAGES))
    wanted = 1 if o >= WIDE else 2 if c >= NARROW else 4
    return _joined(x, w, math.gcd(x.shape[2], wanted))


def _suits_winograd(x, o):
    even = x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0
    return even and min(x.shape[3], o) >= WIDE and x.dtype == jnp.float32


def _divisor(b, most):
    return max(count for count in range(1, most + 1) if b % count == 0)


def _joined(x, w, n):
    """Stride 1; n pixels of a row are one pixel of n·o channels, computed from one 3 × (n+2) patch.

    (n+2)/3 times the multiplications, but 3n/(n+2) times fewer numbers gathered.
    """
    shifted = [jnp.pad(w, ((0, 0), (i, n - 1 - i), (0, 0), (0, 0))) for i in range(n)]
    y = lax.conv_general_dilated(
        x, jnp.concatenate(shifted, -1), (1, n), ((1, 1), (1, 1)), dimension_numbers=LAYOUT
    )
    return y.reshape(*x.shape[:3], w.shape[-1])


def _input_gradient(size, stride):
    """(dy (b, h', w', o), w) -> dx (b, h, w, c)."""

    def mirrored(dy, w):
        return _fastest(dy, jnp.swapaxes(w[::-1, ::-1], 2, 3))

    def scattered(dy, w):
        shape = (dy.shape[0], *size, w.shape[2])
        unfolded = dy @ w.reshape(-1, w.shape[-1]).T
        (dx,) = jax.linear_transpose(
            partial(patches, stride=stride), jax.ShapeDtypeStruct(shape, dy.dtype)
        )(unfolded)
        return dx

    return in_turn(mirrored if stride == 1 else scattered)


def _weight_gradient(stride):
    """(x, dy) -> dw (3, 3, c, o)."""

    def gradient(x, dy):
        if stride == 1 and _suits_winograd(x, dy.shape[-1]):
            return winograd.weight_gradient(_summed(winograd.products, x, dy))
        return _summed(_product(x.shape[-1], stride), x, dy).astype(x.dtype)

    return in_turn(gradient)


def _summed(product, x, dy):
    """The sum of product(x, dy) over a few images at a time."""
    count = _divisor(x.shape[0], GRADIENT_IMAGES)
    chunks = [v.reshape(-1, count, *v.shape[1:]) for v in (x, dy)]

    def add(total, images):
        return total + product(*images), None

    zero = jax.eval_shape(product, *[v[0] for v in chunks])
    return lax.scan(add, jnp.zeros(zero.shape, zero.dtype), chunks)[0]


def _product(channels: int, stride: int) -> Callable:
    if stride > 1:
        return partial(_patches_product, stride=stride)
    return _rows_product if NARROW <= channels < WIDE else _transposed_product


def _transposed_product(x, dy):
    """Stride 1, float32 (3, 3, c, o): x (c, h, w, b) convolved with dy (h, w, b, o) as weights."""
    product = lax.conv_general_dilated(
        jnp.transpose(x, (3, 1, 2, 0)),
        jnp.transpose(dy, (1, 2, 0, 3)),
        (1, 1),
        ((1, 1), (1, 1)),
        dimension_numbers=LAYOUT,
        preferred_element_type=jnp.float32,
    )
    return jnp.transpose(product, (1, 2, 0, 3))


def _rows_product(x, dy):
    """Stride 1, float32 (3, 3, c, o): 3 pixels of a row of x by 3 of a column of dy."""
    (h, w, c), o = x.shape[1:], dy.shape[-1]
    x = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    dy = jnp.pad(dy, ((0, 0), (1, 1), (0, 0), (0, 0)))
    rows = jnp.concatenate([x[:, :, j : j + w] for j in range(3)], axis=-1)
    columns = jnp.concatenate([dy[:, i : i + h] for i in (2, 1, 0)], axis=-1)
    product = _contract(columns.reshape(-1, 3 * o), rows.reshape(-1, 3 * c))
    return jnp.transpose(product.reshape(3, o, 3, c), (0, 2, 3, 1))


def _patches_product(x, dy, stride):
    """Any stride, float32 (3, 3, c, o): the product of dy with the patches of x."""
    c, o = x.shape[-1], dy.shape[-1]
    # In this order; the other is half as fast.
    product = _contract(dy.reshape(-1, o), patches(x, stride).reshape(-1, 9 * c))
    return jnp.transpose(product.reshape(o, 3, 3, c), (1, 2, 3, 0))


def _contract(a, b):
    """aᵀb, summed in float32."""
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)


def patches(x: jax.Array, stride: int) -> jax.Array:
    """The 3×3 neighbourhoods of (b, h, w, c): (b, h', w', 9c), row by row, channels last."""
    padding = [same_padding(size, stride) for size in x.shape[1:3]]
    x = jnp.pad(x, [(0, 0), *padding, (0, 0)])
    height, width = ((size - 3) // stride + 1 for size in x.shape[1:3])
    taps = [
        x[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        for i in range(3)
        for j in range(3)
    ]
    return jnp.concatenate(taps, axis=-1)


def same_padding(size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis of length `size`, TensorFlow's 'SAME' for a width of 3."""
    total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    return total // 2, total - total // 2
