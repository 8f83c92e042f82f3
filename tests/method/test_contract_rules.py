"""The clauses of optax's contract over the memory rules with hidden state, and sharded leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from tests.method import contract
from tests.method.contract import CLAUSES, RULES, optimizer
from tests.processes import output_on_two_devices

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_rule_keeps(clause, name):
    clause(optimizer(name))


@pytest.mark.parametrize("name", RULES)
def test_state_is_saved_and_restored_with_orbax(name, tmp_path):
    contract.state_is_saved_and_restored_with_orbax(optimizer(name), tmp_path)


@pytest.mark.parametrize("name", RULES)
def test_memory_stays_in_its_dtype(name):
    """Also where a gradient goes from a hidden age to a unit; no loop could carry it otherwise."""
    tx = rllc.scale_by_rllc(RULES[name](), 0.02, memory_dtype=jnp.bfloat16)
    params, gradient = contract.start()
    state = tx.init(params)
    before = jax.tree.map(lambda leaf: leaf.dtype, state)
    for t in range(2):
        _, state = tx.update(gradient(t), state, params)
        assert jax.tree.map(lambda leaf: leaf.dtype, state) == before
    assert {leaf.dtype for leaf in jax.tree.leaves(state.memory)} == {jnp.dtype(jnp.bfloat16)}


def test_the_transformation_of_filtered_receives_parameters_and_extra_arguments():
    def update(updates, state, params=None, *, factor, **extra):
        return factor * (updates + params), state

    inner = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    tx = rllc.scale_by_rllc(rllc.filtered("M(0.9)", inner))
    params = jnp.ones(2)
    direction, _ = tx.update(jnp.array([1.0, 2.0]), tx.init(params), params, factor=0.5)
    np.testing.assert_allclose(direction, [1.0, 1.5])


def test_bfloat16_memory_is_rounded_once_in_each_step():
    """0.9 m + g in float32, then rounded; rounding the product too would move a third of these."""
    rng = np.random.default_rng(0)
    m, g = (jnp.asarray(rng.normal(size=200), jnp.bfloat16) for _ in range(2))
    (new,) = rllc.linear.advance(rllc.momentum(0.9), (m,), g)
    once = (jnp.float32(0.9) * m.astype(jnp.float32) + g.astype(jnp.float32)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(new, once)
    assert (np.asarray(jnp.bfloat16(0.9) * m + g) != np.asarray(once)).any()


SHARDED = """
import jax, numpy as np, optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tests.method.contract import OPTIMIZERS, RULES, optimizer, start, steps, assert_close

assert len(jax.devices()) == 2
mesh = Mesh(np.array(jax.devices()), ("model",))
place = lambda tree: jax.device_put(tree, NamedSharding(mesh, PartitionSpec("model")))
params, gradient = start()
every = OPTIMIZERS | {name: optimizer(name) for name in RULES}
del every["lm_rllc"], every["lm_rllc with options"], every["mix"]  # test_contract has them
for name, make in every.items():
    tx = make(0.1)
    one, _ = steps(tx, params, [gradient(t) for t in range(3)])
    two, state = steps(tx, place(params), [place(gradient(t)) for t in range(3)])
    assert_close(two, one, rtol=1e-5)
    for leaf in jax.tree.leaves(optax.tree_utils.tree_get(state, "memory")):
        assert not leaf.sharding.is_fully_replicated, name
print("equal")
"""


def test_the_others_are_the_same_with_sharded_parameters():
    assert output_on_two_devices(SHARDED) == "equal"
