"""What a group costs before its first step: compile time, cold and cached, and peak memory.

Each measurement is a process of its own with a compilation cache of its own:

  python -m rllc.suite.speed.compilation mnist_mlp 12 "M(0.9)+M(0.0)"
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def measure(task: str, runs: int, optimizer: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Starts the same group twice with one cache.

    Returns:
      One row: task, optimizer, runs, compile_seconds (all programs of the group),
      compile_seconds_again (a second process), step_seconds, peak_gigabytes (of a process that
      trained it); and notes.
    """
    with tempfile.TemporaryDirectory() as cache:
        found = [_child(task, runs, optimizer, cache) for _ in range(2)]
    if errors := [answer["error"] for answer in found if "error" in answer]:
        return [], [f"compilation of {task} not measured: {errors[0]}"]
    first, second = found
    row = {"task": task, "optimizer": optimizer, "runs": runs, **first}
    return [row | {"compile_seconds_again": second["compile_seconds"]}], []


def _child(task: str, runs: int, optimizer: str, cache: str) -> dict[str, Any]:
    environment = {**os.environ, "RLLC_CACHE": cache}
    environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    command = [
        sys.executable,
        "-m",
        "rllc.suite.speed.compilation",
        task,
        str(runs),
        optimizer,
    ]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def in_this_process(task: str, runs: int, optimizer: str) -> dict[str, float]:
    """Compiles and starts a group: seconds of its compilations and of a step, peak memory."""
    from rllc.suite.engine import devices

    devices.configure()
    from rllc.suite.speed import engine, setups

    group = setups.runs(task, optimizer, runs)
    data, _ = engine.data(group)
    started = time.perf_counter()
    trainer = engine.trainer(group, data)  # compiles and runs `init`
    trainer.advance(1)  # compiles and runs `train`
    evaluate: Any = trainer.program.evaluate
    for batches in trainer.held_out.values():
        evaluate.lower(trainer.carry, *batches).compile()
    first = time.perf_counter() - started
    step = min(engine.steps(trainer)(1) for _ in range(2))
    return {
        "compile_seconds": max(0.0, first - step),
        "step_seconds": step,
        "peak_gigabytes": engine.peak_gigabytes(),
    }


if __name__ == "__main__":
    print(json.dumps(in_this_process(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
