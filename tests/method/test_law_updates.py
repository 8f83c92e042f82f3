"""Other ways for a correction to move the law: multiplied in, averaged, at a falling rate."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from tests.method import oracle, trees

STEPS = 200
NAMES = ["M(0.9)", "M(0.9)+M(0.0)", "M3(0.6)", "M(0.9)+M(0.8)+M(0.7)"]
VARIANTS = {
    "multiplicative": {"law_update": "multiplicative"},
    "averaged": {"correction_decay": 0.9},
    "both": {"law_update": "multiplicative", "correction_decay": 0.7},
    "both, updated memory": {
        "law_update": "multiplicative", "correction_decay": 0.7, "correct_with": "updated",
    },
    "averaged, limited": {"correction_decay": 0.9, "max_law_step": 0.002},
    "falling rate": {},
}  # fmt: skip


def both(name, variant):
    """Our trajectory in float64 and the oracle's: ((θ, L), (θ, L))."""
    options = VARIANTS[variant]
    k = len(oracle.TABLES[name][1])
    law = np.linspace(1.0, -0.4, k)  # coefficients of either sign
    rate = (lambda t: 0.1 / np.sqrt(1.0 + t)) if variant == "falling rate" else 0.03
    ours = rllc.inverse_power_schedule(0.1) if variant == "falling rate" else rate
    with jax.enable_x64(True):
        gradients = trees.random_gradients(STEPS, 20, "float64")
        tx = rllc.lm_rllc(name, 0.01, ours, tuple(law), **options)
        found = trees.trajectory(tx, gradients, trees.zeros("float64"))[:2]
        dense = trees.flat(gradients)
    update = options.get("law_update", "additive")
    told = {
        "correct_with": options.get("correct_with", "old"),
        "law_update": update,
        "decay": options.get("correction_decay"),
        "longest": options.get("max_law_step", 0.1 if update == "multiplicative" else None),
    }
    return found, oracle.follow(oracle.TABLES[name], law, dense, 0.01, rate, **told)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_every_variant_follows_its_formula(name, variant):
    ours, theirs = both(name, variant)
    tolerance = 1e-9 if variant != "falling rate" else 1e-7  # as in test_oracle; a float32 rate
    for mine, true in zip(ours, theirs, strict=True):
        assert trees.relative_error(mine, true) < tolerance
    assert np.ptp(theirs[1], axis=0).min() > 1e-3  # the law has moved


def run(tx, dtype="float32", seed=21):
    return trees.trajectory(tx, trees.random_gradients(60, seed, dtype), trees.zeros(dtype))


@pytest.mark.slow
def test_an_average_without_memory_is_the_papers_form():
    with jax.enable_x64(True):
        plain, laws, _ = run(rllc.lm_rllc("M(0.9)+M2(0.6)", 0.02, 0.03), "float64")
        tx = rllc.lm_rllc("M(0.9)+M2(0.6)", 0.02, 0.03, correction_decay=0.0)
        other, others, _ = run(tx, "float64")
    assert trees.relative_error(others, laws) < 1e-9
    assert trees.relative_error(other, plain) < 1e-9


DRIFT = 0.11


def steady(steps, drift=DRIFT):
    """Gradients of one length, each turned so that <g_t, g_{t-1}> = −drift |g|²: shape (t, 2)."""
    angles = np.arccos(-drift) * np.arange(steps)
    return jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def laws_under_a_steady_drift(steps, **options):
    with jax.enable_x64(True):
        tx = rllc.lm_rllc("M(0.0)", 0.01, epsilon=0, **options)
        return trees.trajectory(tx, steady(steps), jnp.zeros(2, jnp.float64))[1][:, 0]


@pytest.mark.slow
def test_a_steady_drift_ends_an_additive_law_and_shrinks_a_multiplicative_one():
    t = np.arange(2000.0)  # corrections so far: the first gradient meets an empty memory
    added = laws_under_a_steady_drift(2000, law_learning_rate=0.01)
    np.testing.assert_allclose(added, 1 - 0.01 * DRIFT * t, atol=1e-9)
    assert added[-1] < -1  # through zero, and on uphill
    options = {"law_learning_rate": 0.01, "law_update": "multiplicative"}
    multiplied = laws_under_a_steady_drift(2000, **options)
    np.testing.assert_allclose(multiplied, np.exp(-0.01 * DRIFT * t), rtol=1e-9)
    from_below = laws_under_a_steady_drift(2000, initial_law=-2.0, **options)
    np.testing.assert_allclose(from_below, -2 * np.exp(0.01 * DRIFT * t), rtol=1e-9)


@pytest.mark.slow
def test_an_average_of_steady_corrections_is_each_of_them():
    plain = laws_under_a_steady_drift(50, law_learning_rate=0.01)
    averaged = laws_under_a_steady_drift(50, law_learning_rate=0.01, correction_decay=0.99)
    np.testing.assert_allclose(averaged, plain, atol=1e-12)  # no bias towards 0 at the start


@pytest.mark.slow
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_a_falling_rate_slows_the_fall(power):
    schedule = rllc.inverse_power_schedule(0.01, power, transition_steps=10)
    found = laws_under_a_steady_drift(2000, law_learning_rate=schedule)
    rates = 0.01 / (1 + np.arange(1, 2000) / 10) ** power
    np.testing.assert_allclose(found[1:], 1 - DRIFT * np.cumsum(rates), atol=1e-6)
    options = {"law_learning_rate": schedule, "law_update": "multiplicative"}
    multiplied = laws_under_a_steady_drift(2000, **options)
    np.testing.assert_allclose(multiplied[1:], np.exp(-DRIFT * np.cumsum(rates)), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["multiplicative", "averaged", "both"])
def test_a_law_per_leaf_is_an_optimizer_per_leaf(variant):
    options = VARIANTS[variant]
    gradients, params = trees.random_gradients(60, 21, "float32"), trees.zeros("float32")
    _, laws, _ = run(rllc.lm_rllc("M(0.9)+M(0.0)", 0.02, 0.03, law_groups="leaf", **options))
    alone = rllc.lm_rllc("M(0.9)+M(0.0)", 0.02, 0.03, **options)
    pairs = zip(jax.tree.leaves(gradients), jax.tree.leaves(params), strict=True)
    for i, (g, p) in enumerate(pairs):
        np.testing.assert_allclose(laws[:, i], trees.trajectory(alone, g, p)[1], rtol=1e-5)


@pytest.mark.slow
def test_runs_with_traced_numbers_in_one_program():
    gradients, params = trees.random_gradients(60, 21, "float32"), trees.zeros("float32")

    def final(law_rate, decay, law):
        tx = rllc.lm_rllc(
            "M(0.9)+M(0.0)", 0.02, law_rate, law, law_update="multiplicative",
            correction_decay=decay, max_law_step=0.5,
        )  # fmt: skip
        step = lambda state, g: (tx.update(g, state)[1], None)  # noqa: E731
        return rllc.get_law(jax.lax.scan(step, tx.init(params), gradients)[0])

    rates, decays = jnp.array([0.01, 0.03, 0.03]), jnp.array([0.0, 0.5, 0.5])
    laws = jnp.array([[1.0, 1.0], [0.5, -2.0], [0.0, 1.0]])  # a traced 0 is not seen, and stays
    together = jax.jit(jax.vmap(final))(rates, decays, laws)
    for i in range(2):
        alone = final(float(rates[i]), float(decays[i]), tuple(map(float, laws[i])))
        np.testing.assert_allclose(together[i], alone, rtol=2e-5)
    assert together[2, 0] == 0
    assert together[2, 1] != 1


@pytest.mark.slow
def test_bfloat16_parameters_leave_the_average_in_float32():
    tx = rllc.scale_by_rllc("M(0.9)+M(0.0)", 0.1, **VARIANTS["both"])
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    state = tx.init(params)
    for _ in range(2):
        step, state = tx.update(params, state)
    assert step["w"].dtype == jnp.bfloat16
    assert {x.dtype for x in (state.law, *state.average)} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(state.average.weight, 1)  # the first had no memory to correct by


@pytest.mark.slow
def test_what_is_not_trusted_enters_no_average():
    tx = rllc.scale_by_rllc("M(0.5)", 0.1, **VARIANTS["both"])
    state, g = tx.init(jnp.zeros(2)), jnp.array([1.0, 2.0])
    for _ in range(3):
        _, state = tx.update(g, state)
    for bad in (jnp.nan * g, 1e4 * g):  # the second is a spike, past max_gradient_ratio
        _, after = tx.update(bad, state)
        np.testing.assert_array_equal(after.law, state.law)
        jax.tree.map(np.testing.assert_array_equal, after.average, state.average)


@pytest.mark.slow
def test_a_large_correction_does_not_end_a_multiplicative_law():
    # M_1 = (1, 0), g_2 = (−200, 0): without a limit one step would take e^-200 of the law.
    tx = rllc.scale_by_rllc("M(0.0)", 1.0, law_update="multiplicative")
    _, state = tx.update(jnp.array([1.0, 0.0]), tx.init(jnp.zeros(2)))
    _, state = tx.update(jnp.array([-200.0, 0.0]), state)
    np.testing.assert_allclose(state.law, np.exp(-0.1), rtol=1e-6)
    free = rllc.scale_by_rllc("M(0.0)", 1.0, law_update="multiplicative", max_law_step=None)
    _, state = free.update(jnp.array([1.0, 0.0]), free.init(jnp.zeros(2)))
    _, state = free.update(jnp.array([-200.0, 0.0]), state)
    assert state.law[0] == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: rllc.lm_rllc("M(0.9)+M(0.0)", 0.1, initial_law="first", **options),
        lambda **options: rllc.scale_by_rllc(
            rllc.sign_momentum(0.9, 0.5), initial_law=(0.0, 1.0), **options
        ).init(jnp.zeros(2)),  # how many units a rule has shows only here
        lambda **options: rllc.mix(
            optax.sgd(0.1), optax.adam(0.1), initial_law=jnp.array([0.0, 1.0]), **options
        ).init(jnp.zeros(2)),
    ],
    ids=["table", "rule", "mix"],
)
def test_a_coefficient_that_could_never_move_is_refused(make):
    make(law_update="additive")
    with pytest.raises(ValueError, match=r"initial_law is \[.*0\.0.*\]; .*multiplic.*stays 0"):
        make(law_update="multiplicative")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law_update": "geometric"}, "law_update is 'geometric'; .*'additive' or 'multiplic"),
        ({"correction_decay": 1.0}, "correction_decay is 1.0"),
        ({"correction_decay": -0.1}, "correction_decay is -0.1"),
        ({"correction_decay": float("nan")}, "correction_decay is nan"),
        ({"correction_decay": (0.9, 0.8)}, "correction_decay is .*one number"),
        ({"correction_decay": "0.9"}, "correction_decay is '0.9'"),
        ({"max_law_step": "none"}, "max_law_step is 'none'; it must be 'auto'"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rllc.lm_rllc("M(0.9)", 0.1, **options)


@pytest.mark.slow
def test_bounds_may_be_a_fraction_of_the_initial_law():
    start = rllc.initial_law((2.0, 0.5), 2)
    low, high = 0.9 * start, 1.1 * start
    for bounds in ((low, high), [low.tolist(), high.tolist()]):  # lists, as a config gives them
        _, laws, _ = run(rllc.lm_rllc("M(0.9)+M(0.0)", 0.02, 0.5, start, law_bounds=bounds))
        np.testing.assert_allclose(laws[:, 0].max(), 2.2, rtol=1e-6)
        np.testing.assert_allclose(laws[:, 1].min(), 0.45, rtol=1e-6)


def traffic(**options):
    """Bytes that one compiled step reads and writes, as XLA counts them, per parameter."""
    size = 2**20
    tx = rllc.lm_rllc("M(0.9)+M(0.0)", 0.1, **options)
    g = jnp.zeros(size)
    compiled = jax.jit(tx.update).lower(g, tx.init(g)).compile()
    return compiled.cost_analysis()["bytes accessed"] / size


@pytest.mark.slow
def test_no_variant_reads_or_writes_more_of_what_is_as_large_as_the_parameters():
    plain = traffic()
    assert plain > 4 * 5  # at least: read two units and g, write two units, in float32
    for options in (*VARIANTS.values(), {"law_learning_rate": rllc.inverse_power_schedule(0.1)}):
        if "correct_with" not in options:
            assert abs(traffic(**options) - plain) < 0.01, options
