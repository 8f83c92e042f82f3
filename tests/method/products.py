"""Inner products as the update takes them, and in float64."""

import jax.numpy as jnp
import numpy as np

from rllc.reduction import inner_products


def products(arrays, dtype=jnp.float32):
    """All inner products of these arrays, as the update takes them."""
    pairs = [(x, y) for i, x in enumerate(arrays) for y in arrays[i:]]
    return jnp.stack(inner_products(pairs, dtype))


def random(number, shape, seed=0):
    return list(np.random.default_rng(seed).standard_normal((number, *shape)).astype(np.float32))


def exact(arrays):
    flat = np.stack([np.asarray(x, np.float64).ravel() for x in arrays])
    return (flat @ flat.T)[np.triu_indices(len(arrays))], np.linalg.norm(flat, axis=1)
