"""What a group of runs costs on this machine, measured in a few seconds."""

import math
import re
import time
from pathlib import Path

from rllc.suite.engine import checkpoint
from rllc.suite.engine.training import Trainer
from rllc.suite.errors import PlanError
from rllc.suite.execute import execution
from rllc.suite.plan.plan import Run, shard_name

UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
TIMED_SECONDS = 2.0


def parse_budget(text: str) -> float:
    """Seconds of ``15min``, ``90s``, ``2h`` or ``all`` (infinite).

    Raises:
      PlanError: anything else.

    Example:
      >>> parse_budget("15min"), parse_budget("1.5h"), parse_budget("all")
      (900.0, 5400.0, inf)
    """
    if text == "all":
        return float("inf")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)", text.strip())
    if not match or not float(match[1]):
        raise PlanError(f"budget {text!r} must look like 15min, 90s, 2h or all")
    return float(match[1]) * UNITS[match[2]]


def measure(group: list[Run], limit: float = math.inf, data_folder: str | None = None) -> float:
    """Seconds the whole group would take here, from a few seconds of steps and one evaluation.

    Compilation is included, as the group pays for it too. When the steps alone already take
    longer than `limit` seconds, evaluation is not measured and the result is a lower bound.
    """
    started = time.perf_counter()
    run = group[0]
    data = execution.load_data(run, data_folder)
    trainer = Trainer(group, execution.make_task(run), data, evaluate=False)
    trainer.marks = [0]  # no evaluation inside the timed steps
    trainer.advance(1)
    compiled = time.perf_counter() - started
    step = _pace(trainer)
    protocol = run.protocol
    training: float = compiled + protocol["steps"] * step
    if training > limit:
        return training
    trainer.done = 0
    trainer.evaluate()  # compiles
    started = time.perf_counter()
    trainer.evaluate()
    evaluation = time.perf_counter() - started
    evaluations: int = protocol["steps"] // protocol["eval_every"] + 1
    return training + evaluations * evaluation


def _pace(trainer: Trainer) -> float:
    """Seconds per step over at least `TIMED_SECONDS`."""
    count = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < TIMED_SECONDS:
        most = trainer.chunk - 1
        size = min(most, max(1, count))
        trainer.done = 0
        trainer.advance(size)
        count += size
    return elapsed / count


def remaining_share(group: list[Run], partial: Path) -> float:
    """Share of the group's steps that its checkpoint, if any, has not done yet."""
    steps: int = group[0].protocol["steps"]
    return 1.0 - checkpoint.done(partial / f"{shard_name(group)}.npz") / steps


def clock(seconds: float) -> str:
    """A duration for people.

    Example:
      >>> clock(42), clock(75), clock(7260), clock(float("inf"))
      ('42 s', '1 min 15 s', '2 h 01 min', 'no limit')
    """
    if seconds == float("inf"):
        return "no limit"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
