"""Options of the optimizers: laws per group, decay, limits, dtypes, schedules, and bad input."""

import inspect
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from rllc.options import LawOptions
from tests.method import trees

STEPS = 30
NAME = "M(0.9)+M(0.0)"


def run(tx, dtype="float32", seed=10):
    return trees.trajectory(tx, trees.random_gradients(STEPS, seed, dtype), trees.zeros(dtype))


@pytest.mark.slow
def test_law_per_leaf_is_an_optimizer_per_leaf():
    tx = rllc.lm_rllc(NAME, 0.05, 0.03, law_groups="leaf")
    thetas, laws, _ = run(tx)
    assert laws.shape == (STEPS, 3, 2)
    gradients, params = trees.random_gradients(STEPS, 10, "float32"), trees.zeros("float32")
    alone = rllc.lm_rllc(NAME, 0.05, 0.03)
    for i, (g, p) in enumerate(
        zip(jax.tree.leaves(gradients), jax.tree.leaves(params), strict=True)
    ):
        _, law, _ = trees.trajectory(alone, g, p)
        np.testing.assert_allclose(laws[:, i], law, rtol=1e-5)
    assert rllc.law_labels("leaf", params) == ("['dense']['kernel']", "['more'][0]", "['more'][1]")
    assert np.isfinite(thetas).all()


@pytest.mark.slow
@pytest.mark.parametrize("as_callable", [False, True])
def test_law_per_label_is_multi_transform(as_callable):
    labels = {"dense": "matrices", "more": ["vectors", "vectors"], "empty": {}}
    groups = (lambda params: labels) if as_callable else labels
    ours, laws, _ = run(rllc.lm_rllc(NAME, 0.05, 0.03, law_groups=groups))
    each = {label: rllc.lm_rllc(NAME, 0.05, 0.03) for label in ("matrices", "vectors")}
    theirs, _, _ = run(optax.multi_transform(each, labels))
    assert laws.shape == (STEPS, 2, 2)
    assert rllc.law_labels(groups, trees.zeros("float32")) == ("matrices", "vectors")
    assert trees.relative_error(ours, theirs) < 1e-5


def test_labels_may_be_a_prefix_of_the_parameters():
    params = {"a": {"x": jnp.zeros(2), "y": jnp.zeros(3)}, "b": jnp.zeros(())}
    assert rllc.law_labels({"a": "one", "b": "two"}, params) == ("one", "two")


class Network(dict):
    """A tree of parameters that is also a function, as the modules of some libraries are."""

    def __call__(self, x):
        return x @ self["w"]


jax.tree_util.register_pytree_node(
    Network,
    lambda net: (list(net.values()), tuple(net)),
    lambda k, v: Network(zip(k, v, strict=True)),
)


def test_labels_in_a_tree_that_can_be_called_are_read():
    params = Network(w=jnp.ones((2, 2)), b=jnp.ones(2))
    labels = Network(w="matrix", b="vector")
    assert rllc.law_labels(labels, params) == ("matrix", "vector")
    by_rank = jax.tree_util.Partial(lambda tree: jax.tree.map(lambda x: str(x.ndim), tree))
    assert rllc.law_labels(by_rank, params) == ("1", "2")


@pytest.mark.slow
def test_a_label_without_parameters_is_fine():
    per_leaf = rllc.lm_rllc(NAME, 0.1, law_groups="leaf")
    tx = optax.partition({"conv": per_leaf, "rest": optax.sgd(0.1)}, {"a": "rest"})
    params = {"a": jnp.ones(2)}
    updates, _ = tx.update(params, tx.init(params), params)
    np.testing.assert_allclose(updates["a"], -0.1)


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.1, jnp.float32(0.1), np.float64(0.1), lambda step: 0.1])
def test_weight_decay_keeps_the_dtype_of_the_step(decay):
    tx = rllc.lm_rllc("M(0.9)", 0.1, weight_decay=decay)
    params = jnp.ones(3, jnp.bfloat16)
    updates, _ = tx.update(params, tx.init(params), params)
    assert updates.dtype == jnp.bfloat16
    np.testing.assert_allclose(updates.astype(jnp.float32), -0.11, rtol=1e-2)


def test_a_memory_dtype_that_was_called_as_a_schedule_is_refused():
    inject = optax.inject_hyperparams(rllc.lm_rllc)
    with pytest.raises(ValueError, match=r"memory_dtype is the array.*'bfloat16'"):
        inject(NAME, learning_rate=0.1, memory_dtype=jnp.bfloat16).init(jnp.ones(3))
    tx = inject(NAME, learning_rate=0.1, memory_dtype="bfloat16")
    assert tx.init(jnp.ones(3)).inner_state[0].memory[0].dtype == jnp.bfloat16


@pytest.mark.parametrize("function", [rllc.lm_rllc, rllc.scale_by_rllc, rllc.wrap, rllc.mix])
def test_signatures_show_the_options_of_the_law(function):
    parameters = inspect.signature(function).parameters
    assert set(LawOptions._fields) < set(parameters)
    assert parameters["law_bounds"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "options" not in parameters
    required = ["M(0.9)", 0.1] if function is rllc.lm_rllc else [optax.sgd(0.1)]
    with pytest.raises(TypeError, match="law_bound'"):
        function(*required, law_bound=(0, 1))


def test_every_option_of_the_law_is_described():
    for option in LawOptions._fields:
        assert f"      {option}: " in rllc.scale_by_rllc.__doc__, option


@pytest.mark.slow
def test_weight_decay_is_decoupled():
    # With zero gradients memory stays empty, and θ_t = (1 − c₁ λ)^t θ_0, wherever the mask is True.
    params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    mask = {"w": True, "b": False}
    tx = rllc.lm_rllc(NAME, 0.1, weight_decay=0.5, mask=mask)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params["w"], 0.95**3, rtol=1e-6)
    np.testing.assert_array_equal(params["b"], 1.0)


@pytest.mark.slow
def test_law_bounds_and_largest_correction():
    _, free, _ = run(rllc.lm_rllc(NAME, 0.05, 1.0))
    assert free.min() < 0.5
    _, bounded, _ = run(rllc.lm_rllc(NAME, 0.05, 1.0, law_bounds=(0.5, 1.2)))
    assert bounded.min() == 0.5
    assert bounded.max() <= np.float32(1.2)
    _, limited, _ = run(rllc.lm_rllc(NAME, 0.05, 1.0, max_correction=0.01))
    change = np.linalg.norm(np.diff(limited, axis=0), axis=1)
    assert 0.0099 < change.max() < 0.0101  # c₂ = 1: the bound itself, up to float32 rounding


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits",
    [
        {"law_bounds": (None, 1.2)},
        {"law_bounds": np.array([0.5, 1.2])},
        {"law_bounds": (np.zeros(2), np.ones(2))},  # by unit
        {"max_correction": float("inf")},
    ],
    ids=str,
)
def test_limits_of_other_forms(limits):
    _, law, _ = run(rllc.lm_rllc(NAME, 0.05, 1.0, **limits))
    assert law.max() <= np.float32(1.2) or "max_correction" in limits


def test_an_accumulating_optimizer_can_be_wrapped():
    tx = rllc.wrap(optax.MultiSteps(optax.sgd(0.1), 2))
    assert rllc.get_law(tx.init(jnp.zeros(2))).tolist() == [1.0]


@pytest.mark.slow
def test_memory_in_bfloat16():
    reference, law, _ = run(rllc.lm_rllc(NAME, 0.05, 0.03))
    rounded, rounded_law, state = run(rllc.lm_rllc(NAME, 0.05, 0.03, memory_dtype=jnp.bfloat16))
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(state[0].memory))
    assert rllc.get_law(state).dtype == jnp.float32
    # bfloat16 rounds to 2^-9 = 0.2 %; momentum of ten steps averages some of it out.
    assert 1e-5 < trees.relative_error(rounded, reference) < 5e-3
    assert trees.relative_error(rounded_law, law) < 5e-3


def test_bfloat16_parameters_keep_their_dtype_and_a_float32_law():
    tx = rllc.lm_rllc(NAME, jnp.float32(0.05), weight_decay=0.1)
    params = {"w": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(2, jnp.float32)}
    state = tx.init(params)
    updates, state = tx.update(params, state, params)
    assert jax.tree.map(lambda x: x.dtype, updates) == jax.tree.map(lambda x: x.dtype, params)
    assert rllc.get_law(state).dtype == jnp.float32
    assert state[0].memory[0]["w"].dtype == jnp.bfloat16


@pytest.mark.slow
def test_schedules_see_the_step_number_from_zero():
    rates = jnp.array([0.1, 0.0, 0.2])
    law_rates = jnp.array([0.0, 0.5, 0.0])
    tx = rllc.lm_rllc("M(0.5)", lambda t: rates[t], lambda t: law_rates[t], epsilon=0)
    state, g = tx.init(jnp.zeros(2)), jnp.array([1.0, 0.0])
    steps, laws = [], []
    for _ in range(3):
        updates, state = tx.update(g, state)
        steps.append(float(updates[0]))
        laws.append(float(rllc.get_law(state)[0]))
    # M_1^+ g = 1 at the second step; M = 1, 1.5, 1.75.
    np.testing.assert_allclose(laws, [1.0, 1.5, 1.5], rtol=1e-6)
    np.testing.assert_allclose(steps, [-0.1, 0.0, -0.2 * 1.75 * 1.5], rtol=1e-6)


@pytest.mark.slow
def test_traced_rates_laws_and_runs_in_one_program():
    gradients, params = trees.random_gradients(STEPS, 11, "float32"), trees.zeros("float32")

    def final(rate, law_rate, law, epsilon):
        tx = rllc.lm_rllc(NAME, rate, law_rate, law, epsilon)
        state = tx.init(params)
        (theta, state), _ = jax.lax.scan(
            lambda carry, g: (_apply(tx, g, *carry), None), (params, state), gradients
        )
        return theta, rllc.get_law(state)

    rates, laws = (0.01, 0.05), ((1.0, 0.0), (0.5, 2.0))
    args = jnp.array(rates), jnp.array([0.01, 0.03]), jnp.array(laws), jnp.array([1e-6, 1e-4])
    thetas, learned = jax.jit(jax.vmap(final))(*args)
    for i in range(2):
        tx = rllc.lm_rllc(NAME, rates[i], (0.01, 0.03)[i], laws[i], (1e-6, 1e-4)[i])
        path, law, _ = trees.trajectory(tx, gradients, params)
        # One program for both runs orders its sums differently: a few float32 roundings.
        np.testing.assert_allclose(trees.flat(thetas)[i], path[-1], rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(learned[i], law[-1], rtol=2e-5)


def _apply(tx, gradient, params, state):
    updates, state = tx.update(gradient, state, params)
    return optax.apply_updates(params, updates), state


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ones", [1, 1]),
        ("first", [1, 0]),
        ("last", [0, 1]),
        ("mean", [0.5, 0.5]),
        (0.1, [0.1, 0.1]),
        ("7*first", [7, 0]),
        ("-0.5 * last", [0, -0.5]),
    ],
)
def test_initial_laws(name, values):
    np.testing.assert_array_equal(rllc.initial_law(name, 2), values)
    state = rllc.lm_rllc(NAME, 0.1, initial_law=name).init(jnp.zeros(2))
    np.testing.assert_array_equal(rllc.get_law(state), np.float32(values))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": -0.1}, "learning_rate is -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": [0.1, 0.2]}, "learning_rate"),
        ({"law_learning_rate": float("inf")}, "law_learning_rate is inf"),
        ({"initial_law": "*first"}, r"initial_law is '\*first'; the names are ones, .*'7\*first'"),
        ({"initial_law": "x*first"}, r"initial_law is 'x\*first'"),
        ({"initial_law": "0*ones"}, "at least one value must differ from 0"),
        ({"epsilon": -1e-3}, "epsilon is -0.001"),
        ({"epsilon_mode": "tiny"}, "relative, absolute, cutoff"),
        ({"gram": "lazy"}, "'recursive' or 'exact'|'exact' or 'recursive'"),
        ({"correct_with": "new"}, "correct_with is 'new'.*'old' or 'updated'"),
        ({"correct_with": "updated", "gram": "recursive"}, "needs gram='exact'"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"initial_law": (1, 2, 3)}, r"shape \(3,\).*2 memory units"),
        ({"initial_law": "twos"}, "ones, first, last, mean"),
        ({"initial_law": (0, 0)}, "differ from 0"),
        ({"initial_law": (1, float("nan"))}, "finite"),
        ({"propagator": "M(0.9"}, "position 2"),
        ({"law_bounds": (1, 0)}, r"law_bounds is \(1, 0\).*low <= high"),
        ({"law_bounds": (0, float("nan"))}, "low <= high"),
        ({"law_bounds": (0, 1, 2)}, "a pair"),
        ({"law_bounds": 0.5}, "a pair"),
        ({"max_correction": -1.0}, "max_correction is -1.0"),
        ({"max_correction": float("nan")}, "max_correction is nan"),
        ({"max_law_step": -1.0}, "max_law_step is -1.0"),
        ({"max_gradient_ratio": "none"}, "max_gradient_ratio is 'none'; it must be 'auto'"),
        ({"memory_dtype": jnp.int32}, "memory_dtype is .*floating"),
        ({"max_correction": lambda step: 1.0}, "max_correction is <function"),
        ({"learning_rate": "0.1"}, "learning_rate is '0.1'; it must be one finite number"),
        ({"learning_rate": None}, "learning_rate is None; it must be one finite number"),
        ({"learning_rate": [0.1, [0.2]]}, r"learning_rate is \[0.1, \[0.2\]\]; it must be one"),
        ({"learning_rate": True}, "learning_rate is True; it must be one finite number"),
        ({"propagator": 0.1, "learning_rate": NAME}, r"learning_rate is 'M\(0.9\)"),
        ({"epsilon": lambda step: 1e-6}, "epsilon is <function.*takes no schedule"),
        ({"law_bounds": (0, [1, 2, 3])}, r"law_bounds is \(0, \[1, 2, 3\]\).* the 2 memory units"),
        ({"law_bounds": ([0, 0], [1, 2, 3])}, "law_bounds is .* a pair"),
        ({"law_bounds": (None, "high")}, r"law_bounds is \(None, 'high'\).* a pair"),
        ({"max_correction": [1.0, 2.0]}, r"max_correction is \[1.0, 2.0\]; it must be one number"),
        ({"max_gradient_ratio": [1.0, 2.0]}, "max_gradient_ratio is .*; it must be one number"),
        ({"max_law_step": True}, "max_law_step is True; it must be one number"),
        ({"memory_dtype": "float8_e4m3fn"}, "memory_dtype is 'float8_e4m3fn'; .*: bfloat16, float"),
        ({"memory_dtype": "bf16"}, "memory_dtype is 'bf16'; it must be a floating dtype: bfloat16"),
        ({"mask": {"w": True}}, r"mask is \{'w': True\}, but weight_decay is None"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        rllc.lm_rllc(**{"propagator": NAME, "learning_rate": 0.1, **arguments})


@pytest.mark.parametrize("inner", [optax.adam, rllc.gradient_history((0, 1)), "adam"])
def test_wrap_takes_optimizers_only(inner):
    with pytest.raises(ValueError, match="is not an optax optimizer"):
        rllc.wrap(inner)


@pytest.mark.parametrize("several", [list, tuple])
def test_mix_takes_optimizers_one_by_one(several):
    with pytest.raises(ValueError, match=r"a (list|tuple) of 2 .*unpack it, as in mix\(\*optim"):
        rllc.mix(several([optax.sgd(0.1), optax.adam(0.1)]))


def test_a_schedule_of_epsilon_can_be_injected():
    """As the message of its refusal says."""
    made = optax.inject_hyperparams(rllc.lm_rllc, static_args=("initial_law",))
    tx = made(NAME, 0.1, epsilon=optax.constant_schedule(1e-6))
    state = tx.init(jnp.zeros(2))
    updates, _ = jax.jit(tx.update)(jnp.ones(2), state)
    assert np.isfinite(updates).all()


def test_complex_parameters_are_refused():
    with pytest.raises(ValueError, match="split_real_and_imaginary"):
        rllc.lm_rllc(NAME, 0.1).init(jnp.zeros(2, jnp.complex64))


def test_get_law_needs_exactly_one_law():
    two = optax.chain(rllc.scale_by_rllc("M(0.9)"), rllc.scale_by_rllc("M(0.8)"))
    for tx in (two, optax.sgd(0.1)):
        with pytest.raises(ValueError, match="exactly one"):
            rllc.get_law(tx.init(jnp.zeros(2)))


def test_a_state_without_its_types_is_told_apart():
    state = {"0": {"law": jnp.ones(1)}}  # as a checkpoint restored without a target
    with pytest.raises(ValueError, match="restore it into the structure"):
        rllc.get_law(state)


@pytest.mark.slow
def test_import_needs_jax_numpy_and_optax_only():
    heavy = ["flax", "hydra", "omegaconf", "pandas", "pyarrow", "matplotlib", "tensorflow", "tqdm"]
    code = f"import sys, rllc; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
