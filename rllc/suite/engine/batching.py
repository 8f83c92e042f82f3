"""Which examples every step sees: a fresh permutation per epoch, remainder dropped.

Drawn on the host from a generator named by (seed, epoch), so every optimizer, group size,
device and resumed run of a seed sees the same batches. (A permutation of 54,000 costs half
a millisecond here and twenty inside an XLA program on a CPU.)
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ORDER, INIT, AUGMENTATION, NOISE, EVALUATION = range(5)  # named random streams of one seed


def batch_indices(seed: int, start: int, stop: int, examples: int, batch: int) -> np.ndarray:
    """Indices of the training examples of steps start+1 … stop.

    Returns:
      int32 (stop - start, b). Within an epoch no example repeats.

    Raises:
      ValueError: a batch is larger than the training set.
    """
    if batch > examples:
        raise ValueError(f"batch of {batch} from {examples} training examples")
    per_epoch = examples // batch
    epochs = [
        _epoch(seed, epoch, examples) for epoch in range(start // per_epoch, -(-stop // per_epoch))
    ]
    batches = np.concatenate(
        [order[: per_epoch * batch].reshape(per_epoch, batch) for order in epochs]
    )
    first = start - (start // per_epoch) * per_epoch
    return batches[first : first + stop - start]


@lru_cache(maxsize=64)
def _epoch(seed: int, epoch: int, examples: int) -> np.ndarray:
    source = np.random.SeedSequence(seed, spawn_key=(ORDER, epoch))
    return np.random.default_rng(source).permutation(examples).astype(np.int32)


def stream_key(seed: jax.Array | int, stream: int) -> jax.Array:
    """JAX key of a named stream of a (possibly traced) seed."""
    return jax.random.fold_in(jax.random.key(seed), stream)


def abstract_batch(split: Any, size: int) -> Any:
    """Shapes and dtypes of a batch of a split of a data set (see `tasks.Dataset`).

    Args:
      split: a pytree of arrays, or a function (key, step) -> batch.
      size: examples in a batch of arrays.
    """
    if callable(split):
        return jax.eval_shape(split, jax.random.key(0), jnp.zeros((), jnp.int32))

    def leaf(array: np.ndarray) -> jax.ShapeDtypeStruct:
        dtype = jax.dtypes.canonicalize_dtype(array.dtype)
        return jax.ShapeDtypeStruct((size, *array.shape[1:]), dtype)

    return jax.tree.map(leaf, split)


def example_count(data: Any) -> int:
    """Training examples; 0 where batches are generated."""
    return 0 if callable(data.train) else len(jax.tree.leaves(data.train)[0])
