"""Winograd's minimal filtering F(2×2, 3×3) (Lavin & Gray, 2015, section 4.1).

A 3×3 convolution of stride 1 with 16 multiplications where the definition has 36, per 2×2
pixels of output and pair of channels. The transforms are additions, so float32 stays float32:
about 1e-6 of the largest output, like the plain convolution.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

WEIGHTS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)  # G


def convolution(x: jax.Array, w: jax.Array, count: int) -> jax.Array:
    """'SAME' convolution of stride 1.

    Args:
      x: images (b, h, w, c); height and width even.
      w: weights (3, 3, c, o).
      count: images in work at a time; divides b. Their transforms should fit the cache.

    Returns:
      (b, h, w, o).
    """
    transform = jnp.asarray(WEIGHTS, w.dtype)
    u = jnp.einsum("ai,bj,ijco->abco", transform, transform, w)

    def some(x):
        v = _over_rows_and_columns(_input_transform, _windows(x))
        m = [[v[a][b] @ u[a, b] for b in range(4)] for a in range(4)]
        return _interleaved(_over_rows_and_columns(_output_transform, m))

    return lax.map(some, x.reshape(-1, count, *x.shape[1:])).reshape(*x.shape[:3], w.shape[-1])


def products(x: jax.Array, dy: jax.Array) -> jax.Array:
    """Images x (b, h, w, c) by gradients dy (b, h, w, o) of the output: (4, 4, c, o), float32.

    What `weight_gradient` maps to the gradient of the weights, once it is summed over images.
    """
    v = _over_rows_and_columns(_input_transform, _windows(x))
    tiles = [[dy[:, i::2, j::2] for j in range(2)] for i in range(2)]
    m = _over_rows_and_columns(_gradient_transform, tiles)
    return jnp.stack([jnp.stack([_contract(v[a][b], m[a][b]) for b in range(4)]) for a in range(4)])


def weight_gradient(total: jax.Array) -> jax.Array:
    """(4, 4, c, o) -> (3, 3, c, o): the transpose of the weights' transform."""
    transform = jnp.asarray(WEIGHTS)
    return jnp.einsum("ai,bj,abco->ijco", transform, transform, total)


def _contract(a, b):
    """(b, h, w, c), (b, h, w, o) -> (c, o)."""
    return a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])


def _windows(x):
    """4×4 windows, two pixels apart: 4 × 4 arrays (b, h/2, w/2, c), one per pixel in a window."""
    height, width = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [
        [x[:, i : i + height - 1 : 2, j : j + width - 1 : 2] for j in range(4)] for i in range(4)
    ]


def _over_rows_and_columns(transform, grid):
    """Applies a one-dimensional transform along both axes of a square list of lists."""
    columns = [transform(column) for column in zip(*grid, strict=True)]
    return [transform(row) for row in zip(*columns, strict=True)]


def _input_transform(d):
    """Bᵀd."""
    return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]


def _output_transform(m):
    """Aᵀm."""
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]


def _gradient_transform(d):
    """Ad."""
    return d[0], d[0] + d[1], d[0] - d[1], -d[1]


def _interleaved(grid):
    """2 × 2 arrays (b, h/2, w/2, o), one per pixel of a tile -> (b, h, w, o)."""
    rows = jnp.stack([jnp.stack(row, axis=3) for row in grid], axis=2)
    b, height, _, width, _, o = rows.shape
    return rows.reshape(b, 2 * height, 2 * width, o)
