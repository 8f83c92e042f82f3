"""Optimizers that estimate their rate, and others taken from optax, as their configs call them:
against float64 NumPy transcriptions of the papers, which import nothing of ours or optax's.
"""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite.optimizers.dog import average, averaged, dog
from rllc.suite.optimizers.mechanic import mechanic
from tests.suite.optimizers.noisy_quadratic import START, STEPS, gradient, loss, path, trajectory

pytestmark = pytest.mark.slow

# float64 against float64: only the order of sums differs, over 60 steps of size ~0.1.
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}


def dog_paper(c, r_eps, eps=1e-8):
    x, reached, squares = START, r_eps * (1 + np.sqrt(START @ START)), 0.0
    for t in range(STEPS):
        g = gradient(t, x)
        reached = max(reached, np.sqrt((x - START) @ (x - START)))
        squares = squares + g @ g
        x = x - c * reached / np.sqrt(squares + eps) * g
        yield x


def polynomial_average(iterates, gamma):
    mean = np.zeros(10)
    for t, x in enumerate(iterates, start=1):
        mean = (1 - (1 + gamma) / (t + gamma)) * mean + (1 + gamma) / (t + gamma) * x
        yield mean


def dowg_paper(c, squared):
    x, weighted = START, 0.0
    for t in range(STEPS):
        g = gradient(t, x)
        squared = max(squared, (x - START) @ (x - START))
        weighted = weighted + squared * (g @ g)
        x = x - c * squared / np.sqrt(weighted) * g
        yield x


def prodigy_paper(lr, d, b1=0.9, b2=0.999, log=None):
    """The version for Adam with ε = 0, γ_k with Adam's bias corrections."""
    x, m, v, r, s, b3 = START, 0.0, 0.0, 0.0, np.zeros(10), np.sqrt(0.999)
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        gamma = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
        m = b1 * m + (1 - b1) * d * g
        v = b2 * v + (1 - b2) * d**2 * g**2
        r = b3 * r + (1 - b3) * gamma * d**2 * (g @ (START - x))
        s = b3 * s + (1 - b3) * gamma * d**2 * g
        x = x - gamma * d * m / np.sqrt(v)
        d = max(d, r / np.abs(s).sum())
        if log is not None:
            log.append(d)
        yield x


def dadapt_paper(lr, d, b1=0.9, b2=0.999, eps=1e-8, log=None):
    """D-Adapted Adam, λ_k with Adam's bias corrections, the inner product with v before g."""
    x, m, v, r, s, root = START, 0.0, np.zeros(10), 0.0, np.zeros(10), np.sqrt(0.999)
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        rate = d * lr * np.sqrt(1 - b2**t) / (1 - b1**t)
        r = root * r + (1 - root) * rate * (g @ (s / (np.sqrt(v) + eps)))
        m, v = b1 * m + (1 - b1) * rate * g, b2 * v + (1 - b2) * g**2
        s = root * s + (1 - root) * rate * g
        x = x - m / (np.sqrt(v) + eps)
        d = max(d, r / ((1 - root) * np.abs(s).sum()))
        if log is not None:
            log.append(d)
        yield x


def mechanic_paper(lr, decay, s_init=1e-6, eps=1e-8):
    """Algorithm 1 around Adam; |h| clipped by the largest before, and the sum of Adam's steps read
    off the parameters, both as in the authors' code."""
    betas = np.array([0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999])
    x, am, av = START, 0.0, 0.0
    s, largest, squares, reward = np.full(6, s_init), np.zeros(6), np.zeros(6), np.zeros(6)
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        am, av = 0.9 * am + 0.1 * g, 0.999 * av + 0.001 * g**2
        step = -lr * (am / (1 - 0.9**t)) / (np.sqrt(av / (1 - 0.999**t)) + 1e-8)
        total = (x - START) / (s.sum() + eps)
        pulled = g + decay * s.sum() * np.linalg.norm(g) * x / (np.linalg.norm(x) + eps)
        h = pulled @ total
        reward = betas * reward - np.clip(h, -largest, largest) * s
        largest = np.maximum(betas * largest, abs(h) + eps)
        squares = betas**2 * squares + h**2
        s = (s_init / 6 * largest + np.maximum(0, reward)) / (np.sqrt(squares) + eps)
        x = START + s.sum() * (total + step)
        yield x


def momo_paper(alpha, beta, log=None):
    x, d, f, k = START, None, None, None
    for t in range(STEPS):
        value, g = loss(t, x), gradient(t, x)
        if d is None:
            d, f, k = g, value, g @ x
        else:
            d, f = beta * d + (1 - beta) * g, beta * f + (1 - beta) * value
            k = beta * k + (1 - beta) * (g @ x)
        polyak = max(f + d @ x - k, 0) / (d @ d)
        if log is not None:
            log.append(polyak < alpha)
        x = x - min(alpha, polyak) * d
        yield x


def momo_adam_paper(alpha, b1, b2=0.999, eps=1e-8, log=None):
    x, d, v, f, k = START, 0.0, 0.0, 0.0, 0.0
    for t in range(1, STEPS + 1):
        value, g = loss(t - 1, x), gradient(t - 1, x)
        d, v = b1 * d + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        f, k = b1 * f + (1 - b1) * value, b1 * k + (1 - b1) * (g @ x)
        metric = eps + np.sqrt(v / (1 - b2**t))
        polyak = max(f + d @ x - k, 0) / (d @ (d / metric))
        if log is not None:
            log.append(polyak < alpha / (1 - b1**t))
        x = x - min(alpha / (1 - b1**t), polyak) * d / metric
        yield x


def adopt_paper(alpha, b2, b1=0.9, eps=1e-6):
    x, m, v = START, np.zeros(10), None
    for t in range(STEPS):
        g = gradient(t, x)
        if v is None:
            v = g**2
        else:
            m = b1 * m + (1 - b1) * np.clip(g / np.maximum(np.sqrt(v), eps), -(t**0.25), t**0.25)
            x = x - alpha * m
            v = b2 * v + (1 - b2) * g**2
        yield x


def simplified_ademamix_paper(lr, alpha, b1, b2, eps=1e-8):
    x, m, v = START, 0.0, 0.0
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        m, v = b1 * m + g, b2 * v + (1 - b2) * g**2
        x = x - lr * (m + alpha * g) / (np.sqrt(v / (1 - b2**t)) + eps)
        yield x


@pytest.mark.parametrize(("c", "distance"), [(1.0, 1e-3), (0.5, 0.1)])
def test_dog_follows_the_paper_and_is_evaluated_at_its_average(c, distance):
    iterates = path(dog_paper(c, distance))
    np.testing.assert_allclose(trajectory(dog(c, distance)), iterates, **ROUNDING)
    got = trajectory(dog(c, distance, gamma=8.0), evaluation=average)
    np.testing.assert_allclose(got, path(polynomial_average(iterates, 8)), **ROUNDING)


def test_averages_of_gamma_zero_are_plain_means_and_begin_at_the_start():
    iterates = trajectory(optax.sgd(0.1))
    means = np.cumsum(iterates, axis=0) / np.arange(1, STEPS + 1)[:, None]
    got = trajectory(averaged(optax.sgd(0.1), gamma=0.0), evaluation=average)
    np.testing.assert_allclose(got, means, **ROUNDING)
    params = jnp.ones(2)
    tx = averaged(optax.sgd(0.1))
    np.testing.assert_array_equal(average(tx.init(params), params), params)
    with pytest.raises(ValueError, match="averaged needs the parameters"):
        tx.update(params, tx.init(params))


def test_dowg_follows_the_paper():
    got = trajectory(optax.contrib.dowg(1.0, init_estim_sq_dist=1e-2, eps=0.0))
    np.testing.assert_allclose(got, path(dowg_paper(1.0, 1e-2)), **ROUNDING)


def test_prodigy_follows_the_paper():
    log = []
    reference = path(prodigy_paper(1.0, 1e-3, log=log))
    got = trajectory(optax.contrib.prodigy(1.0, betas=[0.9, 0.999], estim_lr0=1e-3, eps=0.0))
    np.testing.assert_allclose(got, reference, **ROUNDING)
    assert log[-1] > 10 * log[0]  # the estimate grew


def test_dadapt_adamw_follows_the_paper():
    log = []
    reference = path(dadapt_paper(1.0, 1e-3, log=log))
    got = trajectory(optax.contrib.dadapt_adamw(1.0, betas=[0.9, 0.999], estim_lr0=1e-3))
    np.testing.assert_allclose(got, reference, **ROUNDING)
    assert log[-1] > 10 * log[0]


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_mechanic_follows_the_paper(decay):
    reference = path(mechanic_paper(1000.0, decay))
    # Differences from the start of 1e-3 and less are divided by their scale: some digits less.
    np.testing.assert_allclose(
        trajectory(mechanic(1000.0, decay)), reference, rtol=1e-8, atol=1e-10
    )
    assert np.abs(reference[-1] - START).max() > 0.1


def test_momo_follows_the_paper():
    log = []
    reference = path(momo_paper(0.6, 0.8, log))
    np.testing.assert_allclose(trajectory(optax.contrib.momo(0.6, 0.8)), reference, **ROUNDING)
    assert 0 < np.mean(log) < 1  # both the cap and the model of the loss set steps


def test_momo_adam_follows_the_paper():
    log = []
    reference = path(momo_adam_paper(0.5, 0.8, log=log))
    got = trajectory(optax.contrib.momo_adam(0.5, b1=0.8))
    np.testing.assert_allclose(got, reference, **ROUNDING)
    assert 0 < np.mean(log) < 1


def test_adopt_follows_the_paper():
    got = trajectory(optax.contrib.adopt(0.1, b2=0.99))
    np.testing.assert_allclose(got, path(adopt_paper(0.1, 0.99)), **ROUNDING)


def test_simplified_ademamix_follows_the_paper():
    got = trajectory(optax.contrib.simplified_ademamix(0.01, b1=0.9, b2=0.95, alpha=5.0))
    reference = path(simplified_ademamix_paper(0.01, 5.0, 0.9, 0.95))
    np.testing.assert_allclose(got, reference, **ROUNDING)
