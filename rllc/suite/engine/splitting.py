"""Whether and how one run is shared by several devices: what is asked, what helps, what cannot be.

Asked for is a `Split`, on the command line ``devices.data=4``. What is left open is chosen by
capacity: parameters are split where they do not fit, and a batch where accelerators would be idle.
The host devices of a CPU share its memory and its cores, so there nothing is split unasked, unless
several processes were started, of which none shall be idle.
"""

from collections.abc import Mapping
from typing import Any

import jax

from rllc.suite.engine import capacity
from rllc.suite.engine.layout import Layout, Split
from rllc.suite.errors import PlanError
from rllc.suite.plan.plan import Run

AUTO = Split()
ALONE = Split(data=1, fsdp=1)  # a device for a run, as records that are to be repeated were made


def parse(given: Any) -> Split:
    """The `Split` of a config's ``devices``: a mapping of its fields to ``auto`` or a count.

    Raises:
      PlanError: anything else; one line.
    """
    if not isinstance(given, Mapping) or set(given) - set(Split._fields):
        raise PlanError(f"devices={given!r} must have the keys {', '.join(Split._fields)}")
    for key, value in given.items():
        if value != "auto" and (type(value) is not int or value < 1):
            raise PlanError(f"devices.{key}={value!r} must be auto or a positive integer")
    return Split(**{key: None if value == "auto" else value for key, value in given.items()})


def check(split: Split, run: Run, data: Any) -> None:
    """Refuses a split that this machine or this run cannot have.

    Raises:
      PlanError: one line that says why.
    """
    asked = ", ".join(f"devices.{k}={v}" for k, v in split._asdict().items() if v)
    shared = (split.data or 1) * (split.fsdp or 1)
    needed, there = shared * (split.run or 1), len(jax.devices())
    if needed > there:
        raise PlanError(f"{asked}: that takes {needed} devices, here are {there}")
    if shared > 1 and callable(data.train):
        name = run.task["name"]
        raise PlanError(f"{asked}: batches of {name} are generated, and cannot be split")
    if run.protocol["batch_size"] % shared:
        batch = run.protocol["batch_size"]
        raise PlanError(f"{asked}: a batch of {batch} does not divide into {shared} equal parts")


def layout(split: Split, run: Run, shape: tuple[int, int], task: Any, data: Any) -> Layout:
    """The layout of a group (see `Layout.choose`).

    Args:
      split: what was asked.
      run: any of the group.
      shape: seeds and points.
      task: of the run.
      data: of the task.

    Raises:
      PlanError: not all processes can take an equal part.
    """
    count, generated = len(jax.devices()), callable(data.train)
    batch, processes = run.protocol["batch_size"], jax.process_count()
    on_cpu = jax.default_backend() == "cpu"
    if generated or (on_cpu and processes == 1):
        return Layout.choose(*shape, count, split, processes=processes)
    if split.fsdp is None and not on_cpu:
        split = split._replace(fsdp=_parts_that_fit(run, task, data, count, batch))
    return Layout.choose(*shape, count, split, batch, processes)


def _parts_that_fit(run: Run, task: Any, data: Any, count: int, batch: int) -> int:
    """The fewest parts of a run's memory that fit into a device each; all devices if none does."""
    there = capacity.MEMORY_SHARE * capacity.memory_bytes() / count
    kept, working = capacity.bytes_per_run(run, task, data)
    whole = capacity.parameter_bytes(task)
    options = [n for n in range(1, count + 1) if count % n == 0 and batch % n == 0]
    needed = {n: (kept + working) / n + (whole if n > 1 else 0) for n in options}
    return next((n for n in options if needed[n] <= there), options[-1])
