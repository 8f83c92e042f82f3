"""Rivals that optax has, as their configs call them: against float64 NumPy transcriptions.

Those that estimate their rate are in `test_parameter_free`. A transcription imports nothing of ours
or optax's.
"""

import numpy as np
import optax
import pytest

from tests.suite.optimizers.noisy_quadratic import START, STEPS, gradient, path, trajectory

pytestmark = pytest.mark.slow

# float64 against float64: only the order of sums differs, over 60 steps of size ~0.1.
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}


def nag_paper(lr, momentum):
    """Sutskever et al. 2013, at the point where the gradient is taken."""
    ahead, x, v = START, START, np.zeros(10)
    for t in range(STEPS):
        v = momentum * v - lr * gradient(t, ahead)
        x = x + v
        ahead = x + momentum * v
        yield ahead


def adamw_paper(lr, decay, b1=0.9, b2=0.999, eps=1e-8):
    x, m, v = START, 0.0, 0.0
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        x = x - lr * ((m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + decay * x)
        yield x


def adabelief_paper(lr, eps_root, b1=0.9, b2=0.999, eps=1e-16):
    x, m, s = START, 0.0, 0.0
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps_root
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps)
        yield x


def ademamix_paper(lr, b3, alpha, b1=0.9, b2=0.999, eps=1e-8):
    x, fast, slow, v = START, 0.0, 0.0, 0.0
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, x)
        fast, slow = b1 * fast + (1 - b1) * g, b3 * slow + (1 - b3) * g
        v = b2 * v + (1 - b2) * g**2
        x = x - lr * (fast / (1 - b1**t) + alpha * slow) / (np.sqrt(v / (1 - b2**t)) + eps)
        yield x


def lion_paper(lr, decay, b1=0.9, b2=0.99):
    x, m = START, np.zeros(10)
    for t in range(STEPS):
        g = gradient(t, x)
        x = x - lr * (np.sign(b1 * m + (1 - b1) * g) + decay * x)
        m = b2 * m + (1 - b2) * g
        yield x


def schedule_free_paper(gamma, beta, squares=None, eps=1e-8):
    """(y, x) after each step: gradients are taken at y, x is what is evaluated.

    Args:
      squares: decay of the mean of squared gradients that divides the step; None without.
    """
    x = y = z = START
    v = np.zeros(10)
    for t in range(1, STEPS + 1):
        g = gradient(t - 1, y)
        if squares is not None:
            v = squares * v + (1 - squares) * g**2
            g = g / (np.sqrt(v / (1 - squares**t)) + eps)
        z = z - gamma * g
        x = (1 - 1 / t) * x + z / t
        y = (1 - beta) * z + beta * x
        yield y, x


@pytest.mark.parametrize(
    ("tx", "paper"),
    [
        (optax.sgd(0.05, 0.9, nesterov=True), nag_paper(0.05, 0.9)),
        (optax.adamw(0.05, weight_decay=0.1), adamw_paper(0.05, 0.1)),
        (optax.adabelief(0.05, eps=1e-16, eps_root=1e-4), adabelief_paper(0.05, 1e-4)),
        (optax.contrib.ademamix(0.05, b3=0.99, alpha=5.0), ademamix_paper(0.05, 0.99, 5.0)),
        (optax.lion(0.02, weight_decay=0.1), lion_paper(0.02, 0.1)),
    ],
    ids=["NAG", "AdamW", "AdaBelief", "AdEMAMix", "Lion"],
)
def test_a_rival_follows_the_paper(tx, paper):
    np.testing.assert_allclose(trajectory(tx), path(paper), **ROUNDING)


@pytest.mark.parametrize(
    ("tx", "squares"),
    [
        (optax.contrib.schedule_free_sgd(0.1, b1=0.8), None),
        (optax.contrib.schedule_free_adamw(0.05, b1=0.8, b2=0.99, weight_decay=0.0), 0.99),
    ],
    ids=["SGD", "AdamW"],
)
def test_schedule_free_follows_the_paper_and_is_evaluated_at_its_average(tx, squares):
    rate = 0.1 if squares is None else 0.05
    y, x = (np.stack(p) for p in zip(*schedule_free_paper(rate, 0.8, squares), strict=True))
    # x is read off y and z, some digits less where b1 is small
    np.testing.assert_allclose(trajectory(tx), y, **ROUNDING)
    read = optax.contrib.schedule_free_eval_params
    np.testing.assert_allclose(trajectory(tx, evaluation=read), x, rtol=1e-9, atol=1e-11)
    assert np.abs(x - y).max() > 0.1
