"""Signals to real processes that train or pack: afterwards the same command ends as if undisturbed.

Kinds: SIGKILL, SIGTERM and SIGINT, at a random time, before a change of a file (opening, renaming,
removing, making a folder: checkpoints, records, claims) and before a step.
"""

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.torture import children, evidence
from tests.torture.children import Child, Work
from tests.torture.trials import Trial, generator, side_by_side, take_turns

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TIMES = ("a random time", "a change of a file", "a step")
# How a stop ends: with its own status; by the signal if it came before there was anything to save;
# undisturbed if it came at the very end.
STATUSES = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15, 0), signal.SIGINT: (130, -2, 0)}
WORDS = ("task=mnist_mlp", "protocol=rehearsal", "optimizer=sgd", "protocol.steps=6", "seed=0,1")


class Target(NamedTuple):
    """What is killed.

    Attributes:
      name: for people.
      result: folder of what it makes.
      evidence: of that folder undisturbed.
      moments: of it undisturbed (see `children.struck`).
      seconds: it takes.
    """

    name: str
    result: str
    evidence: dict
    moments: list[str]
    seconds: float

    def work(self, folder: Path) -> Work:
        """The work in a folder."""
        if self.name == "sweep":
            return children.sweep(folder, children.runs(2))
        if self.name == "train.py -m":
            return children.command(folder, "-m", *WORDS)
        return children.packing(folder)


def undisturbed(name: str, place: Path) -> Target:
    """Runs a work to its end, twice: the second time its programs are compiled."""
    blank = Target(name, "packs" if name == "packing" else "records", {}, [], 0.0)
    folder = place / name.partition(".")[0]
    for _ in range(2):
        _fresh(blank, folder)
        started = time.monotonic()
        child = Child(children.struck(blank.work(folder), folder), place / "log")
        if status := child.wait():
            raise RuntimeError(f"undisturbed {name} ends with {status}: {child.said()}")
        seconds = time.monotonic() - started
    found = evidence.of(folder / blank.result)
    return blank._replace(evidence=found, moments=children.moments(folder), seconds=seconds)


def _fresh(target: Target, folder: Path) -> None:
    """An empty folder; packing needs records, those of the undisturbed sweep."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if target.name == "packing":
        shutil.copytree(folder.parent / "sweep" / "records", folder / "records")


def plans(scale: float) -> Iterator[tuple[str, signal.Signals, str]]:
    """(target, signal, time) of every kill."""
    kinds = [("sweep", number, when) for number in SIGNALS for when in TIMES]
    yield from take_turns(kinds, round(189 * scale))
    kinds = [("train.py -m", number, TIMES[0]) for number in SIGNALS]
    yield from take_turns(kinds, round(12 * scale))
    kinds = [("packing", number, TIMES[1]) for number in SIGNALS]
    yield from take_turns(kinds, round(30 * scale))


def trial(target: Target, number: signal.Signals, when: str, rng: Any, folder: Path) -> Trial:
    """One kill, the same command again, and the comparison."""
    fault = f"{number.name} to a {target.name} at {when}"
    status, said = _killed(target, folder, number, when, rng)
    if status not in STATUSES[number]:
        return Trial(fault, "", f"exit status {status}: {said[-2000:]}")
    if "Traceback" in said:
        return Trial(fault, "", f"a traceback: {said[-2000:]}")
    return Trial(fault, "same bytes after the same command", _again(target, folder))


def _killed(
    target: Target, folder: Path, number: signal.Signals, when: str, rng: Any
) -> tuple[int, str]:
    """Exit status and output of a work that got a signal; it had not ended by then."""
    work, log = target.work(folder), folder.with_suffix(".log")
    if when != TIMES[0]:
        wanted = (children.STEP,) if when == TIMES[2] else children.FILES
        at = [i for i, event in enumerate(target.moments) if event in wanted]
        child = Child(children.struck(work, folder, number, int(rng.choice(at))), log)
        return child.wait(), child.said()
    until = target.seconds
    while True:
        _fresh(target, folder)
        child = Child(work, log)
        time.sleep(rng.uniform(0, until))
        child.tell(number)
        if status := child.wait():
            return status, child.said()
        until *= 0.8  # it had ended: the machine is quicker now


def _again(target: Target, folder: Path) -> str:
    """What is wrong after the same command; "" if nothing is."""
    child = Child(target.work(folder), folder.with_suffix(".log"))
    if status := child.wait():
        return f"the same command again ends with {status}: {child.said()[-2000:]}"
    if "Traceback" in child.said():
        return f"the same command again has a traceback: {child.said()[-2000:]}"
    if found := evidence.leftovers(folder):
        return f"left over: {found}"
    if found := evidence.difference(folder / target.result, target.evidence):
        return found
    if target.name == "packing" and any(p.is_file() for p in (folder / "records").rglob("*")):
        return "packed records stay behind"
    return ""


def run(seed: int, scale: float, place: Path) -> Iterator[Trial]:
    """All kills, by two processes of this machine."""
    targets = {name: undisturbed(name, place) for name in ("sweep", "train.py -m", "packing")}
    every = list(enumerate(plans(scale)))
    return side_by_side(
        lambda numbered: _numbered(targets, seed, place, *numbered), every, place / "kills.jsonl"
    )


def _numbered(targets: dict[str, Target], seed: int, place: Path, i: int, plan: Any) -> Trial:
    name, number, when = plan
    folder = place / f"kill-{i}"
    _fresh(targets[name], folder)
    found = trial(targets[name], number, when, generator("kills", seed, i), folder)
    shutil.rmtree(folder)
    return found
