"""A sweep of a small language model, beside a plain Flax loop and PyTorch, in one run.

The peers train the same network on the same windows, one run at a time, with their own Adam. The
text is made up: what a step costs does not depend on it.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rllc.suite.engine import devices
from rllc.suite.execute import execution
from rllc.suite.plan.plan import Run, make_run
from rllc.suite.speed import setups, throughput

OPTIMIZER = "Adam"
RUNS = 6  # of the sweep
TASK: dict[str, Any] = {  # as conf/task/text/sympy_lm_small.yaml, which a test compares
    "id": "language_model", "_target_": "tasks.language_model", "name": "sympy_lm_small",
    "text": "sympy", "context": 128, "width": 128, "layers": 2, "heads": 4, "vocabulary": 256,
    "held_out": 512, "compute_dtype": "float32",
}  # fmt: skip
PROTOCOL = {"data": "synthetic", "batch_size": 16}
SHAPES = ("vocabulary", "width", "layers", "heads")


def runs(count: int) -> list[Run]:
    """One group: `count` learning rates with one seed."""
    config = setups.optimizer(OPTIMIZER)
    rates = [1e-3 * (1 - i / (2 * count)) for i in range(count)]
    return [make_run(TASK, {**config, "learning_rate": rate}, 0, PROTOCOL) for rate in rates]


def measure(
    sizes: Sequence[int], peers: Mapping[str, str], folder: Path, rounds: int, seconds: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """Groups of the engine, peers and matrix products take turns.

    Args:
      sizes: runs per program.
      peers: "flax" and "torch" -> interpreter.
      folder: for the peers' copy of the windows.
      rounds, seconds: see `timing.interleave`.

    Returns:
      Rows as of `throughput.measure`, with parameters, batch, context and over_best_peer (per run,
      against the fastest peer; NaN without any); and notes.
    """
    sweeps = {size: runs(size) for size in sizes}
    data = execution.load_data(runs(1)[0])
    told = spec(data, folder)
    kinds = {f"{kind}_language": python for kind, python in peers.items()}
    rows, notes = throughput.beside(sweeps, data, told, kinds, rounds, seconds)
    shapes = {"parameters": told["parameters"], "batch": told["batch"], "context": TASK["context"]}
    return [row | shapes for row in over_best_peer(rows)], notes


def over_best_peer(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with ``over_best_peer``: their rate per run over that of the fastest peer."""
    rates = [row["run_steps_per_second"] for row in rows if row["case"] != setups.ENGINE]
    best = max(rates, default=math.nan)
    return [row | {"over_best_peer": row["run_steps_per_second"] / best} for row in rows]


def spec(data: Any, folder: Path) -> dict[str, Any]:
    """What the peers are told; the windows are put into `folder`."""
    file = folder / "windows.npy"
    np.save(file, data.train["x"])
    return {
        **{key: TASK[key] for key in SHAPES}, "parameters": parameters(),
        "batch": PROTOCOL["batch_size"], "threads": devices.cores(), "windows": str(file),
    }  # fmt: skip


def parameters() -> int:
    """Number of parameters of the task's network."""
    made = execution.make_task(runs(1)[0])
    params, _ = jax.eval_shape(made.init, jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
