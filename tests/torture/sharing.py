"""Many processes with the same command and one folder; some of them killed."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.torture import children, evidence
from tests.torture.children import Child
from tests.torture.trials import Trial, generator

GROUPS = 6


def _alone(place: Path) -> tuple[dict, int]:
    """What one process leaves, and the steps it trains."""
    folder = place / "alone"
    folder.mkdir()
    wanted = children.runs(GROUPS)
    child = Child(children.counted(children.sweep(folder, wanted), place / "steps"), place / "log")
    if child.wait():
        raise RuntimeError(f"undisturbed: {child.said()}")
    return evidence.of(folder / "records"), _trained(place / "steps")


def _trained(file: Path) -> int:
    return sum(map(int, file.read_text().split()))


def run(seed: int, scale: float, place: Path) -> Iterator[Trial]:
    """One folder undisturbed and one where half of the processes are killed."""
    expected, steps = _alone(place)
    count = max(2, round(20 * scale))
    for killed in (0, count // 2):
        folder = place / f"shared-{killed}"
        folder.mkdir()
        fault = f"{count} sweeps at once on one folder" + (f", {killed} killed" if killed else "")
        yield from _shared(fault, folder, count, killed, expected, steps, seed)


def _shared(
    fault: str, folder: Path, count: int, killed: int, expected: dict, steps: int, seed: int
) -> Iterator[Trial]:
    work = children.counted(children.sweep(folder, children.runs(GROUPS)), folder / "steps")
    every = [Child(work, folder.with_suffix(f".{i}")) for i in range(count)]
    rng = generator("sharing", seed)
    for child in every[:killed]:
        time.sleep(rng.uniform(0, 0.5))
        child.tell(signal.SIGKILL)
    ends = [child.wait() for child in every]
    for child, end in zip(every, ends, strict=True):
        wrong = end not in ((0, -9) if child in every[:killed] else (0,))
        lost = f"exit status {end}: {child.said()[-1000:]}" if wrong else ""
        yield Trial(fault, "killed" if end == -9 else "ended well", lost)
    done = _trained(folder / "steps")
    said = f"{done} of {steps} steps trained in all" if not killed else "all records there"
    lost = evidence.leftovers(folder) or evidence.difference(folder / "records", expected)
    if done != steps and not killed:
        lost = lost or f"{done} steps trained instead of {steps}"
    yield Trial(f"{fault}: the records", f"as of one process, {said}", lost)
