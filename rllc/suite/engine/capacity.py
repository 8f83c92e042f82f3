"""How many runs one program should hold: bounded by memory, chosen by measured speed."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from rllc.suite.engine import optimizers, program
from rllc.suite.engine.batching import abstract_batch
from rllc.suite.errors import PlanError
from rllc.suite.plan.plan import Run

# Runs per device beyond which a group no longer gets faster per run (results/benchmarks). Networks
# that take turns on a CPU are as fast alone: there a group saves nothing but compilations.
ENOUGH = {"cpu": 9, "gpu": 64, "tpu": 64}
# Convolutional networks: an accelerator's program holds every convolution of every run, so it
# takes longer to compile the more there are, and gains little beyond a few.
ENOUGH_UNROLLED = 6
MEMORY_SHARE = 0.5
MOST_STEPS = 2**31 - 1  # steps are int32, in programs and in records


def group_size(run: Run, task: Any, data: Any) -> int:
    """Most runs to train in one program on this machine."""
    device, count = jax.devices()[0], len(jax.devices())
    enough = ENOUGH.get(device.platform, 16) * count
    if task.one_at_a_time and device.platform != "cpu":
        enough = ENOUGH_UNROLLED * count
    kept, working = bytes_per_run(run, task, data)
    available = MEMORY_SHARE * memory_bytes()
    turns = program.takes_turns(task)  # then one run of a device needs its working memory at a time
    fit = (available - count * working) / kept if turns else available / (kept + working)
    noted = MEMORY_SHARE * host_bytes() / noted_bytes(run.protocol)
    return max(1, min(enough, int(fit), int(noted)))


def noted_bytes(protocol: Mapping[str, Any]) -> int:
    """Host memory that a run's losses and evaluations take, the least of what is noted of it."""
    evaluations = 2 + protocol["steps"] // protocol["eval_every"]
    noted: int = protocol["steps"] + 8 * evaluations
    return 4 * noted


def check_noted(run: Run) -> None:
    """Refuses a run whose losses alone do not fit into this machine's memory.

    Raises:
      PlanError: they do not; the message has both numbers.
    """
    steps, need, there = run.protocol["steps"], noted_bytes(run.protocol), host_bytes()
    if steps > MOST_STEPS:
        raise PlanError(f"protocol.steps={steps} is more than the {MOST_STEPS} of a record")
    if need > MEMORY_SHARE * there:
        raise PlanError(
            f"protocol.steps={steps}: the losses of one run would take {need / 2**30:,.1f} GiB of "
            f"this machine's {there / 2**30:,.1f} GiB; train fewer steps"
        )


def bytes_per_run(run: Run, task: Any, data: Any) -> tuple[int, int]:
    """Estimate of a run's memory.

    Returns:
      What it keeps from step to step (parameters, statistics, optimizer state), and what it needs
      within a step: gradients, and activations of one training batch, taken as four times the
      bytes of the intermediate values of the forward pass (kept values, their gradients, patches).
    """
    params, state = jax.eval_shape(task.init, jax.random.key(0))
    traced = {key: np.asarray(value, np.float32) for key, value in run.traced.items()}
    moments = jax.eval_shape(lambda p: optimizers.build(run.optimizer, traced).init(p), params)
    key = jax.eval_shape(lambda: jax.random.key(0))
    batch = jax.eval_shape(
        task.prepare, abstract_batch(data.train, run.protocol["batch_size"]), key
    )
    jaxpr = jax.make_jaxpr(lambda *args: task.loss(*args, True))(params, state, batch, key)
    activations = sum(_bytes(v.aval) for eq in jaxpr.jaxpr.eqns for v in eq.outvars)
    kept, gradients = (
        sum(map(_bytes, jax.tree.leaves(t))) for t in ((params, moments, state), params)
    )
    return kept, gradients + 4 * activations


def parameter_bytes(task: Any) -> int:
    """Memory of one run's parameters."""
    params, _ = jax.eval_shape(task.init, jax.random.key(0))
    return sum(map(_bytes, jax.tree.leaves(params)))


def _bytes(value: Any) -> int:
    return (
        int(np.prod(value.shape)) * value.dtype.itemsize if hasattr(value.dtype, "itemsize") else 0
    )


def memory_bytes() -> int:
    """Memory of the accelerator, or of the machine."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"]) * len(jax.devices())
    return host_bytes()


def host_bytes() -> int:
    """Memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
