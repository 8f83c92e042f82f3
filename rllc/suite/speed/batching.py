"""How several runs share one accelerator: in one program, three ways, or as several processes.

Under `vmap` over weights a convolution becomes a grouped one. The engine unrolls it instead, one
convolution per run, and batches everything between; or the runs could take turns whole. Processes
of their own need nothing of that, if the device lets them work at the same time (on NVIDIA's,
under its Multi-Process Service). A child process is this module:

  python -m rllc.suite.speed.batching cifar10_resnet20 "M(0.9)" 1 4.0
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rllc.suite.engine import program
from rllc.suite.execute import execution
from rllc.suite.speed import engine, flops, processes, setups
from rllc.suite.speed.timing import Case, interleave

ROOT = Path(__file__).resolve().parents[3]
ALONE, GROUPED, UNROLLED, TURNS = "alone", "grouped", "unrolled (the engine's)", "in turn"
BATCHED, TOGETHER = "one program", "processes"


def measure(
    task: str,
    optimizer: str,
    runs: int,
    counts: Sequence[int],
    each: int,
    rounds: int,
    seconds: float,
) -> tuple[list[dict[str, Any]], list[str]]:
    """All ways with one task and optimizer.

    Args:
      task, optimizer: names.
      runs: runs per program where there are several.
      counts: numbers of processes.
      each: runs per process.
      rounds, seconds: see `timing.interleave`; processes work once for `seconds`, all at once.

    Returns:
      Rows: task, optimizer, way, runs (in all), processes, run_steps_per_second, gflops; notes.
    """
    first = setups.runs(task, optimizer, 1)
    data, note = engine.data(first)
    ways = [BATCHED] if setups.network(task) == "mlp" else [GROUPED, UNROLLED, TURNS]
    cases = {ALONE: _case(ALONE, first, data)}
    cases |= {way: _case(way, setups.runs(task, optimizer, runs), data) for way in ways}
    times = interleave(cases, rounds, seconds)
    sizes = {way: 1 if way == ALONE else runs for way in cases}
    found = [(way, sizes[way], 1, sizes[way] / t.median) for way, t in times.items()]
    found += [(TOGETHER, n * each, n, together(task, optimizer, n, each, seconds)) for n in counts]
    work = flops.nominal(execution.make_task(first[0]), first[0].protocol["batch_size"]) / 1e9
    rows = [
        {
            "task": task, "optimizer": optimizer, "way": way, "runs": count, "processes": many,
            "run_steps_per_second": rate, "gflops": rate * work,
        }
        for way, count, many, rate in found
    ]  # fmt: skip
    return rows, [note] * bool(note)


def _case(way: str, runs: list[Any], data: Any) -> Case:
    """The group's steps, its program compiled this way."""
    trainer = TakingTurns if way == TURNS else engine.SpeedTrainer
    case = engine.steps(trainer(runs, variant(way, execution.make_task(runs[0])), data))
    case(1)
    return case


class TakingTurns(engine.SpeedTrainer):
    """Trains the runs of a group one after another, on any device."""

    over = staticmethod(program.in_turn)


def variant(way: str, task: Any) -> Any:
    """The task whose program batches this way.

    The task's own convolutions keep runs apart; those of the first peer's network become grouped.
    """
    return flops.with_peers_network(task) if way == GROUPED else task


def together(task: str, optimizer: str, count: int, each: int, seconds: float) -> float:
    """Run-steps per second of `count` processes that train `each` runs, all at once.

    Raises:
      RuntimeError: one of them ended early; its last line of output.
    """
    words = [sys.executable, "-m", __spec__.name, task, optimizer, str(each), str(seconds)]
    children: list[subprocess.Popen[str]] = []
    try:
        for _ in range(count):
            children.append(_started(words))
            if len(children) == 1:
                _line(children[0])  # the others find its program in the compilation cache
        for child in children[1:]:
            _line(child)
        for child in children:
            print("go", file=child.stdin, flush=True)
        rates: list[float] = [json.loads(_line(child)) for child in children]
        return sum(rates)
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _started(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, cwd=ROOT, text=True, env=processes.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _line(child: Any) -> str:
    line: str = child.stdout.readline()
    if line:
        return line
    raise RuntimeError((child.stderr.read().strip().splitlines() or ["no message"])[-1])


def in_this_process(task: str, optimizer: str, runs: int, seconds: float) -> None:
    """Compiles, says so, waits for a line, trains for `seconds`, prints run-steps per second."""
    from rllc.suite.engine import devices

    devices.configure()
    group = setups.runs(task, optimizer, runs)
    data, _ = engine.data(group)
    case, block = engine.steps(engine.trainer(group, data)), 10
    case(block)
    print("ready", flush=True)
    sys.stdin.readline()
    took, steps = 0.0, 0
    while took < seconds:
        took += case(block)
        steps += block
    print(runs * steps / took, flush=True)


if __name__ == "__main__":
    in_this_process(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
