"""A momentum whose decay adapts, against its formulas in float64, and its exact reduction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rllc
from rllc.suite.optimizers import adaptive_momentum as adaptive

LAW_RATE, RATE = 0.02, 0.1


def gradients(steps=40, size=30):
    return np.random.default_rng(7).normal(size=(steps, size)) + 0.4


def trained(tx, rows):
    """Updates, laws and decays after each gradient."""
    state, found = tx.init(jnp.zeros(rows.shape[1])), []
    for g in rows:
        update, state = tx.update(jnp.asarray(g, jnp.float32), state)
        found.append((np.asarray(update), float(rllc.get_law(state)[0]), state))
    return found


def transcribed(rows, decay_rate, decay=0.9):
    """The equations of the module, in float64, with the exact pseudo-inverse of one vector."""
    memory, before, law, beta, found = 0 * rows[0], 0 * rows[0], 1.0, decay, []
    for g in rows:
        if memory @ memory:
            law += LAW_RATE * (memory @ g) / (memory @ memory)
        if before @ before:
            beta += decay_rate * (before @ g) / np.sqrt((before @ before) * (g @ g))
        beta = min(max(beta, 0.0), adaptive.MOST)
        before, memory = memory, beta * memory + g
        found.append((-RATE * law * memory, law, beta))
    return found


@pytest.mark.parametrize("decay_rate", [0.01, 0.5, -0.5])
def test_it_follows_its_formulas(decay_rate):
    rows = gradients()
    tx = adaptive.adaptive_momentum(RATE, LAW_RATE, decay_rate, epsilon=0.0)
    decays = []
    for (update, law, state), (wanted, its_law, beta) in zip(
        trained(tx, rows), transcribed(rows, decay_rate), strict=True
    ):
        np.testing.assert_allclose(update, wanted, rtol=2e-4, atol=2e-5)
        assert law == pytest.approx(its_law, rel=1e-4)
        decays.append(float(adaptive.get_decay(state)[0]))
        assert decays[-1] == pytest.approx(beta, abs=1e-5)
    assert len(set(decays)) > 3  # it moves
    assert min(decays) >= 0
    assert max(decays) <= np.float32(adaptive.MOST)


def test_without_a_rate_it_is_adaptive_momentum_of_the_paper():
    rows = gradients()
    ours = trained(adaptive.adaptive_momentum(RATE, LAW_RATE, 0.0), rows)
    theirs = trained(rllc.lm_rllc("M(0.9)", RATE, LAW_RATE), rows)
    for (update, law, _), (wanted, its_law, _) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(update, wanted, rtol=1e-6)
        assert law == pytest.approx(its_law, rel=1e-6)


def test_the_scale_of_the_gradient_moves_no_decay():
    rows = gradients()
    tx = adaptive.adaptive_momentum(RATE, LAW_RATE, 0.05)
    decays = [
        [float(adaptive.get_decay(state)[0]) for *_, state in trained(tx, scale * rows)]
        for scale in (1.0, 1e3)
    ]
    np.testing.assert_allclose(*decays, rtol=1e-5)


def test_a_gradient_that_is_none_leaves_the_decay_as_it_is():
    tx = adaptive.adaptive_momentum(RATE, LAW_RATE, 0.05)
    for *_, state in trained(tx, np.zeros((4, 5))):
        assert float(adaptive.get_decay(state)[0]) == np.float32(0.9)
    assert float(adaptive.cosine(jnp.array([jnp.inf, 1.0]), jnp.ones(2))) == 0


def test_states_of_many_runs_have_a_decay_each():
    tx = adaptive.adaptive_momentum(RATE, LAW_RATE)
    state = jax.vmap(tx.init)(jnp.zeros((3, 5)))
    assert adaptive.get_decay(state).shape == (3, 1)


def test_a_decay_out_of_bounds_is_refused():
    with pytest.raises(ValueError, match=r"decay=1\.5 must be a number from 0 to 0\.99"):
        adaptive.adaptive_momentum(RATE, decay=1.5)
