"""Language models: a transformer that predicts the next byte of a text."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tasks import text
from tasks.modules import functions, in_parts
from tasks.task import Dataset, Metric, Task
from tasks.text import SETS
from tasks.transformer import Transformer

BYTES = 256
# A guess is one that knows nothing of the text: all bytes alike.
METRICS = (
    Metric("bits_per_byte", "min", "bits", guess=math.log2(BYTES)),
    Metric("nats_per_byte", "min", "nats", guess=math.log(BYTES)),
)
LONGEST = 1 << 14  # context, in bytes: attention keeps its square


def language_model(
    name: str,
    text: str | None = None,
    path: str | None = None,
    context: int = 128,
    width: int = 128,
    layers: int = 2,
    heads: int = 4,
    vocabulary: int = BYTES,
    held_out: int = 512,
    compute_dtype: str = "float32",
) -> Task:
    """A decoder-only transformer, trained by the mean cross-entropy of the next byte in nats.

    Args:
      name: label in the records.
      text: "sympy" (Python source) or "gcide" (an English dictionary), see `tasks.text`.
      path: in its place a file or a folder of the user's.
      context: bytes that one example predicts.
      width: of the residual stream; twice `heads` divides it.
      layers: blocks of attention and a feed-forward layer.
      heads: of the attention.
      vocabulary: tokens; those above 255 never occur.
      held_out: most windows of the validation and of the test set, evenly spaced.
      compute_dtype: "float32" or "bfloat16".

    Raises:
      ValueError: a setting makes no sense. The data, once they are read, raise a DataError.
    """
    _check(context=context, width=width, layers=layers, heads=heads, held_out=held_out)
    _check_sizes(context, width, heads, vocabulary, compute_dtype)
    if (text is None) == (path is None):
        raise ValueError(f"give text or path, one of them; text={text!r}, path={path!r}")
    if text is not None and text not in SETS:
        raise ValueError(f"unknown text {text!r}; known: {', '.join(SETS)}")
    network = Transformer(width, layers, heads, vocabulary, compute_dtype)
    init, apply = functions(network, (context,), jnp.int32)
    return Task(
        name=name,
        init=init,
        loss=next_byte(apply),
        data=partial(_load, text, path, context, held_out),
        metrics=METRICS,
        synthetic=partial(_synthetic, context),
        one_at_a_time=True,
    )


def next_byte(apply: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of a language model (see `tasks.Task`), from (params, …, x, train) -> (logits, …).

    Batches are {"x": bytes (b, t + 1)}; all but the last are read, all but the first predicted.
    """

    def nats_of(params: Any, state: Any, tokens: jax.Array, train: bool) -> tuple[jax.Array, Any]:
        """Nats of each byte, (b, t), and the new state."""
        logits, state = apply(params, state, tokens[:, :-1], train)
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]), state

    def loss(params: Any, state: Any, batch: Any, key: jax.Array, train: bool) -> Any:
        del key
        tokens = batch["x"].astype(jnp.int32)
        if train:
            losses, new_state = nats_of(params, state, tokens, train)
        else:
            losses = in_parts(lambda part: nats_of(params, state, part, train)[0], tokens)
            new_state = state
        nats = jnp.sum(losses, axis=1)
        counts = jnp.full(nats.shape, losses.shape[1], jnp.float32)
        metrics = {
            "bits_per_byte": (nats / math.log(2), counts),
            "nats_per_byte": (nats, counts),
        }
        return jnp.mean(losses), (new_state, metrics)

    return loss


def _load(
    name: str | None, path: str | None, context: int, held_out: int, folder: str | None
) -> Dataset:
    if path is not None:
        return text.windows(text.own(Path(path)), context, held_out, path)
    assert name is not None
    return text.windows(text.load(name, folder), context, held_out, name)


def _synthetic(context: int) -> Dataset:
    return text.synthetic(context)


def _check(**sizes: Any) -> None:
    for key, value in sizes.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{key}={value!r} must be a positive integer")


def _check_sizes(context: int, width: int, heads: int, vocabulary: int, dtype: str) -> None:
    if context > LONGEST:
        raise ValueError(f"context={context} is more than {LONGEST} bytes")
    if width % (2 * heads):
        raise ValueError(
            f"width={width} must be a multiple of {2 * heads}: heads={heads} of an even number of "
            "channels each, which rotary positions turn in pairs"
        )
    if type(vocabulary) is not int or vocabulary < BYTES:
        raise ValueError(f"vocabulary={vocabulary!r} must be at least {BYTES}, the number of bytes")
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"compute_dtype={dtype!r} must be one of float32, bfloat16")
