"""One group of runs as one compiled program: scan over steps, runs batched, sharded.

Axes: s seeds, r runs that share a seed (and so their batches), k memory units, c steps of a
chunk, b batch. Carries and hyperparameters have leading axes (s, r). The batch of a seed is
gathered, normalised and augmented once and enters the inner vmap unbatched, so the first
dense layer of r networks is a single matrix product.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from rllc.suite import optimizers
from rllc.suite.batching import AUGMENTATION, INIT, stream_key

BLOCK = 128  # test batches of the paper, over which its accuracies are averaged
BLOCKS_PER_CALL = 4


class Layout(NamedTuple):
    """How (s, r) runs are laid on devices: padded shape and the sharded axis (0 or 1)."""

    seeds: int
    points: int
    axis: int
    devices: int

    @classmethod
    def choose(cls, seeds: int, points: int, devices: int) -> "Layout":
        """The layout with the fewest runs on the busiest device; padding runs count."""
        options = []
        for count in range(1, devices + 1):
            padded_s, padded_r = -(-seeds // count) * count, -(-points // count) * count
            options.append(cls(padded_s, points, 0, count))
            options.append(cls(seeds, padded_r, 1, count))
        return min(options, key=lambda o: (o.seeds * o.points // o.devices, o.devices, o.axis))

    def pad(self, array: np.ndarray) -> np.ndarray:
        """Repeats the last seed and the last point up to the padded (s, r)."""
        widths = [(0, self.seeds - array.shape[0]), (0, self.points - array.shape[1])]
        return np.pad(array, widths + [(0, 0)] * (array.ndim - 2), mode="edge")

    def mesh(self) -> Mesh:
        """The devices of this layout as a one-axis mesh."""
        return Mesh(np.array(jax.devices()[: self.devices]), ("runs",))

    def spec(self, before: int = 0) -> PartitionSpec:
        """Partition of an array whose (s, r) axes come after `before` others."""
        return PartitionSpec(*[None] * (before + self.axis), "runs")

    def seed_spec(self, before: int = 0) -> PartitionSpec:
        """Partition of an array that has the s axis but no r axis."""
        return self.spec(before) if self.axis == 0 else PartitionSpec()


class Program(NamedTuple):
    """Compiled-on-first-call functions of one group; arrays carry (s, r) as described above.

    Attributes:
      init: (seeds (s,), hyper) -> carry.
      train: (carry, log, hyper, seeds, images, labels, indices (c, s, b), first, start,
        stop) -> (carry, log): runs steps start … stop-1 of the chunk whose step 0 is the
        global step `first`; log = (losses (c, s, r), laws (c, s, r, k), or None for k = 0: JAX
        0.11 crashes on empty arrays that are sharded over CPUs). Donates carry, log.
      evaluate: (carry, images (m, 512, h, w, c), labels (m, 512), -1 = padding) ->
        (loss sums (s, r, 4m), correct counts (s, r, 4m)) over blocks of 128 examples.
      log: empty log of one chunk.
    """

    init: Callable[..., Any]
    train: Callable[..., Any]
    evaluate: Callable[..., Any]
    log: Callable[[], Any]


@lru_cache(maxsize=8)
def build(task: Any, static: str, layout: Layout, chunk: int, units: int) -> Program:
    """Makes the program of a group; groups that agree in all arguments share it, compiled.

    Args:
      task: a Task (see tasks/): init, prepare, apply.
      static: the static optimizer config as JSON.
      layout: devices and padded shape.
      chunk: most steps in one call.
      units: length k of the recorded law, 0 if there is none.
    """
    optimizer = json.loads(static)
    mesh, runs, seeds = layout.mesh(), layout.spec(), layout.seed_spec()
    everywhere = PartitionSpec()

    def sharded(function, in_specs, out_specs, donate=()):
        mapped = jax.shard_map(
            function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
        )
        return jax.jit(mapped, donate_argnums=donate)

    init = sharded(_init(task, optimizer), (seeds, runs), runs)
    log = (layout.spec(1), layout.spec(1))
    train = sharded(
        _train(task, optimizer),
        (runs, log, runs, seeds, everywhere, everywhere, layout.seed_spec(1), *[everywhere] * 3),
        (runs, log),
        donate=(0, 1),
    )
    evaluate = sharded(_evaluate(task, optimizer), (runs, everywhere, everywhere), (runs, runs))
    shape = (chunk, layout.seeds, layout.points)

    def empty_log():
        laws = jnp.zeros((*shape, units), jnp.float32) if units else None
        return jnp.zeros(shape, jnp.float32), laws

    return Program(init, train, evaluate, empty_log)


def _init(task, optimizer):
    def start(params, state, hyper):
        return params, state, optimizers.build(optimizer, hyper).init(params)

    def init(seeds, hyper):
        def one_seed(seed, hyper):
            params, state = task.init(stream_key(seed, INIT))
            return jax.vmap(start, in_axes=(None, None, 0))(params, state, hyper)

        return jax.vmap(one_seed)(seeds, hyper)

    return init


def takes_turns(task: Any) -> bool:
    """Whether runs that share a device train one after another, not in batched operations."""
    return bool(task.one_at_a_time) and jax.default_backend() == "cpu"


def batching(task: Any) -> Callable[..., Any]:
    """How a function of one run becomes one of many: `jax.vmap`, or `in_turn`."""
    return in_turn if takes_turns(task) else jax.vmap


def in_turn(function: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """`jax.vmap` along leading axes (0; None: the whole), but one slice after another."""

    def mapped(*args):
        def one(slices):
            rest = iter(slices)
            pairs = zip(args, in_axes, strict=True)
            return function(*[a if axis is None else next(rest) for a, axis in pairs])

        return jax.lax.map(one, [a for a, axis in zip(args, in_axes, strict=True) if axis == 0])

    return mapped


def train_step(task, optimizer, carry, x, labels, hyper):
    """One step of one run: carry = (params, state, opt_state) -> (carry, (loss, law (k,)))."""
    params, state, opt_state = carry

    def loss_of(params):
        logits, new_state = task.apply(params, state, x, True)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(losses), new_state

    (loss, state), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    transformation = optax.with_extra_args_support(optimizers.build(optimizer, hyper))
    updates, opt_state = transformation.update(gradients, opt_state, params, value=loss)
    carry = optax.apply_updates(params, updates), state, opt_state
    return carry, (loss, optimizers.law_of(opt_state))


def _train(task, optimizer):
    over = batching(task)

    def one_run(carry, x, labels, hyper):
        return train_step(task, optimizer, carry, x, labels, hyper)

    def one_seed(carry, hyper, seed, images, labels, indices, step):
        key = jax.random.fold_in(stream_key(seed, AUGMENTATION), step) if task.augments else None
        x = task.prepare(images[indices], key)
        return over(one_run, (0, None, None, 0))(carry, x, labels[indices], hyper)

    def train(carry, log, hyper, seeds, images, labels, indices, first, start, stop):
        def body(i, carried):
            carry, (losses, laws) = carried
            carry, (loss, law) = over(one_seed, (0, 0, 0, None, None, 0, None))(
                carry, hyper, seeds, images, labels, indices[i], first + i
            )
            laws = None if laws is None else laws.at[i].set(law)
            return carry, (losses.at[i].set(loss), laws)

        return jax.lax.fori_loop(start, stop, body, (carry, log))

    return train


def _evaluate(task, optimizer):
    parameters_of, over = optimizers.evaluation_parameters(optimizer), batching(task)

    def one_run(params, state, x, labels):
        logits, _ = task.apply(params, state, x, False)
        known = labels >= 0
        safe = jnp.where(known, labels, 0)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, safe) * known
        correct = (jnp.argmax(logits, axis=-1) == safe) & known
        blocks = (-1, BLOCK)
        return loss.reshape(blocks).sum(axis=1), correct.reshape(blocks).sum(axis=1)

    def evaluate(carry, images, labels):
        params, state, opt_state = carry
        params = jax.vmap(jax.vmap(parameters_of))(opt_state, params)
        axes = (0, 0, None, None)
        over_runs = over(over(one_run, axes), axes)

        def call(batch):
            return over_runs(params, state, task.prepare(batch[0], None), batch[1])

        losses, correct = jax.lax.map(call, (images, labels))
        return _blocks_last(losses), _blocks_last(correct)

    return evaluate


def _blocks_last(values):
    """(m, s, r, blocks) -> (s, r, m * blocks)."""
    moved = jnp.moveaxis(values, 0, 2)
    return moved.reshape(*moved.shape[:2], -1)


def evaluation_batches(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pads a split to whole calls of 512: images (m, 512, h, w, c), labels (m, 512) with -1."""
    size = BLOCK * BLOCKS_PER_CALL
    extra = -len(images) % size
    images = np.pad(images, [(0, extra)] + [(0, 0)] * (images.ndim - 1))
    labels = np.pad(labels, (0, extra), constant_values=-1)
    return images.reshape(-1, size, *images.shape[1:]), labels.reshape(-1, size).astype(np.int32)
