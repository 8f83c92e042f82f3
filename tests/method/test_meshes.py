"""Every optimizer on meshes of eight host devices: the same numbers, types and few messages."""

import pytest

from tests.processes import output_on_devices

pytestmark = pytest.mark.slow

ON_A_MESH = """
import re
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import rllc
from tests.method.contract import OPTIMIZERS, steps

kind, shape = AxisType.{kind}, {shape}
mesh = jax.make_mesh(shape, ("x", "y"), axis_types=(kind, kind))
specs = {{"w": P("x", "y"), "v": P(None, "y"), "b": P("x"), "scale": P()}}
rng = np.random.default_rng(0)
tree = lambda: {{"w": rng.normal(size=(8, 32)), "v": rng.normal(size=(3, 512)),
                 "b": rng.normal(size=64), "scale": rng.normal(size=5)}}
params, *gradients = [{{k: x.astype(np.float32) for k, x in tree().items()}} for _ in range(4)]
put = lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec))
place = lambda tree: {{k: put(x, specs[k]) for k, x in tree.items()}}
further = {{"M2": lambda rate: rllc.lm_rllc("M(0.9)+M2(0.6)", rate),
            "updated": lambda rate: rllc.lm_rllc("M2(0.6)", rate, correct_with="updated")}}
for name, make in {{**OPTIMIZERS, **further}}.items():
    tx = make(0.1)
    one, _ = steps(tx, jax.tree.map(jax.numpy.asarray, params), gradients)
    with jax.set_mesh(mesh):
        p, gs = place(params), [place(g) for g in gradients]
        state = tx.init(p)
        update = jax.jit(tx.update)
        before = jax.tree.map(jax.typeof, (p, state))
        assert jax.tree.map(jax.typeof, update(gs[0], state, p)) == before, name
        text = update.lower(gs[0], state, p).compile().as_text()
        assert not re.search("all-gather|all-to-all|collective-permute", text), name
        messages = len(re.findall(r" all-reduce(?:-start)?[(]", text))
        assert messages <= 2, (name, messages)  # one for each axis that leaves are split over
        several, state = steps(tx, p, gs)
    for k, x in several.items():
        np.testing.assert_allclose(x, one[k], rtol=1e-4, atol=1e-5, err_msg=name)
        assert x.sharding.is_equivalent_to(NamedSharding(mesh, specs[k]), x.ndim), name
print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 2), (4, 2)], ids=str)
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_a_mesh_gives_the_numbers_of_one_device(kind, shape):
    assert output_on_devices(ON_A_MESH.format(kind=kind, shape=shape), 8) == "equal"


IN_SHARDS = """
import jax, jax.numpy as jnp, numpy as np, rllc
from jax.sharding import AxisType, PartitionSpec as P
from tests.method import trees

mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,))
rng = np.random.default_rng(1)
gradients = [{"split": jnp.asarray(rng.normal(size=(4, 6)), jnp.float32),
              "whole": jnp.asarray(rng.normal(size=3), jnp.float32)} for _ in range(5)]
split = {"split": P("d"), "whole": P()}
in_shards = lambda f, specs, out, **kw: jax.jit(
    jax.shard_map(f, mesh=mesh, in_specs=specs, out_specs=out, **kw))


def train(tx, gradients):
    state = tx.init(gradients[0])
    for g in gradients:
        step, state = tx.update(g, state)
    return step, rllc.get_law(state)


# The large ε: after one step the two units are the same, which magnifies rounding by 1/ε.
make = lambda **options: rllc.lm_rllc("M(0.9)+M(0.0)", 0.1, 0.1, epsilon=1e-2, **options)
one = train(make(), gradients)
shared = lambda g: train(make(axis_name="d"), g)
step, law = in_shards(shared, ([split] * 5,), (split, P()))(gradients)
np.testing.assert_allclose(law, one[1], rtol=1e-5)
for k in step:
    np.testing.assert_allclose(step[k], one[0][k], rtol=1e-5, atol=1e-7)

only = [{"split": g["split"]} for g in gradients]  # unchecked, so every leaf counts as split
specs = {"split": P("d")}
_, law = in_shards(shared, ([specs] * 5,), (specs, P()), check_vma=False)(only)
np.testing.assert_allclose(law, train(make(), only)[1], rtol=1e-5)

_, laws = in_shards(lambda g: (lambda s, l: (s, l[None]))(*train(make(axis_name=()), g)),
                    ([specs] * 5,), (specs, P("d")))(only)
for i in range(2):
    half = [{"split": g["split"][2 * i : 2 * i + 2]} for g in only]
    np.testing.assert_allclose(laws[i], train(make(), half)[1], rtol=1e-5)

for tx in (make(), rllc.wrap(rllc.linear_memory("M(0.5)", (1.0,), 0.1))):
    try:
        in_shards(lambda g: train(tx, g), ([split] * 5,), (split, P()))(gradients)
    except ValueError as error:
        assert "varies over the mapped axis 'd'" in str(error) and "axis_name" in str(error)
    else:
        raise AssertionError("a law for each shard, without a word")
print("one law")
"""


def test_shards_share_a_law_by_name_or_are_told():
    assert output_on_devices(IN_SHARDS, 2) == "one law"


PARTLY = """
import jax, jax.numpy as jnp, numpy as np, rllc
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Auto, AxisType.{kind}))
g = jnp.asarray(np.random.default_rng(0).normal(size=(4, 128)), jnp.float32)


def train(g, **options):
    tx = rllc.lm_rllc("M2(0.6)", 0.1, 0.1, epsilon=1e-2, **options)
    state = tx.init(g)
    for t in range(3):
        step, state = tx.update(g * (1 + t), state)
    return step, rllc.get_law(state)


one = train(g)
with jax.set_mesh(mesh):
    placed = jax.device_put(g, NamedSharding(mesh, P(None, "y")))
    for checked in (True, False):
        shards = jax.shard_map(lambda g: train(g, axis_name="x"), mesh=mesh, in_specs=P("x"),
                               out_specs=(P("x"), P()), axis_names={{"x"}}, check_vma=checked)
        step, law = jax.jit(shards)(placed)
        np.testing.assert_allclose(step, one[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(law, one[1], rtol=1e-4)
print("equal")
"""


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_shards_that_are_split_themselves(kind):
    assert output_on_devices(PARTLY.format(kind=kind), 4) == "equal"


ONE_OF_TWO = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from tests.method.products import products

x = jnp.ones((64, 256))
count = lambda *arrays: jax.jit(products).lower(arrays).as_text().count("stablehlo.reduce(")
mesh = Mesh(np.array(jax.devices()), ("x",))
split = jax.device_put(x, NamedSharding(mesh, P("x")))
shards = jax.jit(jax.shard_map(lambda x: products([x, x + 1]), mesh=mesh, in_specs=P("x"),
                               out_specs=P(), check_vma=False))
# Variadic: two reductions, of all products. Plain: one for each of the three products.
print(count(x, x + 1), count(split, split + 1), shards.lower(x).as_text().count("reduce("))
"""


def test_only_programs_of_one_device_have_the_reductions_of_a_cpu():
    one, split, shard = map(int, output_on_devices(ONE_OF_TWO, 2).split())
    assert split == 3
    assert one == shard
    assert one != 3
