"""A decoder-only transformer in Flax: pre-norm, rotary positions, tied embedding.

Its block is also that of `tasks.vision`, where positions are a set and attention sees them all.

Axes: b batch, t positions, d width, h heads, c channels of a head. Weights start normal with
standard deviation 1/√fan_in, those that end a residual branch divided by the root of the number of
branches (Radford et al. 2019, section 2.3). The embedding starts at 0.02, so that logits start near
0, and is multiplied by √d where it is read (Vaswani et al. 2017, section 3.4): without that, norms
make its gradient so large that only tiny rates train. There are no biases and no dropout.
Parameters are float32 whatever `compute_dtype` is; norms and softmax are computed in float32.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from tasks.networks import product

STD = 0.02  # of the initial embedding
WAVELENGTH = 10_000.0  # rotary positions: 2π times this is the longest wave, in positions
EPSILON = 1e-6  # added to the mean square in a norm
EXPANSION = 4  # hidden units of the feed-forward part, per unit of the width


def rotary(x: jax.Array) -> jax.Array:
    """Turns pairs of channels by angles that grow with the position (Su et al. 2021, section 3.2).

    Channels i and i + c/2 are turned by t · 10000^(-2i/c), so products of a query and a key depend
    on the distance of their positions alone.

    Args:
      x: queries or keys (b, t, h, c), c even.
    """
    half = x.shape[-1] // 2
    speeds = WAVELENGTH ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles = jnp.arange(x.shape[1], dtype=jnp.float32)[:, None, None] * speeds
    cos, sin = (f(angles).astype(x.dtype) for f in (jnp.cos, jnp.sin))
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def attend(q: jax.Array, k: jax.Array, v: jax.Array, causal: bool = True) -> jax.Array:
    """Softmax attention.

    Args:
      q, k, v: (b, t, h, c).
      causal: whether a position sees itself and those before it alone, or all.

    Returns:
      (b, t, h, c), in the dtype of v.
    """
    scores = jnp.einsum("bqhc,bkhc->bhqk", q, k, preferred_element_type=jnp.float32)
    scores = scores / q.shape[-1] ** 0.5
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)
    return jnp.einsum("bhqk,bkhc->bqhc", jax.nn.softmax(scores).astype(v.dtype), v)


class Norm(nn.Module):
    """Divides by the root mean square of the channels, times a learnt scale: (…, d) -> (…, d)."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        mean_square = jnp.mean(wide**2, axis=-1, keepdims=True)
        return (wide * jax.lax.rsqrt(mean_square + EPSILON) * scale).astype(x.dtype)


class Linear(nn.Module):
    """x (…, i) -> (…, features), without bias; weights start at scale/√i."""

    features: int
    scale: float = 1.0

    @nn.compact
    def __call__(self, x):
        shape = (x.shape[-1], self.features)
        start = nn.initializers.normal(self.scale / shape[0] ** 0.5)
        w = self.param("w", start, shape).astype(x.dtype)
        return product(x.reshape(-1, shape[0]), w).reshape(*x.shape[:-1], self.features)


class Block(nn.Module):
    """x + attention of its norm, then + a feed-forward layer with GELU: (b, t, d) -> (b, t, d).

    Attributes:
      heads: attention heads.
      scale: of the initial weights that end a residual branch.
      ordered: whether positions are a sequence: causal, with rotary positions. Otherwise they are
        a set, and the same permutation of input and output changes nothing.
    """

    heads: int
    scale: float
    ordered: bool = True

    @nn.compact
    def __call__(self, x):
        b, t, d = x.shape
        qkv = Linear(3 * d, name="qkv")(Norm(name="norm_attention")(x))
        q, k, v = jnp.split(qkv.reshape(b, t, 3 * self.heads, d // self.heads), 3, axis=2)
        if self.ordered:
            q, k = rotary(q), rotary(k)
        attended = attend(q, k, v, causal=self.ordered).reshape(b, t, d)
        x = x + Linear(d, self.scale, name="attended")(attended)
        hidden = Linear(EXPANSION * d, name="hidden")(Norm(name="norm_hidden")(x))
        return x + Linear(d, self.scale, name="out")(jax.nn.gelu(hidden))


class Transformer(nn.Module):
    """Tokens int (b, t) -> logits (b, t, vocabulary) of the token after each."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    vocabulary: int = 256
    compute_dtype: str = "float32"

    @nn.compact
    def __call__(self, x, train):
        del train
        shape = (self.vocabulary, self.width)
        embedding = self.param("embedding", nn.initializers.normal(STD), shape)
        embedding = embedding.astype(self.compute_dtype)
        h: Any = embedding[x] * self.width**0.5
        for i in range(self.layers):
            h = Block(self.heads, (2 * self.layers) ** -0.5, name=f"block_{i}")(h)
        return Norm(name="norm_out")(h) @ embedding.T
