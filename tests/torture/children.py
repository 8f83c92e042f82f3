"""Processes that train as our scripts do, forked from one that has imported everything.

An interpreter needs seconds to import JAX, Hydra and pandas; a fork needs none. JAX is imported
there but not started, so every child starts its own, as a script does.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins

from rllc.suite.engine import stopping, training
from rllc.suite.execute import execution
from rllc.suite.plan.plan import Run, make_run
from scripts import move_records, train

SCRIPTS = str(Path(train.__file__).parent)
if SCRIPTS not in sys.path:  # as Python has it for a script: Hydra finds our launcher there
    sys.path.insert(0, SCRIPTS)
Plugins.instance()  # looks through all installed packages: once here, not in every child

Work = Callable[[], None]
SECONDS_AT_MOST = 300.0
GOES_ON = "the same command goes on from the last checkpoint"
FILES = ("open", "os.rename", "os.remove", "os.mkdir")
STEP = "step"
TASK = {"_target_": "tests.suite.toy.make", "name": "toy"}
PROTOCOL = {"steps": 12, "eval_every": 6, "batch_size": 4, "law_every": 3}


class Child:
    """A child process.

    Attributes:
      pid: its number.
      log: what it printed.
    """

    def __init__(self, work: Work, log: Path):
        self.log = log
        self.pid = os.fork()
        if self.pid == 0:
            _be_a_script(work, log)

    def wait(self) -> int:
        """Exit status, negative for a signal; a child that does not end is killed: 124."""
        until = time.monotonic() + SECONDS_AT_MOST
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return 124

    def tell(self, number: int) -> None:
        """Sends a signal; to a child that has ended but was not waited for it does nothing."""
        os.kill(self.pid, number)

    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text(errors="replace")


def _be_a_script(work: Work, log: Path) -> None:
    """Never returns."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        work()
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = 1 if isinstance(end.code, str) else int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def runs(groups: int, seeds: Sequence[int] = (0, 1)) -> list[Run]:
    """Runs of toy trainings that make so many groups, one for each fixed momentum."""
    config = {"_target_": "optax.sgd", "name": "SGD", "learning_rate": 0.1}
    return [
        make_run(TASK, {**config, "name": f"SGD {i}", "momentum": i / 10}, seed, PROTOCOL)
        for i in range(groups)
        for seed in seeds
    ]


def _often() -> None:
    """Calls of one step, a checkpoint after each."""
    training.SECONDS_PER_CALL = 0.0
    training.SECONDS_BETWEEN_CHECKPOINTS = 0.0


def sweep(folder: Path, wanted: list[Run]) -> Work:
    """What scripts/reproduce.py, tune.py and bench.py do once they know their runs."""

    def trained() -> None:
        options = execution.Options(folder / "records", progress=False)
        outcomes = execution.execute(execution.prepare(wanted, options), options)
        if errors := [outcome.error for outcome in outcomes if outcome.error]:
            sys.exit(f"error: {execution.in_words(errors[0])}")

    def work() -> None:
        _often()
        stopping.run(trained, GOES_ON)

    return work


def command(folder: Path, *words: str) -> Work:
    """scripts/train.py as on a command line."""

    def work() -> None:
        _often()
        os.chdir(folder)
        places = [f"records={folder / 'records'}", f"hydra.sweep.dir={folder / 'hydra'}"]
        sys.argv = ["train.py", *words, *places]
        train.cli()

    return work


def packing(folder: Path) -> Work:
    """scripts/move_records.py from the records of `folder` to its packs."""

    def work() -> None:
        source, target = str(folder / "records"), str(folder / "packs")
        sys.argv = ["move_records.py", "--source", source, "--target", target]
        stopping.run(move_records.main, "nothing is lost")

    return work


def counted(work: Work, steps: Path) -> Work:
    """`work`, every call of the trainer adding the steps of its runs to a file."""

    def counting() -> None:
        advance = training.Trainer.advance

        def noted(trainer: Any, count: int) -> None:
            advance(trainer, count)
            with steps.open("a") as file:
                file.write(f"{count * len(trainer.runs)}\n")

        training.Trainer.advance = noted  # type: ignore[method-assign]
        work()

    return counting


def struck(work: Work, folder: Path, number: int = 0, at: int = -1) -> Work:
    """`work`, which sends itself a signal before moment number `at`.

    A moment is a change of a file under `folder` (`FILES`) or a call of the trainer (`STEP`). All
    there were are written to a file beside `folder`, see `moments`, if the work ends.
    """

    def striking() -> None:
        seen: list[str] = []

        def moment(event: str) -> None:
            seen.append(event)
            if len(seen) - 1 == at:
                os.kill(os.getpid(), number)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in FILES and _changes(event, arguments, str(folder)):
                moment(event)

        advance = training.Trainer.advance

        def step(trainer: Any, count: int) -> None:
            moment(STEP)
            advance(trainer, count)

        training.Trainer.advance = step  # type: ignore[method-assign]
        sys.addaudithook(hook)
        try:
            work()
        finally:
            folder.with_suffix(".moments").write_text(" ".join(seen))

    return striking


def moments(folder: Path) -> list[str]:
    """The moments of a work that ended."""
    return folder.with_suffix(".moments").read_text().split()


def _changes(event: str, arguments: tuple[Any, ...], folder: str) -> bool:
    if not isinstance(arguments[0], str | os.PathLike) or not str(arguments[0]).startswith(folder):
        return False
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    return event != "open" or bool((arguments[2] or 0) & writing)
