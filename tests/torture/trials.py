"""What a fault is, and the table of what became of thousands of them."""

import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PROCESSES = int(os.environ.get("RLLC_TORTURE_PROCESSES", "2"))
COLUMNS = ("part", "fault", "times", "outcomes", "losses")


class Trial(NamedTuple):
    """One fault and what became of it.

    Attributes:
      fault: its kind.
      outcome: what happened, in words.
      lost: what was lost or silent, a traceback or a hang; "" where nothing was.
    """

    fault: str
    outcome: str
    lost: str = ""


def table(part: str, trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """One row per kind of fault, in the order of their first trial (`COLUMNS`)."""
    by_fault: dict[str, list[Trial]] = {}
    for trial in trials:
        by_fault.setdefault(trial.fault, []).append(trial)
    return [
        {
            "part": part,
            "fault": fault,
            "times": len(found),
            "outcomes": "; ".join(
                f"{count} {outcome}"
                for outcome, count in Counter(trial.outcome for trial in found).most_common()
            ),
            "losses": sum(bool(trial.lost) for trial in found),
        }
        for fault, found in by_fault.items()
    ]


def losses(trials: Iterable[Trial]) -> list[str]:
    """What was lost, with its fault."""
    return [f"{trial.fault}: {trial.lost}" for trial in trials if trial.lost]


def generator(part: str, seed: int, number: int = 0) -> np.random.Generator:
    """Random numbers of one trial, which do not depend on the trials before it."""
    return np.random.default_rng([*part.encode(), seed, number])


def take_turns(items: Sequence[Any], count: int) -> list[Any]:
    """`count` items, each as often as the others, or once more."""
    return [items[i % len(items)] for i in range(count)]


def side_by_side(
    work: Callable[[Any], Trial | Iterable[Trial]],
    items: Sequence[Any],
    file: Path,
    count: int | None = None,
) -> Iterator[Trial]:
    """The trials of `items`, by `count` forks of this process, which has not started JAX.

    Args:
      work: makes the trials of an item.
      items: of all trials.
      file: takes a line for each item.
      count: of processes; None for `PROCESSES`.
    """
    count = count or PROCESSES
    file.touch()
    for pid in [_fork(work, items[i::count], file) for i in range(count)]:
        os.waitpid(pid, 0)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        yield from (Trial(*trial) for trial in line)
    if missing := len(items) - len(lines):
        yield Trial("a process of the torture", "", f"{missing} of {len(items)} items did not end")


def _fork(work: Callable[[Any], Any], items: Sequence[Any], file: Path) -> int:
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        for item in items:
            found = work(item)
            line = json.dumps([found] if isinstance(found, Trial) else list(found))
            with file.open("a") as out:
                out.write(line + "\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


@contextmanager
def in_time(seconds: int) -> Iterator[None]:
    """Raises a TimeoutError where the block hangs."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"nothing after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
