"""Interleaved timing: every case gets its turn in every round, so load hits all alike."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Case = Callable[[int], float]  # does so many units of work, gives the seconds they took


class Times(NamedTuple):
    """Seconds per unit of one case, one number per round."""

    seconds: list[float]

    @property
    def median(self) -> float:
        """Seconds per unit, median over rounds."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """Seconds per unit in the best round."""
        return min(self.seconds)


def interleave(
    cases: Mapping[str, Case], rounds: int, seconds: float, most: int = 10_000
) -> dict[str, Times]:
    """Times cases A B C A B C …, after one call of each to warm it up.

    Args:
      cases: name -> function; it has to wait until its work is really done.
      rounds: number of turns of each case.
      seconds: wished length of a turn; at least one unit of work is done.
      most: units of work in a turn, at most.

    Returns:
      name -> `Times`.
    """
    counts = {name: _units(case, seconds, most) for name, case in cases.items()}
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            found[name].append(case(counts[name]) / counts[name])
    return {name: Times(values) for name, values in found.items()}


def _units(case: Case, seconds: float, most: int) -> int:
    """Units of work that take about `seconds`; the first call may compile and is not counted."""
    case(1)
    units = 1
    while True:
        took = case(units)
        if took > seconds / 4 or units >= most:
            return max(1, min(most, int(units * seconds / max(took, 1e-9))))
        units = min(most, units * 4)


def stopwatch(work: Callable[[int], object]) -> Case:
    """Makes a case of a function that does so many units of work and waits for the end."""

    def case(units: int) -> float:
        started = time.perf_counter()
        work(units)
        return time.perf_counter() - started

    return case


def in_blocks(case: Case, size: int) -> Case:
    """Makes a case that counts single units of one whose calls each do `size` of them."""

    def counted(units: int) -> float:
        blocks = -(-units // size)
        return case(blocks) * units / (blocks * size)

    return counted


class Progress:
    """Lines such as ``[3/9] throughput mnist_mlp: 12 s, about 80 s left``.

    Args:
      weights: expected seconds of each job, by its name, in order; only their ratios matter once
        the first jobs are done.
      show: print at all.
    """

    def __init__(self, weights: Mapping[str, float], show: bool = True):
        self.weights, self.show = dict(weights), show
        self.done: list[str] = []
        self.started = self.last = time.monotonic()

    def finish(self, name: str, notes: Sequence[str] = ()) -> None:
        """Notes that a job is done, and what went wrong in it."""
        self.done.append(name)
        now = time.monotonic()
        pace = (now - self.started) / sum(self.weights[job] for job in self.done)
        left = pace * sum(w for job, w in self.weights.items() if job not in self.done)
        if self.show:
            place = f"[{len(self.done)}/{len(self.weights)}]"
            print(f"{place} {name}: {now - self.last:.0f} s, about {left:.0f} s left", flush=True)
            for note in notes:
                print(f"      {note}", file=sys.stderr, flush=True)
        self.last = now
