"""optax's contract over every public optimizer."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from tests.method import contract
from tests.method.contract import CLAUSES, OPTIMIZERS
from tests.processes import output_on_two_devices

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_optimizer_keeps(clause, name):
    clause(OPTIMIZERS[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_is_saved_and_restored_with_orbax(name, tmp_path):
    contract.state_is_saved_and_restored_with_orbax(OPTIMIZERS[name], tmp_path)


@pytest.mark.parametrize("factory", [rllc.lm_rllc, rllc.linear_memory, rllc.wrap])
def test_factories_themselves_can_be_injected(factory):
    first = {
        rllc.lm_rllc: ("M(0.9)",),
        rllc.linear_memory: (rllc.momentum(0.9), (1.0,)),
        rllc.wrap: (optax.sgd(0.1),),
    }[factory]
    tx = optax.inject_hyperparams(factory)(*first, learning_rate=0.1)
    updates, state = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    assert float(state.hyperparams["learning_rate"]) == np.float32(0.1)
    np.testing.assert_allclose(updates, -0.1 if factory is not rllc.wrap else -0.01, rtol=1e-6)


SHARDED = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tests.method.contract import OPTIMIZERS, start, steps, assert_close

assert len(jax.devices()) == 2
mesh = Mesh(np.array(jax.devices()), ("model",))
place = lambda tree: jax.device_put(tree, NamedSharding(mesh, PartitionSpec("model")))
params, gradient = start()
for name in ["lm_rllc", "lm_rllc with options", "mix"]:
    tx = OPTIMIZERS[name](0.1)
    one, _ = steps(tx, params, [gradient(t) for t in range(3)])
    two, state = steps(tx, place(params), [place(gradient(t)) for t in range(3)])
    assert_close(two, one, rtol=1e-5)
    memory = jax.tree.leaves(state[0].memory)
    assert all(len(leaf.sharding.device_set) == 2 for leaf in memory), name
    assert all(not leaf.sharding.is_fully_replicated for leaf in memory), name
print("equal")
"""


def test_sharded_parameters_on_two_devices_equal_one_device():
    assert output_on_two_devices(SHARDED) == "equal"
