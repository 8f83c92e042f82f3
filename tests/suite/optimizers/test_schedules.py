"""Schedules of rates: factors by hand, trajectories against NumPy, names, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite import schedules
from rllc.suite.engine import optimizers
from rllc.suite.engine.optimizer_check import check_optimizer
from rllc.suite.plan import configuration, plan
from rllc.suite.plan.configuration import Conf, compose
from rllc.suite.plan.plan import PlanError
from rllc.suite.schedules import Schedule
from tests.method import oracle
from tests.suite.optimizers.configs import CONF, load, traced_defaults

NAMES = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))
# Their rates are numbers that they change themselves, or need the inverse of.
REFUSING = ("adam_hd", "hdm", "mada", "sgd_hd", "swats", "wrap_adam", "wrap_momentum")
STEPS = 40
COSINE = {"shape": "cosine", "warmup": 0.1, "final": 0.05, "steps": STEPS}
RNG = np.random.default_rng(0)


def run_of(*words):
    """The run of a command line, on synthetic data."""
    return configuration.run_of(compose(CONF, ["protocol=rehearsal", *words]), {})


def factors(shape, warmup, final, steps):
    """The module's formulas in NumPy."""
    warm, found = round(warmup * steps), []
    for t in range(steps):
        x = (t - warm) / (steps - warm)
        decays = {
            "constant": 1.0,
            "linear": 1 - (1 - final) * x,
            "cosine": final + (1 - final) * (1 + np.cos(np.pi * x)) / 2,
        }
        found.append((t + 1) / warm if t < warm else decays[shape])
    return np.array(found)


@pytest.mark.slow
def test_factors_by_hand():
    def of(*settings):
        schedule = Schedule(*settings)
        return [float(schedule.factor(jnp.asarray(t))) for t in range(schedule.steps)]

    np.testing.assert_allclose(of("constant", 0.5, 1.0, 4), [0.5, 1, 1, 1])
    np.testing.assert_allclose(of("linear", 0.0, 0.0, 4), [1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(of("linear", 0.0, 0.5, 2), [1, 0.75])
    np.testing.assert_allclose(of("cosine", 0.0, 0.0, 2), [1, 0.5], atol=1e-7)
    np.testing.assert_allclose(of("cosine", 0.2, 0.2, 5), [1, 1, 0.88284, 0.6, 0.31716], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shape", schedules.SHAPES)
def test_momentum_sgd_follows_numpy(shape):
    settings = {**COSINE, "shape": shape} | ({"final": 1.0} if shape == "constant" else {})
    static, traced = traced_defaults(load("momentum"))
    gradients = RNG.normal(size=(STEPS, 6))
    tx = optimizers.build({**static, "schedules": {"learning_rate": settings}}, traced)
    rate, factor = float(traced["learning_rate"]), factors(**settings)
    ours, state = jnp.zeros(6), tx.init(jnp.zeros(6))
    theirs, velocity = np.zeros(6), np.zeros(6)
    for t in range(STEPS):
        updates, state = tx.update(jnp.asarray(gradients[t], jnp.float32), state)
        ours = optax.apply_updates(ours, updates)
        velocity = 0.9 * velocity + gradients[t]
        theirs = theirs - rate * factor[t] * velocity
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_scheduled_law_follows_the_oracle():
    """The paper's definition 5.1 in float64, a step at a time, with c₁ and c₂ of that step."""
    static, traced = traced_defaults(load("m_0.9"))
    law = {**COSINE, "shape": "linear", "warmup": 0.0, "final": 0.0}
    config = {**static, "schedules": {"learning_rate": COSINE, "law_learning_rate": law}}
    gradients = 1 + RNG.normal(size=(STEPS, 5))
    c1 = 0.03 * factors(**COSINE)
    c2 = 0.2 * factors(**law)
    with jax.enable_x64(True):
        peaks = {
            **traced,
            "learning_rate": jnp.asarray(0.03),
            "law_learning_rate": jnp.asarray(0.2),
        }
        tx = optimizers.build(config, peaks)
        theta, state = jnp.zeros(5), tx.init(jnp.zeros(5))
        found = []
        for g in gradients:
            updates, state = tx.update(jnp.asarray(g), state)
            theta = optax.apply_updates(theta, updates)
            found.append((theta, optimizers.observe(config, state)["law"][0]))
    transition, injection = oracle.TABLES["M(0.9)"]
    memory, at, weight = np.zeros((5, 1)), np.zeros(5), np.ones(1)
    for t, g in enumerate(gradients):
        weight = weight + c2[t] * oracle.pseudo_inverse(memory, 1e-6, "relative") @ g
        memory = memory @ transition + np.outer(g, injection)
        at = at - c1[t] * memory @ weight
        np.testing.assert_allclose(found[t][0], at, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found[t][1], weight[0], rtol=1e-6)  # recorded as float32
    assert abs(weight[0] - 1) > 0.1  # the law has moved


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_takes_a_schedule_or_says_that_it_does_not(name):
    """A factor of 1 changes nothing, a cosine does; at a tenth of the usual rate, which is a cap in
    MoMo."""
    static, traced = traced_defaults(load(name))
    traced = {**traced, "learning_rate": traced["learning_rate"] / 10}
    rates = schedules.moved(load(name))["schedule"]
    start = {"kernel": jnp.linspace(0.5, 1.5, 12).reshape(4, 3), "bias": -jnp.ones(3)}

    def path(schedule):
        config = {**static, "schedules": dict.fromkeys(rates, schedule) if schedule else {}}
        check_optimizer(config, traced, start)

        def step(carry, _):
            value, gradients = jax.value_and_grad(optax.tree.norm)(carry[0], squared=True)
            updates, state = tx.update(gradients, carry[1], carry[0], value=value)
            params = optax.apply_updates(carry[0], updates)
            return (params, state), params["kernel"]

        tx = optax.with_extra_args_support(optimizers.build(config, traced))
        return jax.lax.scan(step, (start, tx.init(start)), length=STEPS)[1]

    plain = jax.jit(lambda: path(None))()
    if name in REFUSING:
        with pytest.raises(PlanError, match=r"takes no schedule: its learning") as told:
            path(COSINE)
        assert "\n" not in str(told.value)
        return
    one = {"shape": "linear", "warmup": 0.0, "final": 1.0, "steps": STEPS}
    np.testing.assert_allclose(jax.jit(lambda: path(one))(), plain, rtol=1e-5, atol=1e-7)
    changed = jax.jit(lambda: path(COSINE))() - plain
    assert jnp.abs(changed).max() > 1e-2 * jnp.abs(plain - start["kernel"]).max()


@pytest.mark.parametrize("name", ["sgd", "adam", "m_0.9_m_0.0", "muon_split"])
def test_constant_rates_leave_names_and_labels(name):
    given = run_of(f"optimizer={name}", "schedule=constant", "law_schedule=constant")
    without = run_of(f"optimizer={name}", "~schedule", "~law_schedule")
    assert given == without
    assert "schedules" not in given.optimizer


@pytest.mark.slow
def test_a_schedule_is_another_run_with_another_label():
    words = ["optimizer=m_0.9", "schedule=cosine", "law_schedule=linear", "schedule.warmup=0.2"]
    runs = [run_of(*words[:count]) for count in range(1, 5)]
    assert len({run.name for run in runs}) == len({run.group for run in runs}) == 4
    assert [run.optimizer["name"] for run in runs] == [
        "M(0.9)",
        "M(0.9), cosine",
        "M(0.9), cosine, linear of the law",
        "M(0.9), cosine, linear of the law",
    ]
    warm = run_of("optimizer=adam", "schedule.warmup=0.1")
    assert warm.optimizer["name"] == "Adam, warm-up"


def test_every_rate_of_an_optimizer_changes_but_the_laws():
    assert set(run_of("optimizer=muon_split", "schedule=cosine").optimizer["schedules"]) == {
        "learning_rate",
        "adam_learning_rate",
    }
    assert set(run_of("optimizer=m_0.9", "schedule=cosine").optimizer["schedules"]) == {
        "learning_rate"
    }


@pytest.mark.slow
def test_a_grid_of_peaks_is_one_program():
    runs = [
        run_of(
            "optimizer=adam", "schedule=cosine", f"optimizer.learning_rate={rate}", f"seed={seed}"
        )
        for rate in (0.1, 0.01, 0.001)
        for seed in (0, 1)
    ]
    assert len(plan.group_runs(runs)) == 1
    assert runs[0].traced == {"learning_rate": 0.1}


def test_steps_are_the_protocols():
    run = run_of("optimizer=adam", "schedule=cosine", "protocol.steps=30")
    assert run.optimizer["schedules"]["learning_rate"]["steps"] == 30
    with pytest.raises(PlanError, match=r"learning_rate.steps=7, but protocol.steps=30"):
        run_of("optimizer=adam", "schedule=cosine", "protocol.steps=30", "schedule.steps=7")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["schedule=cosine", "schedule.warmup=1.0"], "leaves none of 40 steps after the warm-up"),
        (["schedule=cosine", "schedule.warmup=-1"], "schedule.warmup=-1 must be a number from 0"),
        (["schedule=cosine", "schedule.final=2"], "schedule.final=2 must be a number from 0 to 1"),
        (["schedule.final=0.1"], "schedule.final=0.1 is for a rate that falls: shape cosine or l"),
        (["schedule=cosine", "schedule.shape=step"], "schedule.shape='step' must be one of const"),
        (["schedule=cosine", "~schedule.final"], "schedule must have shape, warmup, final, steps"),
        (
            ["law_schedule=cosine"],
            "law_schedule: optimizer Adam has nothing that it would move; its `scheduled` names no",
        ),
        (
            ["+optimizer.scheduled={law_schedule: [b3]}"],
            "Adam: scheduled.law_schedule names 'b3', which is no argument of it",
        ),
        (["+optimizer.scheduled={law: [b1]}"], "scheduled.law: a group is called schedule or …_s"),
        (["+optimizer.scheduled=[b1]"], r"Adam: scheduled=\['b1'\] must map groups to lists"),
        (["+optimizer.scheduled={schedule: b1}"], "must map groups to lists of arguments"),
        (["+optimizer.schedules={b3: {}}"], "schedules.b3: the optimizer has no argument b3"),
    ],
)
def test_schedules_that_cannot_be(words, message):
    with pytest.raises(PlanError, match=message) as told:
        run_of("optimizer=adam", *words)
    assert "\n" not in str(told.value)


def test_words_of_a_schedule_make_it_again():
    words = [
        "schedule=linear",
        "schedule.final=0.1",
        "law_schedule=cosine",
        "law_schedule.warmup=0.3",
    ]
    run = run_of("optimizer=m_0.9", *words)
    again = run_of("optimizer=m_0.9", *schedules.words(run.optimizer))
    assert again.name == run.name
    hostile = {"learning_rate": {**COSINE, "shape": "x task=y"}}
    with pytest.raises(PlanError, match="must be one of"):
        schedules.words({"schedules": hostile})
    named = {"x=1 task": ["learning_rate"]}
    with pytest.raises(PlanError, match="a group is called schedule or …_schedule"):
        schedules.words({"schedules": {"learning_rate": COSINE}, "scheduled": named})


def test_a_config_says_what_its_groups_move():
    """Of any optimizer, with any words: here a decay, and one of two rates."""
    words = ["optimizer=muon_split", "schedule=cosine", "+beta_schedule=${schedule}"]
    groups = "{schedule: [adam_learning_rate], beta_schedule: [beta]}"
    run = run_of(*words, f"+optimizer.scheduled={groups}")
    assert set(run.optimizer["schedules"]) == {"adam_learning_rate", "beta"}
    assert run.optimizer["name"] == "Muon (hidden layers), cosine, cosine of the beta"
    plain = run_of("optimizer=muon_split")
    assert run_of("optimizer=muon_split", f"+optimizer.scheduled={groups}").name == plain.name


def test_a_label_of_a_composed_config_is_that_of_its_run():
    for words in (["optimizer=adam"], ["optimizer=m_0.9", "schedule=linear"]):
        cfg = compose(Conf(CONF), ["protocol=rehearsal", *words])
        assert configuration.label_of(cfg) == configuration.run_of(cfg, {}).optimizer["name"]
