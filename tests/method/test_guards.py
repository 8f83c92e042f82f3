"""What keeps a law from being ruined: tiny, huge and non-finite gradients, spikes, empty trees."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from rllc.law import correction, is_trusted
from tests.method import trees

NAMES = ["M(0.9)", "M(0.9)+M(0.0)", "M2(0.6)", "M(0.9)+M(0.8)+M(0.7)", "M(0.9)+M2(0.6)"]


def descend(tx, curvature, steps, scale=lambda t: 1.0, dtype=jnp.float32):
    """|θ| and the law along Σ h θ²/2 from ones, the gradient of step t times scale(t)."""
    h = jnp.array(curvature, dtype)

    def step(carry, t):
        x, state = carry
        updates, state = tx.update((scale(t) * h * x).astype(dtype), state, x)
        x = optax.apply_updates(x, updates)
        return (x, state), (jnp.linalg.norm(x.astype(jnp.float32)), rllc.get_law(state))

    x = jnp.ones(h.shape, dtype)
    run = jax.jit(lambda x: jax.lax.scan(step, (x, tx.init(x)), jnp.arange(steps))[1])
    return tuple(np.asarray(found, np.float64) for found in run(x))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_the_law_survives_convergence(name, dtype):
    # The memory passes the smallest float32 on its way to zero.
    distance, laws = descend(rllc.lm_rllc(name, 0.03, 0.01), (1, 2, 3), 3000, dtype=dtype)
    assert distance[-1] == 0
    assert np.abs(laws).max() < 20
    np.testing.assert_array_equal(laws[-1000:], np.broadcast_to(laws[-1], (1000, *laws[0].shape)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("exponent", [-40, 40])
def test_the_scale_of_gradients_does_not_matter_to_the_last_bit(name, exponent):
    gradients, params = trees.random_gradients(40, 3, "float32"), trees.zeros("float32")
    scaled = jax.tree.map(lambda g: g * 2.0**exponent, gradients)
    tx = rllc.lm_rllc(name, 2.0**-5, 0.03)
    plain, laws, _ = trees.trajectory(tx, gradients, params)
    other, same, _ = trees.trajectory(tx, scaled, params)
    np.testing.assert_array_equal(same, laws)
    np.testing.assert_array_equal(other, plain * 2.0**exponent)


@pytest.mark.slow
@pytest.mark.parametrize("mode", rllc.law.EPSILON_MODES)
def test_no_part_of_the_solution_under_or_overflows(mode):
    gram, projection = jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, 0.5])
    for exponent in (-100, 100):
        factor = jnp.float32(2.0**exponent)
        epsilon = 1e-6 * (float(factor) if mode == "absolute" else 1)
        found = correction(gram * factor, projection * factor, epsilon, mode)
        expected = correction(gram, projection, 1e-6, mode)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_spike_does_not_ruin_the_law(name):
    def scale(t):
        return jnp.where(t == 50, 1e4, 1.0)

    _, laws = descend(rllc.lm_rllc(name, 1e-3, 0.01), (1, 2, 3), 100, scale)
    np.testing.assert_array_equal(laws[50], laws[49])  # nothing learnt from it
    assert np.abs(laws[-1] - laws[49]).max() < 1
    bare = rllc.lm_rllc(name, 1e-3, 0.01, max_gradient_ratio=None)
    _, ruined = descend(bare, (1, 2, 3), 100, scale)
    assert np.abs(ruined[50] - ruined[49]).max() > 2


def test_where_the_memory_passes_zero_the_law_does_not_run_away():
    options = {"learning_rate": 0.3, "law_learning_rate": 0.03}
    _, laws = descend(rllc.lm_rllc("M(0.9)", **options), (1, 1, 1), 2000)
    _, bare = descend(rllc.lm_rllc("M(0.9)", **options, max_gradient_ratio=None), (1, 1, 1), 2000)
    assert np.abs(laws).max() < 10
    assert np.abs(bare).max() > 100


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-25, 1e25, np.inf, np.nan])
@pytest.mark.parametrize("gram", ["exact", "recursive"])
def test_products_that_mean_nothing_leave_the_law_alone(gram, size):
    tx = rllc.lm_rllc("M(0.9)+M(0.0)", 0.1, 0.1, gram=gram)
    state = tx.init({"a": jnp.ones(3), "b": jnp.ones(2)})
    for _ in range(3):
        gradient = {"a": jnp.full(3, size, jnp.float32), "b": jnp.zeros(2)}
        updates, state = tx.update(gradient, state)
    np.testing.assert_array_equal(rllc.get_law(state), 1)
    assert not np.asarray(updates["b"]).any()  # as momentum: only the leaf itself is lost


def test_one_overflow_is_forgotten():
    tx = rllc.lm_rllc("M(0.5)", 0.1, 0.1)
    _, laws = descend(tx, (1, 2), 400, lambda t: jnp.where(t == 10, 1e30, 1.0))
    assert np.isfinite(laws).all()
    np.testing.assert_array_equal(laws[10], laws[9])


@pytest.mark.slow
def test_what_is_trusted_by_hand():
    gram, projection = jnp.eye(2), jnp.ones(2)  # tr G / k = 1
    assert is_trusted(gram, projection, jnp.float32(8.9), 3.0)
    assert not is_trusted(gram, projection, jnp.float32(9.1), 3.0)
    assert is_trusted(gram, projection, jnp.float32(9.1), None)
    assert not is_trusted(gram * 1e-31, projection, jnp.float32(0), None)
    assert not is_trusted(gram, projection.at[1].set(jnp.nan), jnp.float32(1), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "M3(0.6)", "M(0.9)+M(-0.9)+CM(0.9i)"])
def test_the_guard_changes_no_bit_where_it_does_not_act(name):
    gradients, params = trees.random_gradients(60, 4, "float32"), trees.zeros("float32")
    found = trees.trajectory(rllc.lm_rllc(name, 0.01, 0.03), gradients, params)
    bare = rllc.lm_rllc(name, 0.01, 0.03, max_gradient_ratio=None)
    expected = trees.trajectory(bare, gradients, params)
    for ours, theirs in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_the_largest_step_of_a_law():
    gradients, params = trees.random_gradients(30, 10, "float32"), trees.zeros("float32")
    tx = rllc.lm_rllc("M(0.9)+M(0.0)", 0.05, 1.0, max_law_step=0.02)
    moved = np.linalg.norm(np.diff(trees.trajectory(tx, gradients, params)[1], axis=0), axis=1)
    assert 0.0199 < moved.max() < 0.0201


INNERS = {
    "adam 1e-3": (lambda: optax.adam(1e-3), 30),
    "adam 1e-1": (lambda: optax.adam(0.1), 1e-6),
    "momentum": (lambda: optax.sgd(1e-3, momentum=0.9), 1e-2),
    "sgd": (lambda: optax.sgd(1e-3), 1),
}


@pytest.mark.parametrize("name", INNERS)
def test_wrap_as_it_comes_is_safe(name):
    make, enough = INNERS[name]
    distance, laws = descend(rllc.wrap(make()), (1, 10, 100), 300)
    alone, _ = descend(rllc.wrap(make(), law_learning_rate=0.0), (1, 10, 100), 300)
    assert distance[-1] <= min(1.01 * alone[-1] + 1e-5, enough)
    assert np.abs(np.diff(laws, axis=0)).max() <= 0.01 + 1e-6
    assert np.abs(laws).max() < 10


def test_the_bare_wrap_is_one_argument_away():
    free = rllc.wrap(optax.adam(1e-3), max_law_step=None)
    _, laws = descend(free, (1, 10, 100), 300)
    assert np.abs(laws).max() > 1000


@pytest.mark.slow
@pytest.mark.parametrize("law_groups", [None, "leaf", lambda tree: tree])
def test_an_empty_tree_has_nothing_to_do(law_groups):
    tx = rllc.lm_rllc("M(0.9)", 0.1, law_groups=law_groups)
    updates, state = tx.update({}, tx.init({}))
    assert updates == {}
    assert rllc.get_law(state).size == (1 if law_groups is None else 0)


@pytest.mark.slow
def test_python_numbers_are_leaves():
    tx = rllc.lm_rllc("M(0.9)+M(0.0)", 0.1)
    updates, _ = tx.update({"x": 2.0}, tx.init({"x": 1.0}), {"x": 1.0})
    np.testing.assert_allclose(updates["x"], -0.4)


@pytest.mark.parametrize("leaf", [np.arange(3), True, 7], ids=str)
def test_leaves_that_no_gradient_moves_are_refused_by_name(leaf):
    with pytest.raises(ValueError, match=r"parameter\['count'\] has dtype .*optax.masked"):
        rllc.lm_rllc("M(0.9)", 0.1).init({"count": leaf, "w": jnp.ones(2)})


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ({"a": None, "b": jnp.ones(3)}, r"gradient\['a'\] is missing or None"),
        ({"b": jnp.ones(3)}, r"gradient\['a'\] is missing or None"),
        ({"a": jnp.ones(2), "b": jnp.ones(3), "c": 1.0}, r"gradient\['c'\] is not a leaf"),
        ({"a": jnp.ones(2), "b": jnp.ones(4)}, r"\['b'\] has shape \(4,\).* shape \(3,\)"),
    ],
)
@pytest.mark.parametrize("make", [rllc.lm_rllc, lambda _, rate: rllc.wrap(optax.sgd(rate))])
def test_a_gradient_of_another_tree_is_refused_by_leaf(make, gradient, message):
    tx = make("M(0.9)", 0.1)
    state = tx.init({"a": jnp.ones(2), "b": jnp.ones(3)})
    with pytest.raises(ValueError, match=message):
        tx.update(gradient, state)
