"""Floating-point operations of a training step: the network's own, and the compiler's count."""

import math
from typing import Any

import jax
import jax.numpy as jnp

import tasks
from rllc.suite.engine import optimizers
from rllc.suite.engine.batching import abstract_batch
from rllc.suite.engine.program import train_step
from rllc.suite.plan.plan import Run
from rllc.suite.speed import setups
from rllc.suite.speed.peers import flax_loop


def nominal(task: Any, batch: int) -> int:
    """Operations in the matrix products of one training step of one run.

    Two per multiply-accumulate of the forward pass (a convolution counts the zeros around the
    image), as many for the weights' gradients, and for the inputs' gradients where there is a
    layer below: three times the forward pass, less the first layer's input gradient. Bias,
    activation, norm, loss and optimizer are left out, and so is what an implementation does
    beyond this.

    Args:
      task: a Task of the suite, counted in its plain form (`plain_task`).
      batch: examples per step.
    """
    products = _forward_products(task, batch)
    inputs = _shapes(task, batch)[2]["x"]  # integers are looked up in weights, which are trained
    return 3 * sum(products) - products[0] * jnp.issubdtype(inputs.dtype, jnp.floating)


def forward(task: Any, batch: int) -> int:
    """Operations in the matrix products of the forward pass."""
    return sum(_forward_products(task, batch))


def _forward_products(task: Any, batch: int) -> list[int]:
    task = plain_task(task)  # the task's own convolutions may need fewer, or more
    return in_products(jax.make_jaxpr(lambda *args: task.loss(*args, True))(*_shapes(task, batch)))


def _shapes(task: Any, size: int) -> tuple[Any, Any, Any, Any]:
    """Parameters, state, prepared batch and key."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, state = jax.eval_shape(task.init, key)
    batch = jax.eval_shape(task.prepare, abstract_batch(task.synthetic().train, size), key)
    return params, state, batch, key


def in_products(closed: Any) -> list[int]:
    """Operations of each matrix product and convolution of a jaxpr, in order, calls included."""
    found = []
    for equation in getattr(closed, "jaxpr", closed).eqns:
        if equation.primitive.name == "dot_general":
            found.append(_product(equation))
        elif equation.primitive.name == "conv_general_dilated":
            found.append(_convolution(equation))
        for inner in _inner(equation):
            found += in_products(inner)
    return found


def _product(equation: Any) -> int:
    (left, _), _ = equation.params["dimension_numbers"]
    depth: int = math.prod(equation.invars[0].aval.shape[i] for i in left)
    size: int = math.prod(equation.outvars[0].aval.shape)
    return 2 * size * depth


def _convolution(equation: Any) -> int:
    weights: tuple[int, ...] = equation.invars[1].aval.shape
    features: int = weights[equation.params["dimension_numbers"].rhs_spec[0]]
    multiplied: int = math.prod(equation.outvars[0].aval.shape) * math.prod(weights)
    return 2 * multiplied // features


def _inner(equation: Any) -> list[Any]:
    values = [v for value in equation.params.values() for v in jax.tree.leaves(value)]
    found = [getattr(value, "jaxpr", value) for value in values]
    return [jaxpr for jaxpr in found if hasattr(jaxpr, "eqns")]


def compiled(task: Any, run: Run) -> float:
    """Operations of one whole step of one run, optimizer included, by the compiler's count.

    Of the network written with plain convolutions (the first peer's), since the compiler counts
    the body of a loop once, and leaves out products with the zeros around an image.

    Returns:
      Operations, or NaN where the backend does not tell.
    """
    task = plain_task(task)
    params, state, batch, key = _shapes(task, run.protocol["batch_size"])
    hyper = {k: jnp.asarray(v, jnp.float32) for k, v in run.traced.items()}
    start = jax.eval_shape(lambda p: optimizers.build(run.optimizer, hyper).init(p), params)

    def step(carry: Any, batch: Any, key: jax.Array, hyper: Any) -> Any:
        return train_step(task, run.optimizer, carry, batch, key, hyper)

    lowered = jax.jit(step).lower((params, state, start), batch, key, hyper)
    analysis = lowered.cost_analysis() or {}
    return float(analysis.get("flops", float("nan")))


def plain_task(task: Any) -> Any:
    """The task; with convolutions, with the first peer's network, which writes them plainly."""
    convolves = setups.network(task.name) in ("conv", "resnet20")
    return with_peers_network(task) if convolves else task


def with_peers_network(task: Any) -> Any:
    """The task with the first peer's network in the place of its own."""
    model = flax_loop.NETWORKS[setups.network(task.name)]()
    theirs = tasks.classification(model, setups.dataset(task.name))
    return task._replace(init=theirs.init, loss=theirs.loss)
