"""A few steps of the paper's tasks, as numbers: what `test_same_records` compares.

  python -m tests.suite.engine.short_trainings mnist_mlp …     prints them as JSON, here
  python -m tests.suite.engine.short_trainings --write         replaces short_trainings.json

The number of devices decides how runs are laid out and with it the order of sums, so this sets it
and wants a process of its own.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

TASKS = (
    "mnist_mlp", "fashion_mnist_mlp", "cifar10_mlp",
    "mnist_conv", "fashion_mnist_conv", "cifar10_conv", "cifar10_resnet20",
)  # fmt: skip
STORED = Path(__file__).with_suffix(".json")
DEVICES = 2
PROTOCOL = {"batch_size": 32, "law_every": 5, "data": "synthetic"}
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"_target_": "optax.sgd", "name": "Momentum SGD", "momentum": 0.9, "traced": ["learning_rate"]},
    {
        "_target_": "rllc.lm_rllc", "canonical": "rllc.canonical_arguments",
        "name": "M(0.9)+M(0.0)", "propagator": "M(0.9)+M(0.0)",
        "law_learning_rate": 0.01, "initial_law": "ones", "probes": {"law": "rllc.get_law"},
        "traced": ["learning_rate", "law_learning_rate", "initial_law"],
    },
)  # fmt: skip


def trained(task: str, optimizer: dict[str, Any]) -> dict[str, list[Any]]:
    """Every column of the record of two seeds and two rates, in the order of seed, rate, step."""
    from rllc.suite import records
    from rllc.suite.choose import selection
    from rllc.suite.execute import execution
    from rllc.suite.plan import plan

    steps = 4 if task == "cifar10_resnet20" else 20
    protocol = {**PROTOCOL, "steps": steps, "eval_every": steps // 2}
    config = {"_target_": "tasks.make", "name": task}
    runs = [
        plan.make_run(config, {**optimizer, "learning_rate": rate}, seed, protocol)
        for seed in (0, 1)
        for rate in (0.01, 0.03)
    ]
    with tempfile.TemporaryDirectory() as folder:
        options = execution.Options(Path(folder) / "records", progress=False)
        (group,) = execution.prepare(runs, options._replace(group_size=len(runs)))
        outcome = execution.execute_group(group, options)
        if outcome.error is not None:
            raise outcome.error
        found = records.load(options.folder)
        laws = found.laws(found.runs.run)
    rows = selection.with_hyper(found.runs)[["run", "seed", "learning_rate"]]
    keys = ["seed", "learning_rate", "step"]
    curves = found.curves.merge(rows, on="run").sort_values(keys)
    columns = {name: curves[name].tolist() for name in sorted(set(curves) - {"run", *keys})}
    laws = laws.merge(rows, on="run").sort_values(keys)
    columns["law"] = [float(value) for law in laws.law for value in law]
    return {name: [_text(value) for value in values] for name, values in columns.items()}


def _text(value: float) -> float | None:
    """Nine digits, which name a float32; None where nothing was measured."""
    return float(f"{value:.9g}") if value == value else None


def of(tasks: list[str]) -> dict[str, Any]:
    """The numbers by "task optimizer", and what they depend on beside the code."""
    import jax

    from rllc.suite.engine import devices

    cells = {f"{t} {o['name']}": trained(t, o) for t in tasks for o in OPTIMIZERS}
    machine = [devices.describe(), devices._cpu_fingerprint(), jax.__version__]
    return {"machine": machine, "cells": cells}


if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    ).strip()
    os.environ["JAX_PLATFORMS"] = "cpu"
    if sys.argv[1:] == ["--write"]:
        STORED.write_text(json.dumps(of(list(TASKS)), indent=None) + "\n")
    else:
        print(json.dumps(of(sys.argv[1:])))
