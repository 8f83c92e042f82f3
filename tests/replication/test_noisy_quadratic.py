"""The closed forms of docs/laws.md against simulations of the optimizer itself.

Simulated means are held to four of their own standard errors, seeds being fixed. A wrong factor in
a formula would be ten of them off or more.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rllc
from rllc.replication import drift_figure, noisy_quadratic
from rllc.suite import plotting

pytestmark = pytest.mark.slow

ONES = np.ones(3)
SPREAD = np.array([0.1, 1.0, 3.0])
SMALL = drift_figure.Valley(steep=300, steps=2000, seeds=8)


def assert_mean(samples, expected, most=4.0):
    """The mean over the first axis is the expected one within so many standard errors."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(axis=0) - expected) < most * error), (samples, expected)
    assert np.all(error < 0.1 * np.maximum(np.abs(expected), 0.1))  # it tells something


def test_the_shares_are_those_of_many_draws():
    variances = np.array([1.0, 2.0, 5.0])
    squares = np.random.default_rng(0).normal(size=(100_000, 3)) ** 2 * variances
    assert_mean(squares / squares.sum(axis=1, keepdims=True), noisy_quadratic.shares(variances))
    many = np.repeat([1.0, 4.0], 500)  # of a large number they are those of the variances
    np.testing.assert_allclose(noisy_quadratic.shares(many), many / many.sum(), rtol=0.01)
    for q in (variances, many, np.array([1.0, 1e-3])):
        assert noisy_quadratic.shares(q).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("n", [6, 50])
def test_the_correction_away_from_the_minimum(n):
    ratios, steps = np.array([10.0, 1.0, 0.1, 0.1]), np.array([0.2, 0.5, 0.2, 1.5])
    found = noisy_quadratic.simulated_corrections(ratios, steps, n, seeds=4000 if n == 6 else 400)
    assert_mean(found.T, noisy_quadratic.correction_away(ratios, steps))


@pytest.mark.parametrize(
    ("curvature", "noise", "eta", "decay"),
    [
        (ONES, ONES, 0.3, 0.0),
        (ONES, 1000 * ONES, 0.3, 0.0),  # however strong the noise
        (ONES, ONES, 0.3, 0.9),  # however long the memory
        (SPREAD, ONES, 0.3, 0.0),
        (SPREAD, np.array([1.0, 0.5, 2.0]), 0.3, 0.9),
        (ONES, ONES, 1.9, 0.0),
    ],
    ids=["plain", "noise", "momentum", "curvatures", "both", "near the edge"],
)
def test_the_correction_at_rest(curvature, noise, eta, decay):
    expected = noisy_quadratic.stationary_correction(curvature, noise, eta, decay)
    found = noisy_quadratic.simulated_stationary(curvature, noise, eta, decay, 64, 2000)
    assert_mean(found, expected)
    if curvature is ONES:
        assert expected == pytest.approx(-eta / 2)
    assert -eta * curvature.max() / 2 <= expected + 1e-9


def test_at_rest_two_units_are_told_to_shrink_too_under_any_curvature():
    """E<u, g'> = −½ c₁ E u'Hu for the step u of Nesterov's method, whatever its law."""
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    curvature = jnp.asarray(basis @ np.diag([0.1, 0.5, 1.0, 2.0]) @ basis.T)
    tx = rllc.linear_memory("M(0.9)+M(0.0)", (0.9, 1.0), 0.1)

    def step(carry, key):
        x, state, u = carry
        gradient = curvature @ x + jax.random.normal(key, (4,))
        products = u @ gradient, 0.05 * u @ curvature @ u
        updates, state = tx.update(gradient, state)
        return (x + updates, state, -updates / 0.1), products

    def run(key):
        start = jnp.zeros(4), tx.init(jnp.zeros(4)), jnp.zeros(4)
        agreement, bend = jax.lax.scan(step, start, jax.random.split(key, 3000))[1]
        return agreement[1000:].mean(), bend[1000:].mean()

    agreement, bend = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 128))
    total = np.asarray(agreement + bend)
    assert abs(total.mean()) < 4 * total.std() / np.sqrt(len(total))
    assert agreement.mean() < -10 * agreement.std() / np.sqrt(len(total))


@pytest.mark.parametrize("update", ["additive", "multiplicative"])
def test_the_law_and_the_distance_in_a_valley(update):
    """Within 0.04 and 6 %, over 2,000 steps, after which the additive law is still 5 c₂."""
    steps, runs = drift_figure.valley(SMALL, update)
    rest = SMALL.law_learning_rate, SMALL.learning_rate / 2, update
    expected = noisy_quadratic.law_path(steps, *rest)
    mean = runs.law.mean(axis=0)
    assert np.abs(mean - expected).max() < 0.04
    left = noisy_quadratic.distance_left(steps, *rest, SMALL.flatness)
    np.testing.assert_allclose(runs.x[:, :, -1].mean(axis=0), left, rtol=0.06)
    other = "additive" if update == "multiplicative" else "multiplicative"
    assert np.abs(noisy_quadratic.law_path(steps, *rest[:2], other) - expected).max() > 0.2


def test_formulas_solve_their_equations():
    """dL/dt = −c₂ a L (additive) or −c₂ a L² and d log x = −c₁ hₛ L, by small steps of Euler's."""
    rate, slope, flatness, dt = 0.01, 0.15, 0.006, 0.1
    steps = np.arange(0, 2000, dt)
    for update, power in (("additive", 1), ("multiplicative", 2)):
        law, travel, laws, travels = 1.0, 0.0, [], []
        for _ in steps:
            laws.append(law)
            travels.append(travel)
            travel += dt * law
            law -= dt * rate * slope * law**power
        found = noisy_quadratic.law_path(steps, rate, slope, update)
        np.testing.assert_allclose(found, laws, rtol=1e-3)
        left = noisy_quadratic.distance_left(steps, rate, slope, update, flatness)
        np.testing.assert_allclose(left, np.exp(-2 * slope * flatness * np.array(travels)), 1e-3)


def test_averaging_moves_the_law_later_not_elsewhere():
    """The corrections add up to the same; the average only holds the newest back."""
    ends = [
        noisy_quadratic.simulate(
            lambda law, d=decay: rllc.lm_rllc("M(0.0)", 0.3, 0.01, law, correction_decay=d),
            np.ones(16), np.ones(100), np.ones(100), np.zeros((16, 100)), 1, 500,
        ).law[:, 0]
        for decay in (None, 0.9)
    ]  # fmt: skip
    assert np.abs(ends[1] - ends[0]).mean() < 0.02  # c₂ / (1 − d) times a correction of 0.15
    assert ends[0].mean() < 0.6  # a fall of more than 0.4


def test_the_figure_is_drawn_the_same_twice(tmp_path):
    small = SMALL._replace(steep=50, steps=400, every=50, seeds=2)
    one, two = (
        plotting.save(drift_figure.drift_figure(small), tmp_path / name / "law_drift")
        for name in "ab"
    )
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_older_memory_would_drift_the_same_way(delay):
    """<g_{t−d−1}, g_t> / |g|² at rest, by plain NumPy: no optimizer of ours has a delay."""
    rng, eta, gradients = np.random.default_rng(5), 0.3, []
    x = np.zeros((64, 200))
    for t in range(400):
        g = x + rng.normal(size=x.shape)
        x = x - eta * g
        gradients += [g] if t >= 100 else []
    g = np.array(gradients)
    older, newer = g[: -delay - 1], g[delay + 1 :]
    found = (older * newer).sum(axis=(0, 2)) / (older**2).sum(axis=(0, 2))
    assert_mean(found, -eta / 2 * (1 - eta) ** delay)
