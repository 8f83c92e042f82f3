"""The update in C++: the paper's numbers, what XLA gives, and never where it does not belong."""

import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rllc
from rllc import kernel
from rllc.linear import advance
from rllc.suite.speed.setups import UNITS
from tests.method import oracle
from tests.processes import output_on_two_devices

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, kernel.COMPILERS)), reason="there is no C++ compiler"
)
MANY = [name for name, (_, a) in oracle.TABLES.items() if 3 <= len(a) <= 6]
SIZE = 40_013  # more than two threads' shares, and no multiple of a vector's lanes
TEXT = "M(0.9)+M(-0.9)+CM(0.9i)"


@pytest.fixture
def by_cpp():
    with kernel.using():
        yield


def gradients(steps, n=SIZE):
    """Noise around one direction, so that the law moves."""
    noise = np.random.default_rng(0).normal(size=(steps + 1, n)).astype(np.float32)
    return noise[1:] + noise[0]


def random_state(p, n=SIZE):
    rng = np.random.default_rng(1)
    return tuple(rng.normal(size=(p.num_units, n)).astype(np.float32))


def trained(text, gs, **options):
    """θ and L after each step; a leaf too small for the kernel beside one that is not."""
    tx = rllc.lm_rllc(text, 0.01, 0.01, epsilon=1e-5, **options)
    split = [{"w": g[:-13].reshape(40, -1), "b": g[-13:]} for g in gs]
    params = jax.tree.map(jnp.zeros_like, split[0])
    state, seen, update = tx.init(params), [], jax.jit(tx.update)
    for g in split:
        updates, state = update(g, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        theta = np.concatenate([np.ravel(params["w"]), params["b"]])
        seen.append((theta, np.asarray(rllc.get_law(state))))
    return [np.stack(x).astype(float) for x in zip(*seen, strict=True)]


@pytest.mark.parametrize("text", MANY)
def test_follows_the_paper(text, by_cpp):
    gs = gradients(12)
    ours = trained(text, gs)
    law = np.ones(len(oracle.TABLES[text][1]))
    theirs = oracle.follow(oracle.TABLES[text], law, gs.astype(float), 0.01, 0.01, epsilon=1e-5)
    for mine, true, tolerance in zip(ours, theirs, (1e-4, 2e-3), strict=True):
        assert np.abs(mine - true).max() < tolerance * np.abs(true).max()
    assert np.ptp(theirs[1], axis=0).min() > 1e-3  # the law has moved


@pytest.mark.parametrize("text", MANY)
def test_memory_is_that_of_numpy(text, by_cpp):
    p = rllc.parse(text)
    old, g = random_state(p), gradients(1)[0]
    found = jax.jit(lambda m, g: advance(p, m, g), donate_argnums=0)(jax.device_put(old), g)
    expected = p.transition.T @ np.stack(old) + np.outer(p.injection, g)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def text_of(function, *args, **options):
    return jax.jit(function, **options).lower(*args)


@pytest.mark.parametrize("text", [UNITS[3], UNITS[4]])
def test_it_is_used_in_place_and_without_a_copy(text, by_cpp):
    tx, params = rllc.lm_rllc(text, 0.01), jnp.zeros(SIZE)

    def step(state, gradient):
        return tx.update(gradient, state)[::-1]  # JAX donates to the first output of the shape

    lowered = text_of(step, tx.init(params), params, donate_argnums=0)
    assert lowered.as_text().count("@rllc_products") == 1
    assert lowered.as_text().count("@rllc_memory") == 1
    compiled = lowered.compile().as_text()
    assert f"f32[{SIZE}]{{0}} copy(" not in compiled
    assert compiled.count("rllc_memory") >= 1


def test_what_has_weight_zero_is_not_read(by_cpp):
    p = rllc.parse("M(0.9)+M(0.0)+M(0.5)")
    full = jnp.full(SIZE, jnp.inf)
    first, last = random_state(p)[0], random_state(p)[2]
    found = advance(p, (first, full, last), gradients(1)[0])
    assert np.isfinite(found).all()


def test_batches_are_runs_one_by_one(by_cpp):
    gs, rates = gradients(3, 3 * 5000).reshape(3, 3, 5000), jnp.asarray([0.01, 0.02, 0.03])

    def run(g, rate):
        tx = rllc.lm_rllc(TEXT, rate, 0.01, epsilon=1e-4)
        params = jnp.zeros(5000)
        state = tx.init(params)
        for step in g:
            updates, state = tx.update(step, state)
            params = params + updates
        return params

    together = jax.jit(jax.vmap(run))(gs, rates)
    assert "rllc_memory" in text_of(jax.vmap(run), gs, rates).as_text()
    alone = [jax.jit(run)(g, rate) for g, rate in zip(gs, rates, strict=True)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5, atol=1e-6)


def test_derivatives_are_those_of_xla():
    gs = gradients(3, 4096)

    def loss(rate, scale):
        tx = rllc.lm_rllc(TEXT, rate, 0.1, epsilon=1e-2)
        params = jnp.zeros(4096)
        state = tx.init(params)
        for g in gs:
            updates, state = tx.update(scale * g + params, state)
            params = params + updates
        return jnp.mean((params - 1) ** 2)

    ways = {}
    for on in (False, True):
        with kernel.using(on):
            assert ("rllc_memory" in text_of(jax.grad(loss), 0.1, 1.0).as_text()) is on
            ways[on] = [
                *jax.jit(jax.grad(loss, argnums=(0, 1)))(0.1, 1.0),
                jax.jit(jax.jvp, static_argnums=0)(loss, (0.1, 1.0), (1.0, 0.5))[1],
            ]
    np.testing.assert_allclose(ways[True], ways[False], rtol=1e-4)


@pytest.mark.parametrize("size", [2048, 2055, 4099])
def test_products_count_every_number(size, by_cpp):
    rows = np.random.default_rng(2).normal(size=(4, size)).astype(np.float32)
    rows[:, [0, -1]] = 100  # the last number of all lies behind the last whole vector
    expected = (rows.astype(float) @ rows.T.astype(float))[np.triu_indices(4)]
    np.testing.assert_allclose(kernel.products(*map(jnp.asarray, rows)), expected, rtol=1e-5)


def test_sums_of_many_equal_numbers_do_not_drift(by_cpp):
    arrays = [jnp.full(2**20 + 5, x, jnp.float32) for x in (0.1, 0.3, 0.7, 0.9)]
    found = kernel.products(*arrays)
    exact = [a.size * float(a[0]) * float(b[0]) for i, a in enumerate(arrays) for b in arrays[i:]]
    np.testing.assert_allclose(found, exact, rtol=5e-6)  # one running sum: 1e-3


@pytest.mark.parametrize(
    ("text", "dtype", "size"),
    [
        ("M(0.9)+M(0.0)", "float32", SIZE),  # two units: XLA is as fast
        ("M3(0.6)+M(0.9)+M(0.8)+M(0.7)+M(0.0)", "float32", SIZE),  # seven
        (UNITS[3], "bfloat16", SIZE),
        (UNITS[3], "float32", kernel.SMALLEST - 1),
    ],
)
def test_the_rest_stays_with_xla(text, dtype, size, by_cpp):
    tx, params = rllc.lm_rllc(text, 0.01), jnp.zeros(size, dtype)
    assert "rllc_" not in text_of(tx.update, params, tx.init(params)).as_text()


def test_it_is_off_unless_asked_for():
    tx, params = rllc.lm_rllc(UNITS[3], 0.01), jnp.zeros(SIZE)
    assert "rllc_" not in text_of(tx.update, params, tx.init(params)).as_text()


SPLIT = """
import re
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import rllc
from rllc import kernel

kernel.enable()
mesh = Mesh(np.array(jax.devices()), ("model",))
g = jax.device_put(jnp.ones((64, 512)), NamedSharding(mesh, PartitionSpec("model")))
tx = rllc.lm_rllc("M(0.9)+M(0.8)+M(0.7)", 0.1)
state = jax.jit(tx.init)(g)
compiled = jax.jit(tx.update).lower(g, state).compile().as_text()
assert "rllc_memory" not in compiled and "all-gather" not in compiled
shard = jax.shard_map(lambda g: rllc.lm_rllc("M(0.9)+M(0.8)+M(0.7)", 0.1, axis_name="model").update(
    g, rllc.lm_rllc("M(0.9)+M(0.8)+M(0.7)", 0.1).init(g))[0], mesh=mesh,
    in_specs=PartitionSpec("model"), out_specs=PartitionSpec("model"))
np.testing.assert_allclose(jax.jit(shard)(g), jax.jit(tx.update)(g, state)[0], rtol=1e-5)
print("equal")
"""


@pytest.mark.slow
def test_several_devices_stay_with_xla_or_agree():
    assert output_on_two_devices(SPLIT).endswith("equal")


def said_with(**environment):
    code = "from rllc import kernel; print(kernel.enabled())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"RLLC_KERNEL": "1"}, "True"),
        ({"RLLC_KERNEL": "0"}, "False"),
        ({"RLLC_KERNEL": "yes"}, "RLLC_KERNEL is 'yes'; it must be 1, or 0 for no kernel"),
        ({"RLLC_KERNEL": "1", "CXX": "no-compiler"}, "CXX is 'no-compiler', which is no command"),
        ({"RLLC_KERNEL": "1", "CXX": "false"}, "cannot compile the kernel"),
    ],
)
def test_the_environment_asks_for_it(environment, expected, tmp_path):
    given = environment if environment.get("CXX") is None else {"RLLC_CACHE": str(tmp_path)}
    assert expected in said_with(**{**environment, **given})
    assert not list(tmp_path.rglob("*.so"))
