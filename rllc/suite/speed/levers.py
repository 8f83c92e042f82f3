"""What each way of making an accelerator's step cheaper gains, by itself and together.

A step of a small network is bound by the number of kernels that are launched, not by arithmetic or
memory. Each lever trains in a process of its own, since XLA reads its flags once; they take turns.
A child process is this module:

  python -m rllc.suite.speed.levers cifar10_resnet20 "M(0.9)" 1 "one vector"
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import optax

from rllc.suite.plan.plan import Run
from rllc.suite.plan.targets import resolve
from rllc.suite.speed import engine, processes, setups
from rllc.suite.speed.timing import interleave

ROOT = Path(__file__).resolve().parents[3]
GRAPHS = (  # whole stretches of kernels, the training loop among them, launched at once
    "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,WHILE",
    "--xla_gpu_graph_min_graph_size=1",
)


class Lever(NamedTuple):
    """One way.

    Attributes:
      flat: the optimizer sees all parameters as one vector: one update in place of one per array.
      task: settings of the task.
      flags: of XLA.
    """

    flat: bool = False
    task: Mapping[str, Any] = MappingProxyType({})
    flags: tuple[str, ...] = ()


NONE = "none"
HALF = MappingProxyType({"compute_dtype": "bfloat16"})
LEVERS = {
    NONE: Lever(),
    "one vector": Lever(flat=True),
    "bfloat16": Lever(task=HALF),
    "command buffers": Lever(flags=GRAPHS),
    "all": Lever(True, HALF, GRAPHS),
}


def measure(
    task: str, optimizer: str, runs: int, rounds: int, seconds: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """All levers with one task and optimizer.

    Args:
      task, optimizer: names.
      runs: runs per program.
      rounds, seconds: see `timing.interleave`.

    Returns:
      Rows: task, optimizer, lever, runs, run_steps_per_second, over_none; and notes on levers that
      could not be measured.
    """
    with _children(task, optimizer, runs) as (children, notes):
        times = interleave(children, rounds, seconds)
    rates = {name: runs / its.median for name, its in times.items()}
    base = rates.get(NONE, float("nan"))
    rows = [
        {
            "task": task, "optimizer": optimizer, "lever": name, "runs": runs,
            "run_steps_per_second": rate, "over_none": rate / base,
        }
        for name, rate in rates.items()
    ]  # fmt: skip
    return rows, notes


@contextmanager
def _children(
    task: str, optimizer: str, runs: int
) -> Iterator[tuple[dict[str, "Child"], list[str]]]:
    found: dict[str, Child] = {}
    notes = []
    try:
        for name in LEVERS:
            try:
                found[name] = Child(task, optimizer, runs, name)
            except RuntimeError as error:
                notes.append(f"{task}, lever {name!r} not measured: {error}")
        yield found, notes
    finally:
        for child in found.values():
            child.close()


class Child:
    """A process that trains with one lever; calling it does so many steps, and gives the seconds.

    Raises:
      RuntimeError: it ended early; its last line of output.
    """

    def __init__(self, task: str, optimizer: str, runs: int, lever: str):
        words = [sys.executable, "-m", __spec__.name, task, optimizer, str(runs), lever]
        ours = processes.environment()
        flags = " ".join([ours.get("XLA_FLAGS", ""), *LEVERS[lever].flags])
        self.process = subprocess.Popen(
            words, cwd=ROOT, text=True, env={**ours, "XLA_FLAGS": flags},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self(1)

    def __call__(self, units: int) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # it ended: the empty line below says so
            print(units, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if line:
            return float(json.loads(line))
        _, told = self.process.communicate()
        raise RuntimeError((told.strip().splitlines() or ["no message"])[-1])

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()


def lever_runs(task: str, optimizer: str, count: int, lever: Lever) -> list[Run]:
    """`setups.runs` with a lever."""
    runs = setups.runs(task, optimizer, count, **lever.task)
    if not lever.flat:
        return runs
    target = f"{flattened.__module__}.{flattened.__name__}"
    flat = {"of": runs[0].optimizer["_target_"], "_target_": target}
    return [run._replace(optimizer={**run.optimizer, **flat}) for run in runs]


def flattened(of: str, **arguments: Any) -> optax.GradientTransformation:
    """The optimizer of a dotted path on all parameters as one vector."""
    return optax.flatten(resolve(of)(**arguments))


def in_this_process(task: str, optimizer: str, count: int, name: str) -> None:
    """Trains as many steps as each line of the input says, and prints the seconds they took."""
    from rllc.suite.engine import devices

    devices.configure()
    group = lever_runs(task, optimizer, count, LEVERS[name])
    data, _ = engine.data(group)
    case = engine.steps(engine.trainer(group, data))
    for line in sys.stdin:
        print(json.dumps(case(int(line))), flush=True)


if __name__ == "__main__":
    flattened.__module__ = __spec__.name  # by which the engine finds it
    in_this_process(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
