"""A held-out split as batches of one shape, and means over its examples.

Arrays are evaluated in calls of 512 examples, padded where they do not divide; the sums that come
back are over blocks of 128. Generated splits are a few batches, made once; a block is a batch.

Axes: s seeds, r runs, m calls, q blocks.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rllc.suite.engine.batching import EVALUATION, stream_key
from rllc.suite.metrics import SPLITS

BLOCK = 128  # test batches of the paper, over which its accuracies are averaged
CALL = 4 * BLOCK


class HeldOut(NamedTuple):
    """A split, ready for the device.

    Attributes:
      batches: pytree of arrays (m, 512, …), or (m, …) as they were generated.
      known: bool (m, 512), False at padding; None if the batches were generated.
    """

    batches: Any
    known: np.ndarray | None


def held_out(data: Any, split: str) -> HeldOut:
    """The split of a data set (see `tasks.Dataset`) that has this name."""
    examples = getattr(data, split)
    if not callable(examples):
        return HeldOut(jax.tree.map(_calls, examples), _known(examples))
    numbers = jnp.arange(getattr(data, "evaluation_batches", 8))
    key = stream_key(SPLITS.index(split), EVALUATION)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)
    return HeldOut(jax.jit(jax.vmap(examples))(keys, numbers), None)


def _calls(array: np.ndarray) -> np.ndarray:
    """(n, …) -> (m, 512, …), zeros at the end."""
    padded = np.pad(array, [(0, -len(array) % CALL)] + [(0, 0)] * (array.ndim - 1))
    return padded.reshape(-1, CALL, *array.shape[1:])


def _known(examples: Any) -> np.ndarray:
    count = len(jax.tree.leaves(examples)[0])
    return (np.arange(count + -count % CALL) < count).reshape(-1, CALL)


def block_sums(value: Any, known: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Sums and counts (q,) over the blocks of one call of one run.

    Args:
      value: of a metric: per example, or a pair of sums and counts.
      known: (512,), see `HeldOut`.
    """
    sums, counts = value if isinstance(value, tuple) else (value, jnp.ones(jnp.shape(value)))
    return _over_blocks(sums, known), _over_blocks(counts, known)


def _over_blocks(values: jax.Array, known: jax.Array | None) -> jax.Array:
    values = jnp.asarray(values, jnp.float32)
    if known is None:
        return jnp.sum(values)[None]
    return jnp.where(known, values, 0).reshape(-1, BLOCK).sum(axis=1)


def mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean over examples, (s, r): sums and counts (s, r, q)."""
    means: np.ndarray = sums.sum(axis=-1, dtype=np.float64) / counts.sum(axis=-1, dtype=np.float64)
    return means


def batch_mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean over the blocks of their means, (s, r), as the paper reports it."""
    present = (counts > 0).any(axis=(0, 1))
    of_blocks = sums[..., present].astype(np.float64) / counts[..., present]
    means: np.ndarray = of_blocks.mean(axis=-1)
    return means
