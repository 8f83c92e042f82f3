"""Inner products on a CPU: right for every shape, in vectors where they can be, never gathered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rllc.reduction import IN_CACHE
from tests.method.products import exact, products, random
from tests.processes import output_on_two_devices

SHAPES = [(), (0,), (10,), (128,), (3, 1000), (7, 64), (40, 512), (2, 3, 16, 128), (5, 4099)]


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_and_number_of_units(number, shape):
    arrays = random(number, shape)
    expected, norms = exact(arrays)
    scale = np.outer(norms, norms)[np.triu_indices(number)]
    found = np.asarray(jax.jit(products)(arrays), np.float64)
    # A run of numbers one after the other has up to 1024 roundings of 6e-8, mostly cancelling.
    assert np.all(np.abs(found - expected) <= 3e-6 * scale)
    runs = [np.stack([x, 2 * x]) for x in arrays]
    batched = jax.jit(jax.vmap(products))(runs)
    np.testing.assert_allclose(batched, np.stack([found, 4 * found]), rtol=3e-6, atol=1e-5)


def test_sums_of_many_equal_numbers_do_not_drift():
    x = jnp.full((4096, 512), 0.1, jnp.float32)  # one running sum would be wrong by 1e-3
    np.testing.assert_allclose(products([x])[0], x.size * np.float64(x[0, 0]) ** 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("units", "size", "expected"), [(2, 2**19, 6), (4, 2**17, 5), (4, 2**19, 15)]
)
def test_no_more_products_in_a_vectorised_reduction_than_registers_hold(units, size, expected):
    assert 2**17 <= IN_CACHE < 2**19
    arrays = [jax.ShapeDtypeStruct((size // 512, 512), jnp.float32)] * (units + 1)

    def distinct(arrays):  # the same object twice would count as one array
        return products([x + i for i, x in enumerate(arrays)])

    text = jax.jit(distinct).lower(arrays).as_text()
    reductions = [line for line in text.splitlines() if "stablehlo.reduce(" in line]
    operands = [line.count("init:") for line in reductions]
    assert max(operands) == expected


GATHERED = """
import math, re
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tests.method.products import exact, products, random

mesh = Mesh(np.array(jax.devices()), ("model",))
for spec in (("model",), (None, "model")):
    arrays = random(3, (64, 512))
    placed = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec(*spec)))
    compiled = jax.jit(products).lower(placed).compile()
    lines = compiled.as_text().splitlines()
    moved = [line for line in lines if re.search("all-gather|all-to-all|permute", line)]
    numbers = [math.prod(map(int, x.split(","))) for line in moved
               for x in re.findall(r"f32\\[([0-9,]+)\\]", line)]
    assert max(numbers, default=0) <= 64 * 512 // 16, moved
    np.testing.assert_allclose(compiled(placed), exact(arrays)[0], rtol=3e-6, atol=0.1)
print("stayed")
"""


@pytest.mark.slow
def test_a_sharded_leaf_is_not_gathered():
    assert output_on_two_devices(GATHERED) == "stayed"
