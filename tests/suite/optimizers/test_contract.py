"""optax's contract, one test for each clause, over the neighbours made here."""

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
import pytest

from tests.method.contract import assert_close, start, steps
from tests.processes import output_on_two_devices
from tests.suite.optimizers.neighbours import NEIGHBOURS, gradients

pytestmark = pytest.mark.slow

OF_OPTAX = ("muon", "muon_split")
every_neighbour = pytest.mark.parametrize("make", NEIGHBOURS.values(), ids=NEIGHBOURS)
OURS = {name: make for name, make in NEIGHBOURS.items() if name not in OF_OPTAX}
ours_alone = pytest.mark.parametrize(  # Muon's bf16 and its masked leaves are optax's own
    "make", OURS.values(), ids=OURS
)


@every_neighbour
def test_extra_arguments_in_a_chain_and_nothing_compiles_twice(make):
    params, gradient = start()
    tx = optax.chain(optax.clip(10.0), make(0.1), optax.scale(2.0))
    update, state = jax.jit(optax.with_extra_args_support(tx).update), tx.init(params)
    total = params
    for t in range(3):
        updates, state = update(gradient(t), state, params, value=jnp.float32(t))
        total = optax.apply_updates(total, jax.tree.map(lambda u: u / 2, updates))
    assert update._cache_size() == 1
    assert jax.tree.structure(total) == jax.tree.structure(params)


@every_neighbour
def test_a_fresh_state_can_be_donated(make):
    params, gradient = start()
    tx = make(0.1)
    step = jax.jit(lambda g, s, p: tx.update(g, s, p), donate_argnums=1)
    _, state = step(gradient(0), tx.init(params), params)
    step(gradient(1), state, params)


@ours_alone
def test_state_keeps_its_shapes_and_dtypes_under_cond(make):
    params, gradient = start(jnp.bfloat16)
    tx = make(0.1)  # of an array optax itself would make float32 updates

    @jax.jit
    def maybe(flag, state):
        take = lambda s: tx.update(gradient(1), s, params)  # noqa: E731
        return jax.lax.cond(flag, take, lambda s: (params, s), state)

    state = tx.init(params)
    for flag in (True, False, True, True):
        updates, state = maybe(flag, state)
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}


@every_neighbour
def test_masked_and_multi_transform(make):
    params, _ = start()
    alone = steps(make(0.1), {"w": params["w"]}, [{"w": g["w"]} for g in gradients(3)])[0]
    masked, _ = steps(optax.masked(make(0.1), {"w": True, "b": False}), params, gradients(3))
    labels = {"w": "ours", "b": "sgd"}
    both = optax.multi_transform({"ours": make(0.1), "sgd": optax.sgd(0.1)}, labels)
    after, _ = steps(both, params, gradients(3))
    if make is not NEIGHBOURS["swats"]:  # whose rate is one of all parameters it sees
        assert_close(masked["w"], alone["w"])
    assert_close(after["w"], alone["w"])
    assert_close(after["b"], params["b"] - 0.1 * sum(g["b"] for g in gradients(3)))


@every_neighbour
def test_inject_hyperparams_and_accumulation_and_bad_gradients(make):
    params, _ = start()
    plain, _ = steps(make(0.1), params, gradients(2))
    injected = optax.inject_hyperparams(lambda learning_rate: make(learning_rate))(0.1)
    assert_close(steps(injected, params, gradients(2))[0], plain, rtol=1e-5)
    doubled = [g for g in gradients(2) for _ in range(2)]
    multi = optax.MultiSteps(make(0.1), every_k_schedule=2).gradient_transformation()
    assert_close(steps(multi, params, doubled)[0], plain, rtol=1e-5)
    bad = jax.tree.map(lambda g: g.at[0].set(jnp.nan), gradients(1)[0])
    careful = optax.apply_if_finite(make(0.1), max_consecutive_errors=3)
    with_bad = [gradients(2)[0], bad, gradients(2)[1]]
    assert_close(steps(careful, params, with_bad)[0], plain)


@every_neighbour
def test_tree_map_params_and_orbax(make, tmp_path):
    params, _ = start()
    tx = make(0.1)
    middle, state = steps(tx, params, gradients(2))
    marked = optax.tree_utils.tree_map_params(tx, lambda x: x + 7, state)
    assert jax.tree.structure(marked) == jax.tree.structure(state)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", jax.eval_shape(lambda: state))
    last = [gradients(3)[2]]
    assert_close(steps(tx, middle, last, restored)[0], steps(tx, middle, last, state)[0])


SHARDED = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tests.method.contract import start, steps, assert_close
from tests.suite.optimizers.neighbours import NEIGHBOURS, gradients

mesh = Mesh(np.array(jax.devices()), ("model",))
place = lambda tree: jax.device_put(tree, NamedSharding(mesh, PartitionSpec("model")))
for name, make in NEIGHBOURS.items():
    one, _ = steps(make(0.1), start()[0], gradients(4))
    two, _ = steps(make(0.1), place(start()[0]), [place(g) for g in gradients(4)])
    assert_close(two, one, rtol=2e-5)
print(len(jax.devices()), "devices equal one")
"""


def test_sharded_parameters_on_two_devices_equal_one_device():
    assert output_on_two_devices(SHARDED) == "2 devices equal one"
