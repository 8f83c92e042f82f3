"""What the device can do: its matrix-product rate and its memory bandwidth, measured."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from rllc.suite.speed.timing import Case, in_blocks, stopwatch

SIZE = 2048


def product(size: int = SIZE) -> Case:
    """Float32 products of two (size, size) matrices, rows split over all devices.

    Both in the program's own precision: on GPUs that is JAX's default, TF32 on recent ones.
    """
    mesh = Mesh(np.array(jax.devices()), ("rows",))
    rows, whole = PartitionSpec("rows"), PartitionSpec()
    times = jax.jit(jax.shard_map(jnp.matmul, mesh=mesh, in_specs=(rows, whole), out_specs=rows))
    key = jax.random.key(0)
    a = jax.device_put(jax.random.normal(key, (size, size)), jax.NamedSharding(mesh, rows))
    b = jax.device_put(jax.random.normal(key, (size, size)), jax.NamedSharding(mesh, whole))

    def work(units: int) -> None:
        for _ in range(units):
            c = times(a, b)
        c.block_until_ready()

    return stopwatch(work)


def single_product(size: int = SIZE) -> Case:
    """The same product on one device, which on a CPU has all threads of the process."""
    a = jax.random.normal(jax.random.key(0), (size, size))
    times = jax.jit(jnp.matmul)

    def work(units: int) -> None:
        for _ in range(units):
            c = times(a, a)
        c.block_until_ready()

    return stopwatch(work)


def product_flops(size: int = SIZE) -> int:
    """Operations of one such product."""
    return 2 * size**3


def copy(n: int, times: int = 1) -> Case:
    """Copies n float32 into a buffer that exists already: 2 n numbers moved.

    The number is multiplied by a traced 1, or XLA would hand back the source itself.

    Args:
      n: how many.
      times: copies in one call, from two sources in turn.
    """

    def into(old: jax.Array, sources: jax.Array, one: jax.Array) -> jax.Array:
        pick = jax.lax.dynamic_index_in_dim
        last: jax.Array = jax.lax.fori_loop(
            0, times, lambda i, _: pick(sources, i % 2, keepdims=False) * one, old
        )
        return last

    copies = jax.jit(
        into if times > 1 else lambda old, x, one: x * one, donate_argnums=0, keep_unused=True
    )
    source, one = jnp.ones((2, n) if times > 1 else n), jnp.ones(())
    target = jnp.zeros(n)

    def work(calls: int) -> None:
        nonlocal target
        for _ in range(calls):
            target = copies(target, source, one)
        target.block_until_ready()

    return in_blocks(stopwatch(work), times)
