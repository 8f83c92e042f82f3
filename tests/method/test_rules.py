"""Memory rules with hidden state, `wrap` and `mix`, each against its own NumPy transcription."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from tests.method import oracle, trees

pytestmark = pytest.mark.slow

STEPS, RATE, LAW_RATE = 60, 0.05, 0.02


def adam_direction(b1=0.9, b2=0.999, eps=1e-8):
    """g -> m̂ / (√v̂ + ε) of Adam, with its moments kept inside."""
    m, v, t = 0.0, 0.0, 0

    def direction(g):
        nonlocal m, v, t
        t += 1
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        return (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)

    return direction


def history(memory, g, past=None, ages=(0, 2, 3)):
    past.insert(0, g)
    return np.stack([past[age] if age < len(past) else 0 * g for age in ages], axis=1)


def history_rule():
    past = []
    return lambda memory, g: history(memory, g, past)


def sign_rule(betas=(0.9, 0.5)):
    momenta = [0.0, 0.0]

    def rule(memory, g):
        for j, beta in enumerate(betas):
            momenta[j] = beta * momenta[j] + g
        return np.sign(np.stack(momenta, axis=1))

    return rule


def adam_and_momentum_rule():
    direction = adam_direction(b2=0.99)
    return lambda memory, g: np.stack([direction(g), 0.8 * memory[:, 1] + g], axis=1)


def filtered_rule():
    direction, (transition, injection) = adam_direction(), oracle.TABLES["M(0.9)+M2(0.6)"]
    return lambda memory, g: memory @ transition + np.outer(direction(g), injection)


def clipped_rule():
    return lambda memory, g: 0.9 * memory + np.clip(g, -0.5, 0.5)[:, None]


def last_steps_rule():
    direction, momentum = adam_direction(), [0.0]

    def rule(memory, g):
        momentum[0] = 0.9 * momentum[0] + g
        return np.stack([0.1 * momentum[0], 0.01 * direction(g)], axis=1)

    return rule


RULES = {
    "gradients of several ages": (rllc.gradient_history((0, 2, 3)), history_rule, 3),
    "sign momentum": (rllc.sign_momentum(0.9, 0.5), sign_rule, 2),
    "Adam beside momentum": (
        rllc.adam_and_momentum(b2=0.99, beta=0.8),
        adam_and_momentum_rule,
        2,
    ),
    "linear memory of Adam's direction": (
        rllc.filtered("M(0.9)+M2(0.6)", optax.scale_by_adam()),
        filtered_rule,
        3,
    ),
    "momentum of clipped gradients": (rllc.filtered("M(0.9)", optax.clip(0.5)), clipped_rule, 1),
    "last steps of two optimizers": (
        rllc.last_steps(optax.sgd(0.1, momentum=0.9), optax.adam(0.01)),
        last_steps_rule,
        2,
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_rule_follows_its_transcription(name):
    rule, transcription, k = RULES[name]
    law = np.linspace(1, 0.5, k)
    with jax.enable_x64(True):
        gradients, params = trees.random_gradients(STEPS, 7, "float64"), trees.zeros("float64")
        tx = optax.chain(rllc.scale_by_rllc(rule, LAW_RATE, tuple(law)), optax.scale(-RATE))
        ours = trees.trajectory(tx, gradients, params)
        dense = trees.flat(gradients)
    theirs = oracle.follow_rule(transcription(), law, dense, RATE, LAW_RATE)
    # float64 rounding times cond(G + ridge) ≤ k/ε = 3e6; see test_oracle.
    assert trees.relative_error(ours[0], theirs[0]) < 1e-9
    assert trees.relative_error(ours[1], theirs[1]) < 1e-9


def test_history_holds_each_gradient_once():
    params = jnp.zeros(3)
    state = rllc.scale_by_rllc(rllc.gradient_history((1, 4))).init(params)
    assert len(state.memory) == 2
    assert len(state.hidden) == 3  # ages 0, 2 and 3


def test_wrap_starts_as_the_inner_optimizer_and_is_mix_of_one():
    gradients, params = trees.random_gradients(20, 8, "float32"), trees.zeros("float32")
    inner = optax.adam(0.01)
    plain = trees.trajectory(inner, gradients, params)[0]
    frozen = trees.trajectory(rllc.wrap(inner, law_learning_rate=0.0), gradients, params)[0]
    assert trees.relative_error(frozen, plain) < 1e-6  # the same numbers, multiplied by 1
    wrapped = trees.trajectory(rllc.wrap(inner), gradients, params)
    mixed = trees.trajectory(rllc.mix(inner, initial_law="ones"), gradients, params)
    np.testing.assert_array_equal(wrapped[0], mixed[0])
    assert np.ptp(wrapped[1]) > 0


def test_the_law_rate_of_wrap_has_the_unit_of_the_inner_rate():
    gradients, params = trees.random_gradients(20, 8, "float32"), trees.zeros("float32")
    bare = rllc.wrap(optax.sgd(0.05), 1.0, 0.3 * 0.05, max_law_step=None)
    wrapped = trees.trajectory(bare, gradients, params)
    direct = trees.trajectory(rllc.lm_rllc("M(0.0)", 0.05, 0.3), gradients, params)
    np.testing.assert_allclose(wrapped[1], direct[1], rtol=1e-5)
    assert trees.relative_error(wrapped[0], direct[0]) < 1e-5
    assert np.ptp(wrapped[1]) > 0.1


def test_mix_with_one_hot_law_is_that_optimizer():
    gradients, params = trees.random_gradients(20, 9, "float32"), trees.zeros("float32")
    inners = optax.sgd(0.1), optax.adam(0.01)
    for law, inner in zip(((1, 0), (0, 1)), inners, strict=True):
        tx = rllc.mix(*inners, law_learning_rate=0.0, initial_law=law)
        ours = trees.trajectory(tx, gradients, params)[0]
        plain = trees.trajectory(inner, gradients, params)[0]
        assert trees.relative_error(ours, plain) < 1e-6


def test_inner_optimizer_receives_parameters_and_extra_arguments():
    def update(updates, state, params=None, *, factor, **extra):
        return jax.tree.map(lambda g, p: -factor * (g + p), updates, params), state

    inner = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    tx = rllc.wrap(inner)
    params, gradient = jnp.ones(2), jnp.array([1.0, 2.0])
    updates, _ = tx.update(gradient, tx.init(params), params, factor=0.5, value=3.0)
    np.testing.assert_allclose(updates, [-1.0, -1.5])


@pytest.mark.parametrize("ages", [(), (1, 1), (-1,), (0.5,)])
def test_bad_ages_are_refused(ages):
    with pytest.raises(ValueError, match="ages"):
        rllc.gradient_history(ages)


def test_mix_needs_an_optimizer_and_a_law_for_each():
    with pytest.raises(ValueError, match="no optimizers"):
        rllc.mix()
    with pytest.raises(ValueError, match="2 memory units"):
        rllc.mix(optax.sgd(0.1), optax.sgd(0.2), initial_law=(1, 2, 3))
