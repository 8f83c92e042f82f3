"""A transformer's block in float64 NumPy, written from its definition with loops."""

import jax
import numpy as np

from tasks.transformer import EPSILON, WAVELENGTH


def normed(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + EPSILON) * scale


def turned(x):
    """Rotary positions as products of complex numbers: x (t, c)."""
    t, c = x.shape
    out = np.empty_like(x)
    for position in range(t):
        for i in range(c // 2):
            angle = position * WAVELENGTH ** (-2 * i / c)
            z = complex(x[position, i], x[position, i + c // 2]) * np.exp(1j * angle)
            out[position, i], out[position, i + c // 2] = z.real, z.imag
    return out


def block_in_numpy(x, params, heads, ordered=True):
    """One sequence (t, d) through a block, position by position, in float64.

    Without order no position is turned, and each sees all.
    """
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    t, d = x.shape
    c = d // heads
    qkv = normed(x, p["norm_attention"]["scale"]) @ p["qkv"]["w"]
    attended = np.zeros((t, d))
    for head in range(heads):
        own = slice(head * c, (head + 1) * c)
        q, k, v = (qkv[:, part * d : (part + 1) * d][:, own] for part in range(3))
        q, k = (turned(q), turned(k)) if ordered else (q, k)
        for now in range(t):
            seen = now + 1 if ordered else t
            weights = np.exp([q[now] @ k[other] / np.sqrt(c) for other in range(seen)])
            attended[now, own] = weights / weights.sum() @ v[:seen]
    x = x + attended @ p["attended"]["w"]
    hidden = normed(x, p["norm_hidden"]["scale"]) @ p["hidden"]["w"]
    gelu = hidden / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
    return x + gelu @ p["out"]["w"]
