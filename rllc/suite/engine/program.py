"""One group of runs as one compiled program: scan over steps, runs batched, split over devices.

Axes: s seeds, r runs that share a seed (and so their batches), k values of a probe, c steps of a
chunk, b batch. Carries and hyperparameters have leading axes (s, r). The batch of a seed is
gathered or generated, and prepared (normalised, augmented) once, and enters the inner vmap
unbatched, so the first dense layer of r networks is a single matrix product.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from rllc.suite.engine import evaluation, optimizers
from rllc.suite.engine.batching import AUGMENTATION, EVALUATION, INIT, NOISE, ORDER, stream_key
from rllc.suite.engine.layout import Layout


class Program(NamedTuple):
    """Compiled-on-first-call functions of one group; arrays carry (s, r) as described above.

    Attributes:
      init: (seeds (s,), hyper) -> carry.
      train: (carry, log, hyper, seeds, examples, indices (c, s, b), first, start, stop) ->
        (carry, log): runs steps start … stop-1 of the chunk whose step 0 is the global step
        `first`; log = (losses (c, s, r), probes: name -> (c, s, r, k)). Examples and indices are
        None if batches are generated. Donates carry, log.
      evaluate: (carry, held-out batches, known) -> metric -> (sums (s, r, q), counts (s, r, q))
        over blocks (see `evaluation`).
      log: empty log of one chunk.
    """

    init: Callable[..., Any]
    train: Callable[..., Any]
    evaluate: Callable[..., Any]
    log: Callable[[], Any]


@lru_cache(maxsize=8)
def build(
    task: Any,
    sample: Callable[..., Any] | None,
    static: str,
    layout: Layout,
    chunk: int,
    probes: tuple[tuple[str, int], ...],
    over: Callable[..., Any] | None = None,
) -> Program:
    """Makes the program of a group; groups that agree in all arguments share it, compiled.

    Args:
      task: a Task (see tasks/): init, prepare, loss.
      sample: (key, step) -> batch, where batches are generated.
      static: the static optimizer config as JSON.
      layout: devices and padded shape.
      chunk: most steps in one call.
      probes: name and number of values k ≥ 1 of each probe of the config.
      over: how a function of one run becomes one of many; None is `batching` of the task.
    """
    over = over or batching(task)
    optimizer = json.loads(static)
    mesh, runs, seeds = layout.mesh(), layout.spec(), layout.seed_spec()
    everywhere = PartitionSpec()

    def sharded(
        function: Callable[..., Any], in_specs: Any, out_specs: Any, donate: tuple[int, ...] = ()
    ) -> Callable[..., Any]:
        mapped = jax.shard_map(
            function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False,
            axis_names=layout.by_hand,
        )  # fmt: skip
        return jax.jit(mapped, donate_argnums=donate)

    init = sharded(_init(task, optimizer, layout), (seeds, runs), runs)
    log = (layout.spec(1), layout.spec(1))
    train = sharded(
        _train(task, sample, optimizer, over, layout),
        (runs, log, runs, seeds, everywhere, layout.seed_spec(1), *[everywhere] * 3),
        (runs, log),
        donate=(0, 1),
    )
    evaluate = sharded(
        _evaluate(task, optimizer, over, layout), (runs, everywhere, everywhere), runs
    )
    shape = (chunk, layout.seeds, layout.points)

    def empty_log() -> tuple[jax.Array, dict[str, jax.Array]]:
        noted = {name: jnp.zeros((*shape, k), jnp.float32) for name, k in probes}
        return jnp.zeros(shape, jnp.float32), noted

    return Program(init, train, evaluate, empty_log)


def _init(task: Any, optimizer: dict[str, Any], layout: Layout) -> Callable[..., Any]:
    def start(params: Any, state: Any, hyper: Any) -> Any:
        return params, state, optimizers.build(optimizer, hyper).init(params)

    def init(seeds: jax.Array, hyper: Any) -> Any:
        def one_seed(seed: jax.Array, hyper: Any) -> Any:
            params, state = task.init(stream_key(seed, INIT))
            return jax.vmap(start, in_axes=(None, None, 0))(params, state, hyper)

        return layout.kept(jax.vmap(one_seed)(seeds, hyper))

    return init


def takes_turns(task: Any) -> bool:
    """Whether runs that share a device train one after another, not in batched operations."""
    return bool(task.one_at_a_time) and jax.default_backend() == "cpu"


def batching(task: Any) -> Callable[..., Any]:
    """How a function of one run becomes one of many: `jax.vmap`, or `in_turn`."""
    return in_turn if takes_turns(task) else jax.vmap


def in_turn(function: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """`jax.vmap` along leading axes (0; None: the whole), but one slice after another."""

    def mapped(*args: Any) -> Any:
        def one(slices: Any) -> Any:
            rest = iter(slices)
            pairs = zip(args, in_axes, strict=True)
            return function(*[a if axis is None else next(rest) for a, axis in pairs])

        return jax.lax.map(one, [a for a, axis in zip(args, in_axes, strict=True) if axis == 0])

    return mapped


def train_step(
    task: Any, optimizer: dict[str, Any], carry: Any, batch: Any, key: jax.Array, hyper: Any,
    gathered: Callable[[Any], Any] = lambda params: params,
) -> tuple[Any, tuple[jax.Array, dict[str, jax.Array]]]:  # fmt: skip
    """One step of one run: carry = (params, state, opt_state) -> (carry, (loss, probes)).

    `gathered` makes parameters that are split over devices whole (see `Layout.gathered`).
    """
    params, state, opt_state = carry

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        loss, (new_state, _) = task.loss(gathered(params), state, batch, key, True)
        return loss, new_state

    (loss, state), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    transformation = optimizers.build(optimizer, hyper)
    params, opt_state = optimizers.step(transformation, params, opt_state, gradients, loss)
    return (params, state, opt_state), (loss, optimizers.observe(optimizer, opt_state))


def _train(
    task: Any,
    sample: Callable[..., Any] | None,
    optimizer: dict[str, Any],
    over: Callable[..., Any],
    layout: Layout,
) -> Callable[..., Any]:
    def one_run(carry: Any, batch: Any, key: jax.Array, hyper: Any) -> Any:
        return train_step(task, optimizer, carry, batch, key, hyper, layout.gathered)

    def one_seed(
        carry: Any, hyper: Any, seed: jax.Array, examples: Any, indices: Any, step: jax.Array
    ) -> Any:
        order, augmentation, noise = (
            jax.random.fold_in(stream_key(seed, stream), step)
            for stream in (ORDER, AUGMENTATION, NOISE)
        )
        batch = sample(order, step) if sample else jax.tree.map(lambda a: a[indices], examples)
        batch = layout.part(task.prepare(layout.part(batch), augmentation))
        return over(one_run, (0, None, None, 0))(carry, batch, noise, hyper)

    def train(
        carry: Any,
        log: Any,
        hyper: Any,
        seeds: jax.Array,
        examples: Any,
        indices: jax.Array | None,
        first: jax.Array,
        start: jax.Array,
        stop: jax.Array,
    ) -> Any:
        def body(i: jax.Array, carried: Any) -> Any:
            carry, log = carried
            now = None if indices is None else indices[i]
            carry, found = over(one_seed, (0, 0, 0, None, 0, None))(
                carry, hyper, seeds, examples, now, first + i
            )
            carry = layout.kept(carry)
            return carry, jax.tree.map(lambda noted, value: noted.at[i].set(value), log, found)

        return jax.lax.fori_loop(start, stop, body, (carry, log))

    return train


def _evaluate(
    task: Any, optimizer: dict[str, Any], over: Callable[..., Any], layout: Layout
) -> Callable[..., Any]:
    parameters_of = optimizers.evaluation_parameters(optimizer)

    def one_run(
        params: Any, state: Any, batch: Any, known: jax.Array, key: jax.Array
    ) -> dict[str, Any]:
        _, (_, metrics) = task.loss(layout.gathered(params), state, batch, key, False)
        return {name: evaluation.block_sums(value, known) for name, value in metrics.items()}

    def evaluate(carry: Any, batches: Any, known: jax.Array) -> Any:
        params, state, opt_state = carry
        params = jax.vmap(jax.vmap(parameters_of))(opt_state, params)
        axes = (0, 0, None, None, None)
        over_runs = over(over(one_run, axes), axes)

        def call(numbered: tuple[jax.Array, Any, jax.Array]) -> Any:
            number, batch, known = numbered
            key = jax.random.fold_in(stream_key(0, EVALUATION), number)
            batch = layout.part(task.prepare(layout.part(batch), None))
            return over_runs(params, state, batch, known, key)

        numbers = jnp.arange(len(jax.tree.leaves(batches)[0]))
        return jax.tree.map(_blocks_last, jax.lax.map(call, (numbers, batches, known)))

    return evaluate


def _blocks_last(values: jax.Array) -> jax.Array:
    """(m, s, r, blocks) -> (s, r, m * blocks)."""
    moved = jnp.moveaxis(values, 0, 2)
    return moved.reshape(*moved.shape[:2], -1)
