"""Configs of other laws: schedules from YAML, new names of runs, mistakes told before training."""

import jax.numpy as jnp
import numpy as np
import pytest

import rllc
from rllc.suite.engine import optimizers
from rllc.suite.engine.optimizer_check import check_optimizer
from rllc.suite.errors import PlanError
from rllc.suite.plan.plan import make_run
from tests.suite.optimizers.configs import load, traced_defaults

TASK = {"name": "toy", "_target_": "tests.suite.toy.make"}
VARIANTS = ("m_0.9_multiplicative", "m_0.9_averaged", "m_0.9_falling")


def laws(tx, steps=20):
    """The law after each of these steps on a fixed row of gradients."""
    gradients = np.random.default_rng(40).normal(size=(steps, 50)) + 1
    state, found = tx.init(jnp.zeros(50)), []
    for g in gradients:
        _, state = tx.update(jnp.asarray(g, jnp.float32), state)
        found.append(float(rllc.get_law(state)[0]))
    return found


def scheduled(target):
    """The overrides that make a law rate a schedule: a value with a target, and none to tune."""
    return (
        f"optimizer.law_learning_rate={target}",
        "optimizer.traced=[learning_rate,initial_law]",
        "~optimizer.grid.law_learning_rate",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "schedule"),
    [
        (
            "{_target_:rllc.inverse_power_schedule,init_value:0.3}",
            lambda t: 0.3 / np.sqrt(1 + t),
        ),
        (
            "{_target_:optax.exponential_decay,init_value:0.3,transition_steps:5,decay_rate:0.5}",
            lambda t: 0.3 * 0.5 ** (t / 5),
        ),
    ],
    ids=["1/sqrt(t)", "optax"],
)
def test_the_law_rate_may_be_a_schedule_of_a_config(target, schedule):
    config = load("m_0.9", *scheduled(target))
    static, traced = traced_defaults(config)
    found = laws(optimizers.build(static, traced))
    table = jnp.asarray([schedule(t) for t in range(20)], jnp.float32)
    expected = laws(rllc.lm_rllc("M(0.9)", 0.03, lambda t: table[t]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    constant = laws(rllc.lm_rllc("M(0.9)", 0.03, 0.3))
    assert abs(found[-1] - constant[-1]) > 0.1
    assert make_run(TASK, config, 0).name != make_run(TASK, load("m_0.9"), 0).name


def test_a_tuned_law_rate_that_is_given_as_a_schedule_is_refused():
    target = scheduled("{_target_:rllc.inverse_power_schedule,init_value:0.3}")[0]
    with pytest.raises(PlanError, match="law_learning_rate"):
        make_run(TASK, load("m_0.9", target), 0)


@pytest.mark.slow
def test_the_falling_rate_is_the_schedule_and_its_start_is_tuned():
    static, traced = traced_defaults(load("m_0.9_falling"))
    found = laws(optimizers.build(static, {**traced, "law_learning_rate": jnp.float32(0.3)}))
    schedule = rllc.inverse_power_schedule(0.3, 0.5, 100)
    np.testing.assert_allclose(found, laws(rllc.lm_rllc("M(0.9)", 0.03, schedule)), rtol=1e-5)


def test_every_variant_has_a_name_of_its_own():
    plain = make_run(TASK, load("m_0.9"), 0)
    runs = [make_run(TASK, load(name), 0) for name in VARIANTS]
    assert len({run.name for run in (plain, *runs)}) == 1 + len(VARIANTS)
    assert len({run.group for run in (plain, *runs)}) == 1 + len(VARIANTS)


def test_a_multiplicative_law_that_starts_at_0_is_told_before_training():
    config = load("m_0.9_m_0.0_multiplicative", "optimizer.initial_law=first")
    run = make_run(TASK, config, 0)
    with pytest.raises(PlanError, match=r"multiplicative M.*initial_law is \[1.0, 0.0\]"):
        check_optimizer(run.optimizer, run.traced, jnp.ones(3))
    run = make_run(TASK, load("m_0.9_m_0.0_multiplicative"), 0)
    check_optimizer(run.optimizer, run.traced, jnp.ones(3))


@pytest.mark.slow
def test_the_configs_have_the_laws_they_promise():
    static, traced = traced_defaults(load("m_0.9_multiplicative"))
    expected = rllc.lm_rllc("M(0.9)", 0.03, 0.003, law_update="multiplicative")
    np.testing.assert_allclose(laws(optimizers.build(static, traced)), laws(expected), rtol=1e-6)
    static, traced = traced_defaults(load("m_0.9_averaged"))
    expected = rllc.lm_rllc("M(0.9)", 0.03, 0.003, correction_decay=0.99)
    np.testing.assert_allclose(laws(optimizers.build(static, traced)), laws(expected), rtol=1e-6)
