"""Exact reductions to known optimizers, and invariances of the trajectory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from tests.method import trees

pytestmark = pytest.mark.slow

STEPS = 60


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        ((0, 1), optax.sgd(0.1)),
        ((1, 0), optax.sgd(0.1, momentum=0.9)),
        ((0.9, 1), optax.sgd(0.1, momentum=0.9, nesterov=True)),
    ],
    ids=["SGD", "momentum SGD", "NAG"],
)
def test_special_laws_are_known_optimizers(law, reference):
    gradients, params = trees.random_gradients(STEPS, 1, "float32"), trees.zeros("float32")
    ours, _, _ = trees.trajectory(rllc.linear_memory("M(0.9)+M(0)", law, 0.1), gradients, params)
    theirs, _, _ = trees.trajectory(reference, gradients, params)
    # Same operations in another order: a few float32 roundings (6e-8) of θ.
    assert trees.relative_error(ours, theirs) < 1e-6


def aggmo(gradients, rate, decays):
    """Lucas et al. 2019: parameters after each step of the mean of heavy balls, from zero."""
    x, velocities = 0.0, np.zeros((len(decays), gradients.shape[1]))
    for g in gradients:
        velocities = np.array(decays)[:, None] * velocities - g
        x = x + rate * velocities.mean(axis=0)
        yield x


def qhm(gradients, rate, nu, beta):
    """Ma & Yarats 2019: likewise of a mix of the gradient and the mean of gradients."""
    x, mean = 0.0, np.zeros(gradients.shape[1])
    for g in gradients:
        mean = beta * mean + (1 - beta) * g
        x = x - rate * ((1 - nu) * g + nu * mean)
        yield x


@pytest.mark.parametrize(
    ("memory", "law", "reference"),
    [
        ("M(0.0)+M(0.9)+M(0.99)", (1 / 3, 1 / 3, 1 / 3), lambda g: aggmo(g, 0.1, (0, 0.9, 0.99))),
        ("M(0.5)+M(0.95)", (0.5, 0.5), lambda g: aggmo(g, 0.1, (0.5, 0.95))),
        ("M(0.999)+M(0.0)", (0.7 * 0.001, 0.3), lambda g: qhm(g, 0.1, 0.7, 0.999)),
        ("M(0.6)+M(0.0)", (0.9 * 0.4, 0.1), lambda g: qhm(g, 0.1, 0.9, 0.6)),
    ],
    ids=["AggMo of 3", "AggMo of 2", "QHM of its rule of thumb", "QHM"],
)
def test_aggmo_and_qhm_are_fixed_laws_in_float64(memory, law, reference):
    gradients = np.random.default_rng(7).normal(size=(STEPS, 9))
    tx = rllc.linear_memory(memory, law, 0.1)
    with jax.enable_x64(True):
        x, state, found = jnp.zeros(9), tx.init(jnp.zeros(9)), []
        for g in gradients:
            updates, state = tx.update(jnp.asarray(g), state)
            x = optax.apply_updates(x, updates)
            found.append(np.asarray(x))
    # Float64 throughout; only the order of sums differs.
    np.testing.assert_allclose(found, list(reference(gradients)), rtol=1e-11, atol=1e-13)


def test_zero_law_rate_is_the_fixed_law():
    gradients, params = trees.random_gradients(STEPS, 2, "float32"), trees.zeros("float32")
    law = (0.9, -0.3, 0.2)
    ours, laws, _ = trees.trajectory(
        rllc.lm_rllc("M(0.9)+M2(0.6)", 0.1, 0.0, law), gradients, params
    )
    fixed, _, _ = trees.trajectory(
        rllc.linear_memory("M(0.9)+M2(0.6)", law, 0.1), gradients, params
    )
    np.testing.assert_array_equal(laws, np.broadcast_to(np.float32(law), laws.shape))
    assert trees.relative_error(ours, fixed) < 1e-6


def float64_trajectory(p, law, gradients, params):
    """Exact M^+, and no correction before M has full rank: below it, L is not determined by M L,
    and the shortest correction (which M^+ takes) is not the same one in another basis."""
    k = rllc.parse(p).num_units
    tx = rllc.lm_rllc(p, 0.02, lambda count: jnp.where(count < k, 0.0, 0.05), tuple(law), epsilon=0)
    return trees.trajectory(tx, gradients, params)[0]


@pytest.mark.parametrize("name", ["M(0.9)+M(0.0)", "M3(0.6)", "M(0.9)+M(-0.9)+CM(0.9i)"])
def test_change_of_basis_leaves_the_trajectory(name):
    p = rllc.parse(name)
    rng = np.random.default_rng(3)
    k = p.num_units
    basis = np.linalg.qr(rng.normal(size=(k, k)))[0] * rng.uniform(0.3, 3, size=k)
    law = rng.normal(size=k)
    changed = rllc.Propagator(np.linalg.solve(basis, p.transition @ basis), basis.T @ p.injection)
    with jax.enable_x64(True):
        gradients, params = trees.random_gradients(STEPS, 3, "float64"), trees.zeros("float64")
        ours = float64_trajectory(p, law, gradients, params)
        theirs = float64_trajectory(changed, np.linalg.solve(basis, law), gradients, params)
    # cond G is at most about 1e6 here, so 1e-16 of rounding grows to at most 1e-10 in the law.
    assert trees.relative_error(theirs, ours) < 1e-8


def test_order_of_units_and_leaves_does_not_matter():
    with jax.enable_x64(True):
        gradients = {"a": jnp.asarray(np.random.default_rng(4).normal(size=(STEPS, 5)))}
        gradients["z"] = gradients["a"] ** 2 - 0.5
        params = jax.tree.map(lambda g: jnp.zeros(g.shape[1:]), gradients)
        swapped = {"a": gradients["z"], "z": gradients["a"]}
        ours = float64_trajectory("M(0.9)+M2(0.6)", (1.0, 0.5, 0.2), gradients, params)
        units = float64_trajectory("M2(0.6)+M(0.9)", (0.5, 0.2, 1.0), gradients, params)
        leaves = float64_trajectory("M(0.9)+M2(0.6)", (1.0, 0.5, 0.2), swapped, params)
    assert trees.relative_error(units, ours) < 1e-10
    assert trees.relative_error(np.roll(leaves, 5, axis=1), ours) < 1e-10


@pytest.mark.parametrize(("mode", "invariant"), [("relative", True), ("absolute", False)])
def test_only_the_relative_ridge_ignores_the_gradients_scale(mode, invariant):
    gradients, params = trees.random_gradients(20, 5, "float32"), trees.zeros("float32")
    laws = []
    for scale in (1.0, 2.0**-20):
        tx = rllc.scale_by_rllc("M(0.9)+M(0.0)", 0.1, epsilon=1e-4, epsilon_mode=mode)
        scaled = jax.tree.map(lambda g, scale=scale: g * scale, gradients)
        laws.append(trees.trajectory(tx, scaled, params)[1])
    # A power of two scales every float exactly, so the laws agree to the last bit or not at all.
    assert np.array_equal(*laws) == invariant


@pytest.mark.parametrize("name", ["M(0.9)+M(0.8)+M(0.7)", "M(0.9)+M(0.0)+M2(0.6)", "M3(0.6)"])
def test_gram_recursion_does_not_drift(name):
    # 10,000 float32 steps; the gradients' scale falls by five orders of magnitude, then jumps back.
    p = rllc.parse(name)
    steps, size = 10_000, 500
    key = jax.random.key(0)

    def step(memory_and_gram, t):
        memory, gram = memory_and_gram
        scale = 10.0 ** (-5.0 * (t % 4000) / 4000)
        g = scale * (jax.random.normal(jax.random.fold_in(key, t), (size,)) + 0.3)
        projection = jnp.stack([jnp.sum(m * g) for m in memory])
        gram = rllc.law.propagate_gram(p, gram, projection, jnp.sum(g * g))
        memory = rllc.linear.advance(p, memory, g)
        exact = jnp.stack([jnp.stack([jnp.sum(m * n) for n in memory]) for m in memory])
        norms = jnp.maximum(jnp.sqrt(jnp.diag(exact)), 1e-18)  # empty units: not 0/0
        return (memory, gram), jnp.abs((gram - exact) / (norms[:, None] * norms)).max()

    k = p.num_units
    start = (tuple(jnp.zeros(size) for _ in range(k)), jnp.zeros((k, k)))
    _, errors = jax.jit(lambda: jax.lax.scan(step, start, jnp.arange(steps)))()
    # Old errors decay with the memory itself (both by B), so about u/(1 − λ²) of them remain.
    assert float(errors.max()) < 1e-4


def test_gram_recursion_gives_the_same_law_as_the_exact_matrix():
    gradients, params = trees.random_gradients(300, 6, "float32"), trees.zeros("float32")
    runs = [
        trees.trajectory(rllc.lm_rllc("M(0.9)+M(0.6)", 0.02, 0.03, gram=gram), gradients, params)
        for gram in ("exact", "recursive")
    ]
    assert trees.relative_error(runs[1][1], runs[0][1]) < 1e-4
    assert trees.relative_error(runs[1][0], runs[0][0]) < 1e-4


def test_deterministic_gradients_of_one_direction_stay_stable():
    # All units are parallel: the Gram matrix is singular and gradients cancel the memory. The exact
    # matrix bears it in float32 (the recursion does not, which is why it is not the default).
    name, law = "M(0.9)+M(0.0)+M2(0.6)", np.ones(4)
    tx = rllc.lm_rllc(name, 0.01, 0.01)
    params = jnp.linspace(-1.0, 1.0, 60)
    state, size = tx.init(params), []
    update = jax.jit(tx.update)
    for _ in range(100):
        updates, state = update(params, state)  # the gradient of |params|²/2
        params = optax.apply_updates(params, updates)
        size.append(float(jnp.abs(params).max()))
    assert size[-1] < 1e-2
    assert np.abs(np.asarray(rllc.get_law(state)) - law).max() < 0.2
