"""An optimizer in the metric of second moments: its formula, and what it amounts to."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from tests.method import oracle, trees

pytestmark = pytest.mark.slow

RATE, LAW_RATE, DECAY, EPS = 0.01, 0.03, 0.9, 1e-3


def transcription(name, gradients):
    """θ and L after each step, all in dense float64."""
    (transition, injection), theta = oracle.TABLES[name], np.zeros(gradients.shape[1])
    law, memory = np.ones(len(injection)), np.zeros((gradients.shape[1], len(injection)))
    v, thetas, laws = np.zeros_like(theta), [], []
    for t, g in enumerate(gradients, 1):
        v = DECAY * v + (1 - DECAY) * g**2
        s = 1 / np.sqrt(np.sqrt(v / (1 - DECAY**t)) + EPS)
        law = law + LAW_RATE * oracle.pseudo_inverse(memory, 1e-6, "relative") @ (s * g)
        memory = memory @ transition + np.outer(s * g, injection)
        theta = theta - RATE * s * (memory @ law)
        thetas.append(theta)
        laws.append(law)
    return np.array(thetas), np.array(laws)


@pytest.mark.parametrize("name", ["M(0.9)", "M(0.9)+M(0.0)"])
def test_it_follows_its_formula(name):
    tx = rllc.precondition_by_rms(rllc.lm_rllc(name, RATE, LAW_RATE), DECAY, EPS)
    with jax.enable_x64(True):
        gradients = trees.random_gradients(100, 30, "float64")
        ours = trees.trajectory(tx, gradients, trees.zeros("float64"))[:2]
        dense = trees.flat(gradients)
    for mine, true in zip(ours, transcription(name, dense), strict=True):
        assert trees.relative_error(mine, true) < 1e-6  # 1 − dᵗ is taken in float32


def test_plain_descent_in_it_is_adam_without_momentum():
    gradients, params = trees.random_gradients(60, 31, "float32"), trees.zeros("float32")
    ours, _, _ = trees.trajectory(rllc.precondition_by_rms(optax.sgd(0.1)), gradients, params)
    theirs, _, _ = trees.trajectory(optax.adam(0.1, b1=0), gradients, params)
    assert trees.relative_error(ours, theirs) < 1e-5


def test_the_law_projects_in_the_inner_product_of_second_moments():
    """Where every coordinate keeps its size a, v is a², and P = diag(1 / a)."""
    rng, size = np.random.default_rng(32), np.array([1.0, 10.0, 100.0, 1000.0])
    signs = rng.choice([-1.0, 1.0], size=(3, 4))
    gradients = signs * size
    tx = rllc.precondition_by_rms(rllc.scale_by_rllc("M(0.9)+M(0.0)", 0.1, epsilon=0), eps=0)
    state = tx.init(jnp.zeros(4))
    for g in gradients[:2]:
        _, state = tx.update(jnp.asarray(g, jnp.float32), state)
    before = np.asarray(rllc.get_law(state))
    _, state = tx.update(jnp.asarray(gradients[2], jnp.float32), state)
    memory = np.stack([0.9 * gradients[0] + gradients[1], gradients[1]], axis=1)
    metric = np.diag(1 / size)
    expected = np.linalg.solve(memory.T @ metric @ memory, memory.T @ metric @ gradients[2])
    np.testing.assert_allclose(rllc.get_law(state) - before, 0.1 * expected, atol=1e-5)


def test_bfloat16_parameters_keep_their_dtype_and_float32_moments():
    tx = rllc.precondition_by_rms(rllc.lm_rllc("M(0.9)", jnp.float32(0.1)))
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    updates, state = tx.update(params, tx.init(params), params)
    assert updates["w"].dtype == jnp.bfloat16
    assert state.nu["w"].dtype == jnp.float32
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params))
    assert not updates["w"].any()  # no gradient, no step: not 0/0
