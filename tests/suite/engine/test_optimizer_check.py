"""What an optimizer of anybody's gets wrong is one line before anything trains."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite.engine import optimizers, program, task_check
from rllc.suite.engine.optimizer_check import check_optimizer
from rllc.suite.errors import PlanError
from rllc.suite.execute import execution
from rllc.suite.plan import plan
from tests.suite import toy

HERE = "tests.suite.engine.test_optimizer_check"
PARAMS = {"Dense_0": {"kernel": jnp.ones((3, 4))}, "Dense_1": {"kernel": jnp.ones((4, 1))}}
QUADRATIC = {"_target_": "tests.suite.toy.quadratic", "name": "quadratic"}


def fails_in_update(learning_rate):
    def update(updates, state, params=None):
        raise RuntimeError("boom\nand more")

    return optax.GradientTransformation(lambda params: (), update)


def branches(learning_rate):
    return optax.sgd(learning_rate) if learning_rate > 0.001 else optax.adam(learning_rate)


def roots(learning_rate):
    return optax.sgd(float(np.sqrt(learning_rate)))


def truncates(learning_rate):
    return optax.sgd(math.sqrt(learning_rate))


def counting(start):
    """Plain descent with a state that begins so, to which 1.0 is added in every step."""

    def of(learning_rate):
        def update(updates, state, params=None):
            step = jax.tree.map(lambda g: -learning_rate * g, updates)
            return step, 1.0 if state is None else state + 1.0

        return optax.GradientTransformation(lambda params: start, update)

    return of


another_dtype, another_structure = counting(np.int32(0)), counting(None)
weakly_typed = counting(0)


def wide(learning_rate):
    """Updates that are larger than the parameters."""
    return optax.stateless(lambda updates, params: jax.tree.map(lambda g: g[None], updates))


def sharp(learning_rate):
    return optax.contrib.sam(optax.sgd(learning_rate), optax.sgd(0.01))


def fast_and_slow(learning_rate):
    return optax.lookahead(optax.sgd(learning_rate), 5, 0.5)


def by_layer(learning_rate):
    slow, fast = optax.sgd(learning_rate / 10), optax.sgd(learning_rate)
    labels = {"Dense_0": "slow", "Dense_1": "fast"}
    return optax.multi_transform({"slow": slow, "fast": fast}, labels)


def decays_a_layer(learning_rate):
    mask = {"Dense_0": True, "Dense_1": False}
    return optax.chain(optax.add_decayed_weights(0.01, mask=mask), optax.sgd(learning_rate))


def of_state_alone(state):
    return state


def first_layer(state, params):
    return params["Dense_0"]


def in_float16(state, params):
    return jax.tree.map(lambda p: p.astype(jnp.float16), params)


def check(target, value=0.01, params=PARAMS, **more):
    config = {"_target_": target, "name": "Mine", **more}
    check_optimizer(config, {"learning_rate": value}, params)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{HERE}.fails_in_update", r"RuntimeError: boom \(.*, line 25\)$"),
        (f"{HERE}.branches", r"TracerBoolConversionError: .*; learning_rate: traced, for jax\.num"),
        (f"{HERE}.roots", r"TracerArrayConversionError: .*; learning_rate: traced, for jax\.num"),
        (f"{HERE}.truncates", "ConcretizationTypeError: .*; learning_rate: traced"),
        (f"{HERE}.another_dtype", r"update changes its state: int32\[\] becomes float32\[\]"),
        (f"{HERE}.another_structure", r"update changes its state: PyTreeDef\(None\) becomes"),
        (f"{HERE}.wide", r"changes the parameters: .*Dense_0.* float32\[3, 4\] becomes .*\[1, 3,"),
        (f"{HERE}.sharp", "TypeError: "),
        (f"{HERE}.fast_and_slow", "AttributeError: 'dict' object has no attribute 'fast'"),
        ("optax.lbfgs", "TypeError: .*'value_fn'"),
        (f"{HERE}.check", "TypeError: |AttributeError: "),
    ],
)
def test_a_mistake_in_an_optimizer_is_one_line(target, message):
    with pytest.raises(PlanError, match=f"^optimizer Mine: .*{message}") as caught:
        check(target)
    assert "\n" not in str(caught.value)


def test_it_is_checked_before_anything_trains(tmp_path):
    """Of a task whose batches are generated, too."""
    config = {**toy.SGD, "_target_": f"{HERE}.fails_in_update", "name": "Mine"}
    run = plan.make_run(QUADRATIC, config, 0, {"steps": 4, "eval_every": 2})
    options = execution.Options(tmp_path)
    with pytest.raises(PlanError, match=r"^optimizer Mine: RuntimeError: boom \(.*, line 25\)$"):
        execution.prepare([run], options)


def test_a_list_of_rates_is_no_rate():
    with pytest.raises(
        PlanError, match=r"^optimizer Mine: .*; learning_rate=\[0\.1, 0\.2\] is one"
    ):
        check("optax.sgd", (0.1, 0.2))


def test_with_a_schedule_it_is_not_the_schedule_that_is_blamed():
    schedule = {"shape": "cosine", "warmup": 0.0, "final": 0.0, "steps": 4}
    with pytest.raises(PlanError, match=r"^optimizer Mine: RuntimeError: boom \(.*, line 25\)$"):
        check(f"{HERE}.fails_in_update", schedules={"learning_rate": schedule})
    with pytest.raises(PlanError, match=r"^optimizer Mine takes no schedule: .*\(TypeError with"):
        check(f"{HERE}.of_a_number", schedules={"learning_rate": schedule})


def of_a_number(learning_rate):
    return optax.scale(-1.0 * learning_rate)


@pytest.mark.parametrize("target", ["by_layer", "decays_a_layer"])
def test_an_optimizer_may_name_the_layers_of_its_task(target):
    check(f"{HERE}.{target}")
    with pytest.raises(PlanError, match=r"^optimizer Mine: ValueError: "):
        check(f"{HERE}.{target}", params={"w": jnp.ones(3)})


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("of_state_alone", r"must take \(opt_state, params\): TypeError: "),
        ("first_layer", "must return parameters like those it is given: .* becomes "),
    ],
)
def test_evaluation_parameters_are_called_once(function, message):
    path = f"{HERE}.{function}"
    with pytest.raises(PlanError, match=f"^optimizer Mine: evaluation_parameters={path} {message}"):
        check("optax.sgd", evaluation_parameters=path)
    check("optax.sgd", evaluation_parameters=f"{HERE}.in_float16")  # it is evaluated, not trained


def test_what_is_checked_is_what_trains():
    """A number of Python in a state takes the type of what update makes of it, as in a loop."""
    task, config = toy.quadratic(), {"_target_": f"{HERE}.weakly_typed", "name": "Mine"}
    traced = {"learning_rate": jnp.float32(0.1)}
    check_optimizer(config, traced, task_check.start(task, "q")[0])
    params, state = task.init(jax.random.key(0))
    carry = params, state, optimizers.build(config, traced).init(params)

    def body(i, carry):
        key = jax.random.key(i)
        return program.train_step(task, config, carry, jnp.zeros(10), key, traced)[0]

    assert float(jax.jit(lambda c: jax.lax.fori_loop(0, 3, body, c))(carry)[2]) == 3.0
