"""Peer (a) of the language model: a plain loop over a jitted step with Flax and optax.

Written of Flax's own parts, as one would write it without a thought for sweeps. The shapes are
those of `tasks.transformer`, and so is the loss with the same weights.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn


def rotary(x: jax.Array) -> jax.Array:
    """Rotary positions of queries or keys (b, t, h, c), channel i in a pair with i + c/2."""
    half = x.shape[-1] // 2
    angles = jnp.outer(jnp.arange(x.shape[1]), 10_000.0 ** (-jnp.arange(half) / half))
    cos, sin = jnp.cos(angles)[:, None], jnp.sin(angles)[:, None]
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


class Block(nn.Module):
    """Pre-norm causal attention and a feed-forward layer of four times the width."""

    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, length, width = x.shape
        shape = (batch, length, self.heads, width // self.heads)
        qkv = nn.Dense(3 * width, use_bias=False, name="qkv")(nn.RMSNorm(name="norm_1")(x))
        q, k, v = (part.reshape(shape) for part in jnp.split(qkv, 3, axis=-1))
        attended = jax.nn.dot_product_attention(rotary(q), rotary(k), v, is_causal=True)
        x = x + nn.Dense(width, use_bias=False, name="attended")(attended.reshape(x.shape))
        hidden = nn.Dense(4 * width, use_bias=False, name="up")(nn.RMSNorm(name="norm_2")(x))
        return x + nn.Dense(width, use_bias=False, name="down")(nn.gelu(hidden))


class Transformer(nn.Module):
    """Bytes (b, t) -> logits (b, t, vocabulary), embedding and last layer tied."""

    vocabulary: int
    width: int
    layers: int
    heads: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        start = nn.initializers.normal(0.02)
        embed = nn.Embed(self.vocabulary, self.width, embedding_init=start, name="embed")
        x = embed(tokens) * self.width**0.5
        for layer in range(self.layers):
            x = Block(self.heads, name=f"block_{layer}")(x)
        logits: jax.Array = embed.attend(nn.RMSNorm(name="norm")(x))
        return logits


def network(spec: dict[str, Any]) -> Transformer:
    """The network of the shapes in a spec."""
    return Transformer(*(spec[key] for key in ("vocabulary", "width", "layers", "heads")))


def next_byte(model: Transformer, params: Any, windows: jax.Array) -> jax.Array:
    """Mean cross-entropy of the next byte, in nats, of windows (b, t + 1)."""
    tokens = windows.astype(jnp.int32)
    logits = model.apply({"params": params}, tokens[:, :-1])
    loss: jax.Array = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()
    return loss


def make(spec: dict[str, Any]) -> Callable[[int], None]:
    """A function that trains so many steps and waits for the end.

    Args:
      spec: vocabulary, width, layers, heads, parameters (their number), batch, windows (.npy).

    Raises:
      ValueError: another number of parameters.
    """
    windows, model = np.load(spec["windows"]), network(spec)
    params = model.init(jax.random.key(0), jnp.zeros((1, windows.shape[1] - 1), jnp.int32))
    params = params["params"]
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    if count != spec["parameters"]:
        raise ValueError(f"{count} parameters in place of {spec['parameters']}")
    tx = optax.adam(1e-3)
    state = tx.init(params)

    @jax.jit
    def step(params: Any, state: Any, batch: jax.Array) -> tuple[Any, Any, jax.Array]:
        value, gradients = jax.value_and_grad(lambda p: next_byte(model, p, batch))(params)
        updates, state = tx.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    rng = np.random.default_rng(0)
    order, place = rng.permutation(len(windows)), 0

    def train(steps: int) -> None:
        nonlocal params, state, order, place
        for _ in range(steps):
            if place + spec["batch"] > len(order):
                order, place = rng.permutation(len(windows)), 0
            chosen = order[place : place + spec["batch"]]
            place += spec["batch"]
            params, state, value = step(params, state, windows[chosen])
        value.block_until_ready()

    return train


def version() -> str:
    """Of what is measured."""
    return f"jax {jax.__version__}"
