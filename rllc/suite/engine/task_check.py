"""Whether a task and its data are what the engine takes, found out before anything trains.

A task may be anybody's file, so every mistake ends in one line that names the task and the value,
not in a traceback of JAX.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rllc.suite.engine.batching import abstract_batch, example_count
from rllc.suite.errors import PlanError, first_line
from rllc.suite.metrics import SPLITS, Metric

FUNCTIONS = ("init", "loss", "data", "prepare")
FIELDS = ("name", *FUNCTIONS, "metrics", "synthetic", "one_at_a_time", "batch_means")


def check_task(task: Any, label: str) -> None:
    """Its fields and the description of its metrics.

    Raises:
      PlanError: one is missing, or is nothing the engine could use.
    """
    where = f"task {label}"
    for field in FIELDS:
        if not hasattr(task, field):
            raise PlanError(
                f"{where}: {type(task).__name__} has no field {field}; a tasks.Task has them all"
            )
    try:
        hash(task)  # compiled programs are kept by task
    except TypeError as error:
        raise PlanError(f"{where}: {error}; a task must be hashable, as a tasks.Task is") from None
    for field in FUNCTIONS:
        if not callable(getattr(task, field)):
            raise PlanError(f"{where}: {field}={getattr(task, field)!r} must be a function")
    if not isinstance(task.metrics, tuple) or not task.metrics:
        raise PlanError(f"{where}: metrics={task.metrics!r} must be a tuple of tasks.Metric")
    for metric in task.metrics:
        _check_metric(metric, where)
    names = [metric.name for metric in task.metrics]
    if len(set(names)) < len(names):
        raise PlanError(f"{where}: two metrics have the same name, {names}")


def _check_metric(metric: Any, where: str) -> None:
    if not all(hasattr(metric, field) for field in Metric._fields):
        raise PlanError(f"{where}: metric {metric!r} must be a tasks.Metric")
    if not isinstance(metric.name, str) or not metric.name.isidentifier():
        raise PlanError(f"{where}: metric name {metric.name!r} must be a word")
    if metric.direction not in ("max", "min"):
        raise PlanError(
            f"{where}: metric {metric.name}: direction={metric.direction!r} must be max or min"
        )


def check_data(data: Any, label: str) -> None:
    """That every split holds finite numbers, as many examples in every array, all of one shape.

    Raises:
      PlanError: the first thing that does not hold.
    """
    where = f"data of task {label}"
    for split in ("train", *SPLITS):
        if not hasattr(data, split):
            raise PlanError(f"{where}: {type(data).__name__} has no {split}; see tasks.Dataset")
        if not callable(getattr(data, split)):
            _check_split(getattr(data, split), split, where)
    shapes = {split: _shapes(getattr(data, split)) for split in ("train", *SPLITS)}
    for split, shape in shapes.items():
        if shape != shapes["train"] and not any(callable(getattr(data, s)) for s in shapes):
            raise PlanError(f"{where}: examples of {split} are {shape}, of train {shapes['train']}")


def _check_split(examples: Any, split: str, where: str) -> None:
    leaves = _named(examples, split)
    if not leaves:
        raise PlanError(f"{where}: {split} holds no arrays")
    counts = {}
    for name, leaf in leaves.items():
        kind = getattr(getattr(leaf, "dtype", None), "kind", None)
        if kind is None or (kind not in "fiubc" and not jnp.issubdtype(leaf.dtype, jnp.floating)):
            found = f"dtype {leaf.dtype}" if kind else type(leaf).__name__
            raise PlanError(f"{where}: {name} must be an array of numbers, it is {found}")
        if leaf.ndim == 0 or len(leaf) == 0:
            raise PlanError(f"{where}: {name} has shape {leaf.shape}: no examples")
        if kind in "fc" and not np.isfinite(leaf).all():
            bad = int((~np.isfinite(leaf)).sum())
            raise PlanError(f"{where}: {name} has {bad} values that are not finite")
        counts[name] = len(leaf)
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise PlanError(f"{where}: arrays of one split differ in their number of examples: {told}")


def _named(tree: Any, name: str) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {f"{name}{jax.tree_util.keystr(path)}": leaf for path, leaf in leaves}


def _shapes(examples: Any) -> str:
    if callable(examples):
        return "generated"
    return ", ".join(f"{n} {a.dtype}{list(a.shape[1:])}" for n, a in _named(examples, "").items())


def start(task: Any, label: str) -> tuple[Any, Any]:
    """Shapes of the parameters and of the state that `init` returns.

    Raises:
      PlanError: it fails, or returns something else, or nothing to train.
    """
    where = f"task {label}"
    key = jax.eval_shape(lambda: jax.random.key(0))
    found = _shaped(f"{where}: init", jax.eval_shape, task.init, key)
    if not isinstance(found, tuple) or len(found) != 2:
        raise PlanError(f"{where}: init must return (params, state), it returns {_kind(found)}")
    params, state = found
    leaves = _named(params, "params")
    if not leaves:
        raise PlanError(f"{where}: init returns no parameters, params={params!r}: nothing to train")
    for name, leaf in leaves.items():
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise PlanError(f"{where}: {name} is {leaf.dtype}, parameters must be floats")
    return params, state


def check_program(task: Any, data: Any, batch_size: int, label: str) -> None:
    """Traces a training step's loss and gradient, and an evaluation, on shapes alone.

    Raises:
      PlanError: a function of the task fails, or returns something else than `tasks.Task` says.
    """
    where = f"task {label}"
    count = example_count(data)
    if count and batch_size > count:
        raise PlanError(
            f"{where}: protocol.batch_size={batch_size} is more than its {count} training examples"
        )
    key = jax.eval_shape(lambda: jax.random.key(0))
    initial = start(task, label)
    for split in ("train", *SPLITS):
        examples, train = getattr(data, split), split == "train"
        if split == "test" and not callable(examples):
            continue  # of the same shapes as validation
        made = _shaped(f"{where}: {split} of its data", abstract_batch, examples, batch_size)
        call = f"{where}: prepare on {_sizes(made)}" + ("" if train else " without a key")
        batch = _shaped(call, jax.eval_shape, task.prepare, made, key if train else None)
        size = None if callable(examples) else batch_size
        _check_loss(task, initial, batch, key, train, size, where)


def _check_loss(
    task: Any, start: Any, batch: Any, key: Any, train: bool, examples: int | None, where: str
) -> None:
    params, state = start
    call = f"{where}: loss on {_sizes(batch)} (train={train})"

    def loss_of(p: Any, s: Any, b: Any, k: Any) -> Any:
        return task.loss(p, s, b, k, train)

    out = _shaped(call, jax.eval_shape, loss_of, params, state, batch, key)
    if not (isinstance(out, tuple) and len(out) == 2 and isinstance(out[1], tuple)):
        raise PlanError(f"{call} must return (scalar, (state, metrics)), it returns {_kind(out)}")
    loss, aux = out
    if len(aux) != 2 or not isinstance(aux[1], dict):
        raise PlanError(f"{call} must return (scalar, (state, metrics)), metrics a dict by name")
    if getattr(loss, "shape", None) != () or not jnp.issubdtype(loss.dtype, jnp.floating):
        raise PlanError(f"{call} must return a scalar float, it returns {_kind(loss)}")
    if train and _layout(aux[0]) != _layout(state):
        raise PlanError(
            f"{call} must return a state like that of init: {_kind(aux[0])} is not {_kind(state)}"
        )
    declared = {metric.name for metric in task.metrics}
    if set(aux[1]) != declared:
        raise PlanError(
            f"{call} returns the metrics {sorted(aux[1])}, the task declares {sorted(declared)}"
        )
    if examples is not None:
        _check_per_example(aux[1], examples, call)
    if train:

        def gradient(p: Any, s: Any, b: Any, k: Any) -> Any:
            return jax.grad(lambda q: task.loss(q, s, b, k, True)[0])(p)

        _shaped(f"{call}: its gradient", jax.eval_shape, gradient, params, state, batch, key)


def _check_per_example(metrics: dict[str, Any], examples: int, call: str) -> None:
    for name, value in metrics.items():
        for part in value if isinstance(value, tuple) else (value,):
            if getattr(part, "shape", None) != (examples,):
                raise PlanError(
                    f"{call}: metric {name} must have a value per example, ({examples},) or a pair "
                    f"of such sums and counts; it is {_kind(value)}"
                )


def _shaped(call: str, function: Callable[..., Any], *args: Any) -> Any:
    """What `function` returns; what a function of the task raises in it, as one line."""
    try:
        return function(*args)
    except Exception as error:
        raise PlanError(f"{call} fails: {first_line(error)}") from error


def _sizes(batch: Any) -> str:
    return ", ".join(f"{n} {list(a.shape)}" for n, a in _named(batch, "batch").items())


def _layout(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _kind(tree: Any) -> str:
    """Shapes and dtypes, for a message."""
    return str(jax.tree.map(lambda a: f"{a.dtype}{list(a.shape)}", tree)).replace("'", "")
