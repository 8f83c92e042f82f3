"""Muon and its split against float64 NumPy transcriptions, which import nothing of ours.

Momentum is Nesterov's with Nadam's bias corrections, as in optax; the author's code has none, which
turns the direction a little in the first steps only.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite.optimizers.muon import muon
from rllc.suite.optimizers.muon_split import muon_split

pytestmark = pytest.mark.slow

STEPS, RATE, ADAM_RATE, BETA, DECAY = 40, 0.1, 0.03, 0.8, 0.2
# A kernel taller and one wider than its outputs, and biases; three layers deep for the split.
SHAPES = {
    "Convolution_0": {"w": (3, 3, 1, 4), "b": (4,)},
    "Convolution_1": {"w": (1, 2, 4, 3), "b": (3,)},
    "Dense_0": {"w": (3, 7)},
    "Dense_1": {"w": (7, 2), "b": (2,)},
}
PATHS = [(layer, name) for layer, arrays in SHAPES.items() for name in arrays]
RNG = np.random.default_rng(0)
START = {path: RNG.normal(size=SHAPES[path[0]][path[1]]) for path in PATHS}
# Of changing size, and with a mean, so that momentum has something to remember.
GRADIENTS = {
    path: (0.3 + RNG.normal(size=(STEPS, *x.shape))) * RNG.uniform(0.1, 2, (STEPS, *[1] * x.ndim))
    for path, x in START.items()
}


def orthogonalised(m):
    """Five quintic Newton-Schulz steps from the matrix over its Frobenius norm."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = m / (np.sqrt((m**2).sum()) + 1e-8)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


def muon_paper(gradients, start, corrected=True):
    """Arrays after each step; kernels are matrices from all input axes to the outputs."""
    x, m = start, np.zeros_like(start)
    for t, g in enumerate(gradients, start=1):
        m = BETA * m + (1 - BETA) * g
        old, new = (1 - BETA ** (t + 1), 1 - BETA**t) if corrected else (1, 1)
        mixed = BETA * m / old + (1 - BETA) * g / new
        matrix = mixed.reshape(-1, mixed.shape[-1])
        inputs, outputs = matrix.shape
        step = np.sqrt(max(1, outputs / inputs)) * orthogonalised(matrix)
        x = x - RATE * (step.reshape(x.shape) + DECAY * x)
        yield x


def nadam_paper(gradients, start, rate, b1=0.9, b2=0.999, eps=1e-8):
    x, m, v = start, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        mixed = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        x = x - rate * mixed / (np.sqrt(v / (1 - b2**t)) + eps)
        yield x


def trajectory(tx):
    """Every array after each step: path -> (steps, …)."""
    with jax.enable_x64(True):
        tree = {layer: {} for layer in SHAPES}
        params, gradients = ({k: dict(v) for k, v in tree.items()} for _ in range(2))
        for layer, name in PATHS:
            params[layer][name] = jnp.asarray(START[layer, name])
            gradients[layer][name] = jnp.asarray(GRADIENTS[layer, name])

        def step(carry, g):
            updates, state = tx.update(g, carry[1], carry[0])
            params = optax.apply_updates(carry[0], updates)
            return (params, state), params

        run = jax.jit(lambda: jax.lax.scan(step, (params, tx.init(params)), gradients)[1])
        found = run()
        return {path: np.asarray(found[path[0]][path[1]]) for path in PATHS}


def assert_same(got, path, paper):
    expected = np.stack(list(paper))
    # Newton-Schulz amplifies small singular values some 3.4⁵ = 480 times, rounding with them.
    np.testing.assert_allclose(got[path], expected, rtol=1e-9, atol=1e-11, err_msg=str(path))


def test_muon_follows_the_paper_on_kernels_and_nadam_on_biases():
    got = trajectory(muon(RATE, beta=BETA, weight_decay=DECAY, adam_learning_rate=ADAM_RATE))
    for path in PATHS:
        given = GRADIENTS[path], START[path]
        if path[1] == "w":
            assert_same(got, path, muon_paper(*given))
        else:
            assert_same(got, path, nadam_paper(*given, ADAM_RATE))


def test_the_split_is_muon_inside_and_nadam_at_both_ends():
    got = trajectory(muon_split(RATE, ADAM_RATE, beta=BETA, weight_decay=DECAY))
    hidden = [("Convolution_1", "w"), ("Dense_0", "w")]
    for path in PATHS:
        given = GRADIENTS[path], START[path]
        if path in hidden:
            assert_same(got, path, muon_paper(*given))
        else:
            assert_same(got, path, nadam_paper(*given, ADAM_RATE))


def test_the_authors_momentum_differs_in_the_first_steps_only():
    path = ("Dense_0", "w")
    ours, theirs = (
        np.diff(list(muon_paper(GRADIENTS[path], START[path], c)), axis=0) for c in (True, False)
    )
    apart = np.abs(ours - theirs).max(axis=(1, 2))
    assert apart[0] > 1e-3
    assert apart[-1] < 0.05 * apart[0]  # what is left is weight decay of the first difference
