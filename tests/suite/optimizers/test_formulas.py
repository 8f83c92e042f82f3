"""The neighbours against float64 NumPy transcriptions of their papers' formulas.

A transcription keeps one flat vector (or a list of arrays where the method works per array),
loops in Python and imports nothing of ours. Random gradients, so no trajectory is special.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite.optimizers.adabound import adabound
from rllc.suite.optimizers.critical_gradients import (
    critical_adam,
    critical_sgd,
    scale_by_critical_gradients,
)
from rllc.suite.optimizers.diffgrad import diffgrad
from rllc.suite.optimizers.muon import kernels_as_matrices, muon
from rllc.suite.optimizers.swats import swats

STEPS = 60
SHAPES = {"kernel": (3, 2), "bias": (4,)}
# float64 against float64: only the order of sums differs, over 60 steps of size ~0.1.
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}

Arrays = list[np.ndarray]


def gradient_sequence(seed: int = 0) -> list[Arrays]:
    """Gradients of 60 steps, one array per shape; of changing size, so norms differ."""
    rng = np.random.default_rng(seed)
    return [
        [rng.normal(size=shape) * rng.uniform(0.1, 2.0) for shape in SHAPES.values()]
        for _ in range(STEPS)
    ]


def trajectory(tx: optax.GradientTransformation, gradients: list[Arrays]) -> np.ndarray:
    """Sum of updates after each step, flat, float64: (steps, n)."""
    with jax.enable_x64(True):
        params = {name: jnp.zeros(shape, jnp.float64) for name, shape in SHAPES.items()}

        def step(carry, arrays):
            params, state = carry
            updates, state = tx.update(dict(zip(SHAPES, arrays, strict=True)), state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        stacked = [jnp.asarray(np.stack(arrays)) for arrays in zip(*gradients, strict=True)]
        _, path = jax.jit(lambda *xs: jax.lax.scan(step, (params, tx.init(params)), list(xs)))(
            *stacked
        )
        return np.concatenate([np.asarray(path[k]).reshape(STEPS, -1) for k in SHAPES], axis=1)


def expected(steps: Iterator[np.ndarray]) -> np.ndarray:
    return np.cumsum(np.stack(list(steps)), axis=0)


def flat(gradients: list[Arrays]) -> Arrays:
    return [np.concatenate([a.ravel() for a in arrays]) for arrays in gradients]


def diffgrad_paper(gradients, lr, b1=0.9, b2=0.999, eps=1e-8):
    m = v = old = np.zeros_like(gradients[0])
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        friction = 1 / (1 + np.exp(-np.abs(old - g)))
        old = g
        yield -lr * friction * m_hat / (np.sqrt(v_hat) + eps)


def adabound_paper(gradients, lr, final, b1=0.9, b2=0.999, gamma=1e-3, eps=1e-8):
    m = v = np.zeros_like(gradients[0])
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        low, high = final - final / (gamma * t + 1), final + final / (gamma * t)
        size = lr * np.sqrt(1 - b2**t) / (1 - b1**t) / (np.sqrt(v) + eps)
        yield -np.minimum(np.maximum(size, low), high) * m


def swats_paper(gradients, lr, tolerance, b1=0.9, b2=0.999, eps=1e-9, log=None):
    phase, lam, rate = "Adam", 0.0, 0.0
    m = a = v = np.zeros_like(gradients[0])
    for k, g in enumerate(gradients, start=1):
        if phase == "SGD":
            v = b1 * v + g
            yield -(1 - b1) * rate * v
            continue
        m, a = b1 * m + (1 - b1) * g, b2 * a + (1 - b2) * g**2
        p = -lr * np.sqrt(1 - b2**k) / (1 - b1**k) * m / (np.sqrt(a) + eps)
        yield p
        if p @ g != 0:
            gamma = p @ p / -(p @ g)
            lam = b2 * lam + (1 - b2) * gamma
            rate = lam / (1 - b2**k)
            if k > 1 and abs(rate - gamma) < tolerance and rate > 0:
                phase = "SGD"
                if log is not None:
                    log.append(k)


def joined_paper(gradients, capacity, decay, kappa, aggregation):
    """One array's gradients joined with its critical ones; the buffer is a list of pairs."""
    kept: list[tuple[float, np.ndarray]] = []
    for g in gradients:
        others = [old for _, old in kept]
        if not others:
            yield g
        elif aggregation == "sum":
            yield g + kappa * sum(others) / len(others)
        else:
            yield (g + kappa * sum(others)) / (len(others) + 1)
        norm = np.sqrt((g**2).sum())
        if len(kept) < capacity:
            kept.append((norm, g))
        elif norm > (lowest := min(kept, key=lambda item: item[0]))[0]:
            kept = [item for item in kept if item is not lowest] + [(norm, g)]
        kept = [(decay * priority, old) for priority, old in kept]


def joined(gradients, **settings) -> Arrays:
    """`joined_paper` per array, flat per step."""
    per_array = [list(joined_paper(list(a), **settings)) for a in zip(*gradients, strict=True)]
    return flat([list(arrays) for arrays in zip(*per_array, strict=True)])


def sgd_paper(gradients, lr, momentum=0.0):
    v = np.zeros_like(gradients[0])
    for g in gradients:
        v = momentum * v + g
        yield -lr * v


def adam_paper(gradients, lr, b1=0.9, b2=0.999, eps=1e-8):
    m = v = np.zeros_like(gradients[0])
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        yield -lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


def test_diffgrad_follows_the_paper():
    gradients = gradient_sequence()
    got = trajectory(diffgrad(0.1, b1=0.8, b2=0.99), gradients)
    np.testing.assert_allclose(
        got, expected(diffgrad_paper(flat(gradients), 0.1, b1=0.8, b2=0.99)), **ROUNDING
    )


@pytest.mark.parametrize("gamma", [1e-3, 0.5])  # a wide band, and one that closes
def test_adabound_follows_the_paper(gamma):
    gradients = gradient_sequence()
    got = trajectory(adabound(0.01, 0.2, gamma=gamma), gradients)
    reference = expected(adabound_paper(flat(gradients), 0.01, 0.2, gamma=gamma))
    np.testing.assert_allclose(got, reference, **ROUNDING)


def test_adabound_ends_as_momentum_sgd_of_its_final_rate():
    gradients = gradient_sequence()
    got = trajectory(adabound(0.01, 0.2, gamma=1e9), gradients)
    ema = [(1 - 0.9) * g for g in flat(gradients)]
    # The closed band still has a relative width of 1/(γt) = 1e-9.
    np.testing.assert_allclose(got, expected(sgd_paper(ema, 0.2, 0.9)), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("tolerance", [1e-9, 1e-3, 10.0])  # never, on the way, at step 2
def test_swats_follows_the_paper(tolerance):
    gradients, log = gradient_sequence(), []
    reference = expected(swats_paper(flat(gradients), 0.01, tolerance, log=log))
    np.testing.assert_allclose(trajectory(swats(0.01, tolerance), gradients), reference, **ROUNDING)
    switched = {1e-9: [], 10.0: [2]}.get(tolerance, log)
    assert log == switched
    if tolerance == 1e-3:
        assert 2 < log[0] < STEPS  # both phases are in the comparison


@pytest.mark.slow
def test_swats_does_not_switch_to_a_rate_that_climbs():
    """A gradient that turns against Adam's momentum gives γ < 0, and here a mean rate < 0."""
    tx = swats(0.1, switch_tolerance=100.0, b1=0.99)
    state = tx.init(jnp.zeros(1))
    for gradient in (1.0, -0.1):
        _, state = tx.update(jnp.full(1, gradient), state)
    assert state.mean_rate < 0
    assert state.sgd_rate == 0


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["sum", "mean"])
@pytest.mark.parametrize(("capacity", "decay"), [(1, 0.9), (5, 0.7), (20, 0.99)])
def test_critical_gradients_follow_the_paper(aggregation, capacity, decay):
    gradients = gradient_sequence()
    settings = {"capacity": capacity, "decay": decay, "kappa": 0.6, "aggregation": aggregation}
    reference = joined(gradients, **settings)
    sgd = trajectory(critical_sgd(0.1, momentum=0.9, **settings), gradients)
    np.testing.assert_allclose(sgd, expected(sgd_paper(reference, 0.1, 0.9)), **ROUNDING)
    adam = trajectory(critical_adam(0.1, **settings), gradients)
    np.testing.assert_allclose(adam, expected(adam_paper(reference, 0.1)), **ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize(("capacity", "decay"), [(5, 0.7), (3, 0.95)])
def test_critical_gradients_keep_those_of_largest_decayed_norm(capacity, decay):
    """Norms 5, 4, 3, 2, 1, …: the buffer turns over only as fast as priorities decay."""
    tx = scale_by_critical_gradients(capacity, decay)
    state = tx.init(jnp.zeros(1))
    for norm in (5.0, 4.0, 3.0, 0.1, 0.1, 0.1):
        _, state = tx.update(jnp.full(1, norm), state)
    kept = sorted(np.asarray(state.buffer).ravel(), reverse=True)
    assert kept[:3] == [5.0, 4.0, 3.0]


def test_a_full_buffer_keeps_what_is_as_large_as_the_newcomer():
    tx = scale_by_critical_gradients(capacity=1, decay=1.0)
    state = tx.init(jnp.zeros(1))
    for gradient in (3.0, -3.0):
        _, state = tx.update(jnp.full(1, gradient), state)
    assert float(state.buffer[0, 0]) == 3.0


def test_priorities_of_bfloat16_gradients_are_compared_in_float32():
    """Norms 128.25 and 128.56 are the same number in bfloat16; the larger has to replace."""
    tx = scale_by_critical_gradients(capacity=1, decay=0.999)
    state = tx.init(jnp.zeros(2, jnp.bfloat16))
    _, state = tx.update(jnp.array([128.0, 8.0], jnp.bfloat16), state)
    _, state = tx.update(jnp.array([128.0, 12.0], jnp.bfloat16), state)
    assert state.priority.dtype == jnp.float32
    assert float(state.buffer[0, 1]) == 12.0


@pytest.mark.parametrize("settings", [{"capacity": 0}, {"aggregation": "median"}])
def test_critical_gradients_refuse_unknown_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        scale_by_critical_gradients(**settings)


@pytest.mark.slow
def test_muon_orthogonalises_kernels_of_any_rank_and_leaves_biases_to_adam():
    params = {"conv": jnp.ones((3, 3, 2, 5)), "dense": jnp.ones((4, 3)), "bias": jnp.ones(3)}
    views = kernels_as_matrices(params)
    assert views["bias"] is None
    assert views["conv"].reduction_axis == (0, 1, 2)
    rng = np.random.default_rng(0)
    gradients = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), params)
    tx = muon(1.0)
    updates, _ = tx.update(gradients, tx.init(params), params)
    values = np.linalg.svd(np.asarray(updates["conv"]).reshape(18, 5), compute_uv=False)
    # Newton-Schulz with optax's coefficients maps singular values into about 0.7 … 1.2.
    assert values.min() > 0.6 * values.max()
    adam = optax.adamw(1.0, weight_decay=0.0, nesterov=True)
    bias, _ = adam.update(gradients["bias"], adam.init(params["bias"]), params["bias"])
    np.testing.assert_array_equal(updates["bias"], bias)


def build(name: str) -> Callable[..., optax.GradientTransformation]:
    return {
        "diffgrad": diffgrad,
        "adabound": adabound,
        "swats": lambda lr: swats(lr, 1e-3),
        "critical_sgd": critical_sgd,
        "critical_adam": critical_adam,
    }[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diffgrad", "adabound", "swats", "critical_sgd", "critical_adam"])
def test_neighbours_hold_their_dtype_and_vectorise(name):
    """bf16 parameters keep bf16 updates; vmap over rates equals one rate at a time."""
    rates = jnp.array([0.01, 0.1])
    rng = np.random.default_rng(0)
    gradients = jnp.asarray(rng.normal(size=(12, 5)), jnp.float32)

    def end(lr):
        tx = build(name)(lr)

        def step(carry, g):
            updates, state = tx.update(g, carry[1], carry[0])
            return (optax.apply_updates(carry[0], updates), state), None

        params = jnp.zeros(5)
        return jax.lax.scan(step, (params, tx.init(params)), gradients)[0][0]

    together = jax.jit(jax.vmap(end))(rates)
    alone = jnp.stack([jax.jit(end)(rate) for rate in rates])
    # Same operations in another order of fusion: a few units in the last place.
    np.testing.assert_allclose(together, alone, rtol=2e-6, atol=1e-7)

    tx, half = build(name)(0.1), jnp.zeros(5, jnp.bfloat16)
    state = tx.init(half)
    updates, after = tx.update(jnp.ones_like(half), state, half)
    assert updates.dtype == jnp.bfloat16
    assert jax.tree.map(lambda x: x.dtype, after) == jax.tree.map(lambda x: x.dtype, state)
