"""How long a training will take, said before it begins; a question before a long one.

From the speed that records of this machine hold. Where there are none it is measured in the first
steps, so nothing is trained for an estimate alone.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from rllc.suite import records
from rllc.suite.engine import devices, processes
from rllc.suite.engine.watching import Watcher
from rllc.suite.execute.budget import clock, remaining_share
from rllc.suite.execute.execution import Options
from rllc.suite.markdown import counted
from rllc.suite.plan.plan import Run

COMMITTED = Path(__file__).parents[3] / "results" / "records"
SAID_SECONDS = 60.0  # below this the bar says enough
LONG_SECONDS = 600.0  # from here on it is asked
TIMED_SECONDS = 10.0  # records of less time tell that of compilation


class Speed(NamedTuple):
    """What a record says about time.

    Attributes:
      task, optimizer: names.
      like: what else it depends on: the batch size and the kind of data.
      runs: in the program.
      pace: seconds per run and step.
    """

    task: str
    optimizer: str
    like: tuple[Any, Any]
    runs: int
    pace: float


class Estimate(NamedTuple):
    """Seconds of the groups whose speed is known, one after another.

    Attributes:
      seconds: altogether.
      programs: how many records they come from.
      unknown: tasks of the other groups.
    """

    seconds: float
    programs: int
    unknown: list[str]


def recorded(folders: Sequence[Path], device: str) -> list[Speed]:
    """Speeds of the records made on a device, in the order of the folders."""
    headers = [shard.header for folder in folders for shard in records.shards(folder)]
    return [_speed(h) for h in headers if h["device"] == device and _is_whole(h)]


def _is_whole(header: dict[str, Any]) -> bool:
    """Whether its time is that of all steps (diverged groups end before), not of compilation."""
    timed = (header.get("wall_seconds") or {}).get("training_and_evaluation") or 0.0
    ended = any(run["status"] != "diverged" for run in header["runs"])
    return timed >= TIMED_SECONDS and ended


def _speed(header: dict[str, Any]) -> Speed:
    runs = header.get("runs_in_program", len(header["runs"]))
    work = runs * header["protocol"]["steps"]
    pace = header["wall_seconds"]["training_and_evaluation"] / work
    task, optimizer = (header[key]["name"] for key in ("task", "optimizer"))
    return Speed(task, optimizer, _like(header["protocol"]), runs, pace)


def _like(protocol: dict[str, Any]) -> tuple[Any, Any]:
    return protocol.get("batch_size"), protocol.get("data", "real")


def pace_of(group: Sequence[Run], speeds: Sequence[Speed]) -> float | None:
    """Seconds per run and step by the most alike recorded program: optimizer first, then size."""
    task, optimizer = (config["name"] for config in (group[0].task, group[0].optimizer))
    like = _like(group[0].protocol)
    alike = [speed for speed in speeds if (speed.task, speed.like) == (task, like)]
    if not alike:
        return None
    runs = len(group)
    unlike = [(s.optimizer != optimizer, abs(s.runs - runs) / max(s.runs, runs)) for s in alike]
    return alike[min(range(len(alike)), key=unlike.__getitem__)].pace


def estimate(
    groups: Sequence[list[Run]], options: Options, folders: Sequence[Path] | None = None
) -> Estimate:
    """What the groups would take here, their checkpoints considered.

    Args:
      groups: from `execution.prepare`.
      options: where they are recorded.
      folders: of records; None takes this one and the committed one.
    """
    speeds = recorded(folders or (options.folder, COMMITTED), devices.describe())
    paces = [pace_of(group, speeds) for group in groups]
    known = [(g, pace) for g, pace in zip(groups, paces, strict=True) if pace is not None]
    seconds = sum(pace * _work(group, options) for group, pace in known)
    tasks = {str(group[0].task["name"]) for group, _ in known}
    every = dict.fromkeys(str(group[0].task["name"]) for group in groups)
    programs = sum(speed.task in tasks for speed in speeds)  # of these tasks
    return Estimate(seconds, programs, [task for task in every if task not in tasks])


def _work(group: list[Run], options: Options) -> float:
    """Runs times steps that are left of a group."""
    steps: int = len(group) * group[0].protocol["steps"]
    return steps * remaining_share(group, options.checkpoints)


class Announcer(Watcher):
    """Says and asks before a long training, or after its first steps where no speed was known.

    Of several processes that train together the first says; nothing is asked.

    Attributes:
      groups: all that are to be trained, one after another.
      options: with ``yes``, which asks nothing.
      here: whether this process trains them, and can measure their first steps.
    """

    def __init__(
        self, groups: Sequence[list[Run]], options: Options,
        say: Callable[[str], None] = tqdm.write, ask: Callable[[str], str] = input,
        here: bool = True,
    ):  # fmt: skip
        self.here = here
        self.groups, self.options, self.say, self.ask = groups, options, say, ask
        self.calls, self.measuring = 0, ""

    def before(self) -> bool:
        """Says what is known before anything trains; false if the user does not want it."""
        if not self.groups:
            return True
        found = estimate(self.groups, self.options)
        self.measuring = found.unknown[0] if found.unknown else ""
        if found.programs and found.seconds >= SAID_SECONDS:
            self.say(_in_words(found))
        if found.unknown and self.here and len(self.groups) > 1:
            self.say(
                f"no speed of {', '.join(found.unknown)} is recorded on this machine: an estimate "
                "follows after the first steps"
            )
        if not found.programs and not self.here:
            names = ", ".join(found.unknown)
            self.say(f"no speed of {names} is recorded on this machine, so there is no estimate")
        return self._agreed(found.seconds)

    def started(self, trainer: Any, label: str) -> None:
        """A new group: its first call compiles and does not count."""
        self.calls = 0

    def advanced(self, trainer: Any, count: int, seconds: float) -> None:
        """Measures the second call of the first group of a task whose speed was not known."""
        self.calls += 1
        if self.calls != 2 or trainer.runs[0].task["name"] != self.measuring:
            return
        here = [group for group in self.groups if group[0].task["name"] == self.measuring]
        pace = seconds / count / len(trainer.runs)
        left = pace * sum(len(group) * group[0].protocol["steps"] for group in here)
        task, self.measuring = self.measuring, ""
        if left >= SAID_SECONDS:
            programs = counted(len(here), "program")
            self.say(
                f"{task}: about {clock(left)} for {programs}, by its first {trainer.done} steps"
            )
        if not self._agreed(left):
            raise KeyboardInterrupt

    def _agreed(self, seconds: float) -> bool:
        terminal = sys.stdin.isatty() and sys.stderr.isatty()
        if seconds < LONG_SECONDS or self.options.yes or not terminal or processes.several():
            return True
        return self.ask("go on? [Y/n] ").strip().lower() in ("", "y", "yes")


def _in_words(found: Estimate) -> str:
    base = f"by the recorded speed of {counted(found.programs, 'program')} on this machine"
    without = f", without {', '.join(found.unknown)}" if found.unknown else ""
    return f"about {clock(found.seconds)} one after another{without}, {base}"
