"""SOAP, cautious optimizers, MARS and Muon's split: against float64 NumPy transcriptions.

A transcription loops in Python over arrays and imports nothing of ours.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite.optimizers.cautious import cautious_adamw, cautious_lion
from rllc.suite.optimizers.mars import mars_adamw
from rllc.suite.optimizers.muon_split import muon_split, split
from rllc.suite.optimizers.soap import scale_by_soap, soap
from tests.suite.optimizers.noisy_quadratic import (
    START,
    STEPS,
    arrays,
    flat,
    gradient,
    path,
    trajectory,
)

# float64 against float64: only the order of sums differs, over 60 steps of size ~0.1.
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}


def cautious_paper(directions, lr, decay):
    """`directions` yields u, pointing downhill, for each gradient sent; φ and α per array."""
    x = START
    next(directions)
    for t in range(STEPS):
        g = gradient(t, x)
        u = directions.send(g)
        parts = []
        for part, slope in zip(arrays(u), arrays(g), strict=True):
            phi = (part * -slope > 0).astype(float)
            parts.append(part * phi * (phi.size / (phi.sum() + 1)))
        x = x + lr * flat(parts) - lr * decay * x
        yield x


def adam_directions(b1, b2, eps=1e-8):
    m = v = np.zeros(10)
    u, t = None, 0
    while True:
        g = yield u
        t += 1
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        u = -(m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


def lion_directions(b1, b2):
    m, u = np.zeros(10), None
    while True:
        g = yield u
        u = -np.sign(b1 * m + (1 - b1) * g)
        m = b2 * m + (1 - b2) * g


def mars_paper(lr, gamma, b1, b2, decay, eps=1e-8, log=None):
    x, old, m, v = START, np.zeros(10), 0.0, 0.0
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        c = arrays(g + gamma * b1 / (1 - b1) * (g - old))
        norms = [np.sqrt((part**2).sum()) for part in c]
        c = flat([part / max(1, norm) for part, norm in zip(c, norms, strict=True)])
        if log is not None:
            log.extend(norm > 1 for norm in norms)
        m, v = b1 * m + (1 - b1) * c, b2 * v + (1 - b2) * c**2
        x = x - lr * (m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + decay * x)
        old = g
        yield x


def turned(x, bases, inverse=False):
    """x in the bases: every axis multiplied by Qᵀ (or Q)."""
    for axis, q in enumerate(bases):
        if q is not None:
            moved = np.moveaxis(x, axis, 0)
            shape = moved.shape
            moved = (q if inverse else q.T) @ moved.reshape(shape[0], -1)
            x = np.moveaxis(moved.reshape(shape), 0, axis)
    return x


def soap_paper(gradients, shape, b1, b2, frequency, max_dim=10_000, eps=1e-8):
    """Directions of one array for each of its gradients, as the authors order the operations."""
    rotated = [len(shape) > 1 and n <= max_dim for n in shape]
    m = v = np.zeros(shape)
    covariances = [np.zeros((n, n)) for n in shape]
    bases = [None] * len(shape)
    for t, g in enumerate(gradients):  # t = 0 only starts the bases
        direction = np.zeros(shape)
        if t > 0:
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * turned(g, bases) ** 2
            adam = turned(m, bases) / (np.sqrt(v) + eps) * np.sqrt(1 - b2**t) / (1 - b1**t)
            direction = turned(adam, bases, inverse=True)
        for axis, n in enumerate(shape):
            unfolded = np.moveaxis(g, axis, 0).reshape(n, -1)
            covariances[axis] = b2 * covariances[axis] + (1 - b2) * unfolded @ unfolded.T
            if rotated[axis] and t == 0:
                values, vectors = np.linalg.eigh(covariances[axis])
                bases[axis] = vectors[:, np.argsort(-values)]
            elif rotated[axis] and t % frequency == 0:
                bases[axis] = np.linalg.qr(covariances[axis] @ bases[axis])[0]
        yield direction


def soap_run(lr, decay, **settings):
    x = START
    parts, box = arrays(START), {}

    def stream(i):
        while True:
            yield box[i]

    papers = [soap_paper(stream(i), p.shape, **settings) for i, p in enumerate(parts)]
    for t in range(STEPS):
        box.update(enumerate(arrays(gradient(t, x))))
        x = x - lr * (flat([next(paper) for paper in papers]) + decay * x)
        yield x


@pytest.mark.slow
def test_cautious_adamw_follows_the_paper():
    reference = path(cautious_paper(adam_directions(0.8, 0.99), 0.05, 0.1))
    got = trajectory(cautious_adamw(0.05, 0.1, b1=0.8, b2=0.99))
    np.testing.assert_allclose(got, reference, **ROUNDING)
    plain = trajectory(optax.adamw(0.05, 0.8, 0.99, weight_decay=0.1))
    assert np.abs(plain - reference).max() > 0.01  # the mask did something


def test_cautious_lion_follows_the_paper():
    reference = path(cautious_paper(lion_directions(0.9, 0.95), 0.02, 0.1))
    np.testing.assert_allclose(
        trajectory(cautious_lion(0.02, 0.1, 0.9, 0.95)), reference, **ROUNDING
    )


def test_mars_follows_the_paper():
    log = []
    reference = path(mars_paper(0.1, 0.025, 0.9, 0.95, 0.1, log=log))
    got = trajectory(mars_adamw(0.1, 0.025, 0.9, 0.95, weight_decay=0.1))
    np.testing.assert_allclose(got, reference, **ROUNDING)
    assert 0 < np.mean(log) < 1  # some gradients were clipped, some were not


@pytest.mark.slow
@pytest.mark.parametrize("frequency", [1, 3, 100])
def test_soap_follows_the_paper(frequency):
    reference = path(soap_run(0.1, 0.1, b1=0.8, b2=0.95, frequency=frequency))
    got = trajectory(soap(0.1, 0.8, 0.95, weight_decay=0.1, frequency=frequency))
    # An eigenvector is known to rounding over the gap of its eigenvalue: some digits less.
    np.testing.assert_allclose(got, reference, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
def test_soap_turns_every_axis_but_long_ones():
    gradients = np.random.default_rng(0).normal(size=(20, 2, 3, 4))
    tx, settings = scale_by_soap(0.8, 0.9, frequency=4, max_dim=3), {"b1": 0.8, "b2": 0.9}
    expected = list(soap_paper(gradients, (2, 3, 4), **settings, frequency=4, max_dim=3))
    with jax.enable_x64(True):
        state, got = tx.init(jnp.zeros((2, 3, 4))), []
        for g in gradients:
            direction, state = tx.update(jnp.asarray(g), state)
            got.append(np.asarray(direction))
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)
    assert [q if q is None else q.shape for q in state.bases] == [(2, 2), (3, 3), None]


@pytest.mark.slow
def test_soap_branches_also_where_batched_runs_are_not_in_step():
    """Two runs of one vmap, one three steps behind: each changes its bases when it is due."""
    gradients = jnp.asarray(np.random.default_rng(1).normal(size=(12, 3, 3)), jnp.float32)
    tx = scale_by_soap(frequency=2)

    def after(count):
        state = tx.init(gradients[0])
        for g in gradients[:count]:
            _, state = tx.update(g, state)
        return state

    early, late = after(8), after(5)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), early, late)
    g = jnp.stack([gradients[8], gradients[5]])
    direction, both = jax.jit(jax.vmap(tx.update))(g, both)
    for i, (state, slope) in enumerate(((early, g[0]), (late, g[1]))):
        alone, next_state = tx.update(slope, state)
        np.testing.assert_allclose(direction[i], alone, rtol=2e-4, atol=1e-5)
        for x, y in zip(both.bases, next_state.bases, strict=True):
            np.testing.assert_allclose(x[i], y, rtol=2e-4, atol=1e-5)
    lowered = jax.jit(jax.vmap(tx.update)).lower(g, both).as_text()
    assert lowered.count("stablehlo.case") == 2  # no decomposition unless one is due


def test_soap_refuses_a_frequency_below_one():
    with pytest.raises(ValueError, match="frequency=0"):
        scale_by_soap(frequency=0)


@pytest.mark.slow
def test_muon_split_leaves_first_and_last_layer_to_adamw():
    layers = {f"Dense_{i}": {"w": jnp.ones((4, 4)), "b": jnp.ones(4)} for i in range(12)}
    params = {"Convolution_0": {"w": jnp.ones((3, 3, 1, 4))}, **layers}
    part = split(params)
    outer = {"Convolution_0", "Dense_11"}  # and not Dense_9, last in the order of strings
    assert {name for name in params if part[name]["w"] == "other"} == outer
    assert {part[name]["b"] for name in layers} == {"other"}

    rng = np.random.default_rng(0)
    gradients = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), params)
    tx = muon_split(0.5, adam_learning_rate=0.1)
    updates, _ = tx.update(gradients, tx.init(params), params)
    adam = optax.adamw(0.1, weight_decay=0.0, nesterov=True)
    expected, _ = adam.update(gradients, adam.init(params), params)
    np.testing.assert_array_equal(updates["Dense_11"]["w"], expected["Dense_11"]["w"])
    np.testing.assert_array_equal(updates["Dense_3"]["b"], expected["Dense_3"]["b"])
    values = np.linalg.svd(np.asarray(updates["Dense_9"]["w"]), compute_uv=False)
    assert values.min() > 0.2  # orthogonalised, times the rate of 0.5


@pytest.mark.parametrize("count", [1, 2])
def test_muon_split_of_shallow_networks_is_adamw(count):
    params = {f"Dense_{i}": jnp.ones((3, 2)) for i in range(count)}
    tx, adam = muon_split(0.5, 0.1), optax.adamw(0.1, weight_decay=0.0, nesterov=True)
    updates, _ = tx.update(params, tx.init(params), params)
    expected, _ = adam.update(params, adam.init(params), params)
    jax.tree.map(np.testing.assert_array_equal, updates, expected)
