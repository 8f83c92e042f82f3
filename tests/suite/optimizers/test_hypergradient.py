"""Rates, coefficients and laws that learn: against float64 NumPy transcriptions of the papers.

A transcription loops in Python over flat vectors and imports nothing of ours.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rllc
from rllc.suite.optimizers.fixed_laws import aggmo, qhm
from rllc.suite.optimizers.hypergradient import adam_hd, hdm, sgd_hd
from rllc.suite.optimizers.mada import mada
from rllc.suite.optimizers.wrapped import wrap_adam, wrap_momentum
from tests.suite.optimizers.noisy_quadratic import START, STEPS, gradient, path, trajectory

# float64 against float64: only the order of sums differs, over 60 steps of size ~0.1.
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}


def assert_same(tx, paper):
    np.testing.assert_allclose(trajectory(tx), path(paper), **ROUNDING)


def hdm_paper(c1, c2):
    """Chu et al. 2025 with a scalar rate: P ← P + η ⟨g⁺, g⟩/|g|², x⁺ = x - P g; η = c1 c2."""
    x, rate, old = START, c1, None
    for t in range(STEPS):
        g = gradient(t, x)
        if old is not None:
            rate = rate + c1 * c2 * (g @ old) / (old @ old)
        x, old = x - rate * g, g
        yield x


def sgd_hd_paper(alpha, beta):
    x, old = START, np.zeros(10)
    for t in range(STEPS):
        g = gradient(t, x)
        alpha = alpha + beta * (g @ old)
        x, old = x - alpha * g, g
        yield x


def adam_hd_paper(alpha, beta, b1, b2, eps=1e-8):
    x, m, v, slope = START, 0.0, 0.0, np.zeros(10)
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        alpha = alpha - beta * (g @ slope)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        slope = -(m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        x = x + alpha * slope
        yield x


def aggmo_paper(gamma, betas):
    x, velocities = START, [np.zeros(10) for _ in betas]
    for t in range(STEPS):
        g = gradient(t, x)
        velocities = [beta * v - g for beta, v in zip(betas, velocities, strict=True)]
        x = x + gamma / len(betas) * sum(velocities)
        yield x


def qhm_paper(alpha, nu, beta):
    x, mean = START, np.zeros(10)
    for t in range(STEPS):
        g = gradient(t, x)
        mean = beta * mean + (1 - beta) * g
        x = x - alpha * ((1 - nu) * g + nu * mean)
        yield x


def wrapped_paper(inner, c2, epsilon=1e-6):
    """The law of section 3 on the one unit u_{t-1}; `inner` yields u_t for each gradient sent."""
    x, law, u = START, 1.0, None
    next(inner)
    for t in range(STEPS):
        g = gradient(t, x)
        if u is not None:
            law = law + c2 * -(u @ g) / (u @ u * (1 + epsilon))
        u = inner.send(g)
        x = x + law * u
        yield x


def momentum_steps(lr, beta):
    v, u = np.zeros(10), None
    while True:
        g = yield u
        v = beta * v + g
        u = -lr * v


def adam_steps(lr, b1=0.9, b2=0.999, eps=1e-8):
    m = v = np.zeros(10)
    u, t = None, 0
    while True:
        g = yield u
        t += 1
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        u = -lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


def mada_slopes(q, old, g, t, eps):
    """(u, moments after, ∂u/∂q by hand) of one step, moments = (m, v, v_mean, n, g, lion)."""
    b1, b2, b3, c, rho, gamma = q
    m0, v0, mean0, n0, g0, l0 = old
    d = g - g0
    hat = g + b3 * d
    sign = np.sign(hat**2 - v0)
    s = c * hat**2 + (1 - c) * (v0 + hat**2 * sign)
    m, v, n = b1 * m0 + (1 - b1) * g, b2 * v0 + (1 - b2) * s, b3 * n0 + (1 - b3) * d
    mean = (v + (t - 1) * mean0) / t
    lion = 0.98 * l0 + 0.02 * g
    k1, k2 = 1 - b1**t, 1 - b2**t
    top = m / k1 + b3 * n
    mixed = rho * v + (1 - rho) * mean
    root = np.sqrt(mixed / k2)
    turned = np.sign(0.95 * lion + 0.05 * g)
    u = gamma * top / (root + eps) + (1 - gamma) * turned
    by_top = gamma / (root + eps)
    by_second = -gamma * top / (root + eps) ** 2 / (2 * root)  # per mixed / k2
    slopes = [
        by_top * ((m0 - g) / k1 + m * t * b1 ** (t - 1) / k1**2),
        by_second * (rho * (v0 - s) / k2 + mixed * t * b2 ** (t - 1) / k2**2),
        by_top * (n + b3 * (n0 - d))
        + by_second * rho * (1 - b2) / k2 * 2 * hat * d * (c + (1 - c) * sign),
        by_second * rho * (1 - b2) / k2 * (hat**2 - v0 - hat**2 * sign),
        by_second * (v - mean) / k2,
        top / (root + eps) - turned,
    ]
    return u, (m, v, mean, n, g, lion), slopes


def mada_paper(alpha, hyper, q, log=None, eps=1e-6):
    low = (0.01, 0.501, 0.0, 0.0, 0.0, 0.0)
    high = (0.99, 0.99, 0.99, 1.0, 1.0, 1.0)
    rates = hyper * np.array([0.005, 0.005, 1, 1, 1, 1])
    zero, tiny = np.zeros(10), np.full(10, 1e-15)
    x, moments, slopes = START, (zero, tiny, tiny, zero, zero, zero), None
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        if slopes is not None:
            downhill = np.array([alpha * (g @ slope) for slope in slopes])
            q = np.clip(np.array(q) + rates * downhill, low, high)
        u, moments, slopes = mada_slopes(q, moments, g, t, eps)
        x = x - alpha * u
        if log is not None:
            log.append(np.array(q))
        yield x


def test_hdm_follows_the_paper():
    assert_same(hdm(0.1, 0.5), hdm_paper(0.1, 0.5))


@pytest.mark.slow
def test_rllc_with_the_gradient_as_memory_is_hdm():
    """With M⁺ itself; a ridge is a smaller law rate. The guard against spikes does not act here."""
    exact = trajectory(rllc.lm_rllc("M(0.0)", 0.1, 0.5, epsilon=0))
    np.testing.assert_allclose(exact, trajectory(hdm(0.1, 0.5)), **ROUNDING)
    relaxed = trajectory(rllc.lm_rllc("M(0.0)", 0.1, 0.5, epsilon=1e-3))
    divided = trajectory(hdm(0.1, 0.5 / 1.001))  # the ridge of one unit only scales its law's rate
    np.testing.assert_allclose(relaxed, divided, **ROUNDING)
    assert np.abs(exact - relaxed).max() > 1e-6
    usual = trajectory(rllc.lm_rllc("M(0.0)", 0.1, 0.5))  # its default is 1e-6 of |g|²
    np.testing.assert_allclose(usual, trajectory(hdm(0.1, 0.5 / (1 + 1e-6))), **ROUNDING)


@pytest.mark.slow
def test_beyond_spikes_hdm_is_rllc_without_its_guard():
    """A gradient 1,000 times the last: RLLC's law stays as it is unless told not to be careful."""
    gradients = np.random.default_rng(0).normal(size=(12, 5))
    gradients[6] = 1000 * gradients[5]

    def path_of(tx):
        with jax.enable_x64(True):
            state, found = tx.init(jnp.zeros(5)), []
            for g in gradients:
                updates, state = tx.update(jnp.asarray(g), state)
                found.append(updates)
            return np.stack(found)

    theirs = path_of(hdm(0.1, 0.5))
    bare = path_of(rllc.lm_rllc("M(0.0)", 0.1, 0.5, epsilon=0, max_gradient_ratio=None))
    np.testing.assert_allclose(bare, theirs, **ROUNDING)
    guarded = path_of(rllc.lm_rllc("M(0.0)", 0.1, 0.5, epsilon=0))
    np.testing.assert_allclose(guarded[:6], theirs[:6], **ROUNDING)
    assert np.abs(theirs[6]).max() > 100 * np.abs(guarded[6]).max()


def test_sgd_hd_follows_the_paper():
    assert_same(sgd_hd(0.01, 1e-3), sgd_hd_paper(0.01, 1e-3))


def test_adam_hd_follows_the_paper():
    assert_same(adam_hd(0.05, 1e-3, b1=0.8, b2=0.99), adam_hd_paper(0.05, 1e-3, 0.8, 0.99))


@pytest.mark.slow
@pytest.mark.parametrize("velocities", [1, 2, 3, 4])
def test_aggmo_is_a_fixed_law(velocities):
    betas = [0, 0.9, 0.99, 0.999][:velocities]
    assert_same(aggmo(0.05, velocities), aggmo_paper(0.05, betas))
    traced = trajectory(aggmo(0.05, jnp.asarray(float(velocities))))  # 1/K in float32
    np.testing.assert_allclose(traced, path(aggmo_paper(0.05, betas)), rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("velocities", [0, 2.5, 5])
def test_aggmo_refuses_what_is_no_number_of_velocities(velocities):
    with pytest.raises(ValueError, match="whole number from 1 to most=4"):
        aggmo(0.1, velocities)


@pytest.mark.parametrize(("nu", "beta"), [(0.7, 0.999), (0.7, 0.9), (0.0, 0.9), (1.0, 0.9)])
def test_qhm_is_a_fixed_law(nu, beta):
    assert_same(qhm(0.5, nu, beta), qhm_paper(0.5, nu, beta))


@pytest.mark.slow
def test_wrapped_optimizers_follow_the_law_of_their_last_step():
    momentum = wrapped_paper(momentum_steps(0.03, 0.9), 0.2 * 0.03)
    assert_same(wrap_momentum(0.03, 0.2, max_law_step=None), momentum)
    adam = wrapped_paper(adam_steps(0.05), 0.1 * 0.05)
    assert_same(wrap_adam(0.05, 0.1, max_law_step=None), adam)


INSIDE = (0.9, 0.95, 0.3, 0.6, 0.6, 0.8)  # all five optimizers have a share


@pytest.mark.slow
@pytest.mark.parametrize("start", [(0.9, 0.99, 0.0, 1.0, 1.0, 1.0), INSIDE])
def test_mada_follows_the_paper(start):
    log = []
    reference = path(mada_paper(0.05, 0.01, start, log))
    # Its derivatives are sums of terms that cancel, and one step feeds the next: a digit less.
    np.testing.assert_allclose(
        trajectory(mada(0.05, 0.01, *start)), reference, rtol=1e-9, atol=1e-11
    )
    moved = np.ptp(log, axis=0)
    assert np.all(moved > 1e-4), moved  # the comparison is about coefficients that moved


@pytest.mark.slow
def test_mada_at_its_start_is_adam_with_its_floor():
    still = trajectory(mada(0.05, 0.0, b2=0.99))

    def adam():
        x, m, v = START, 0.0, 1e-15
        for t in range(1, STEPS + 1):
            g = gradient(t - 1, x)
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
            x = x - 0.05 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-6)
            yield x

    np.testing.assert_allclose(still, path(adam()), **ROUNDING)


@pytest.mark.slow
def test_mada_survives_parameters_without_gradient():
    """Pixels at the edge: v decays below float32 there, where a root has no derivative."""
    tx, params = mada(0.1, hyper_rate=0.0, b2=0.6), jnp.ones(2)

    def step(carry, _):
        updates, state = tx.update(jnp.array([1.0, 0.0]), carry[1], carry[0])
        return (carry[0] + updates, state), None

    (params, state), _ = jax.lax.scan(step, (params, tx.init(params)), length=400)
    assert params[1] == 1.0
    assert state.moments.v[1] == 0
    assert np.isfinite([*params, *state.coefficients]).all()
