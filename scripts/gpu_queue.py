"""Trains, in order of worth, what only an accelerator trains in time (`accelerator_queue.QUEUE`).

  python scripts/gpu_queue.py --list                  what there is, and how much of it is left
  python scripts/gpu_queue.py --budget 25min --processes 4       no question: the time is bounded
  python scripts/gpu_queue.py --rehearse              4 steps of each entry's first job, on a CPU

Needs neither Hydra nor a network: jax, flax, optax, pandas, pyarrow, pyyaml, filelock and tqdm.
Data are read from the cache, which may travel beside the checkout: --data-folder FOLDER.

A job is what one optimizer trains of an entry on a task, in a process of its own. Several processes
on one GPU take turns, unless CUDA's multi-process service runs (`nvidia-cuda-mps-control -d`): with
it, --processes 4 lets small programs overlap; without it, 2 hides one's compilation behind the
other's steps. At the end of the budget jobs are stopped and leave checkpoints beside the records.
The same command goes on from there; runs that --out or the committed records have are not trained
again. Where a machine starts bare, --archive FILE holds records and checkpoints in one file: it is
unpacked at the start and written at the end. `scripts/move_records.py` packs the records into
results.
"""

import argparse
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
from rllc.suite.engine import devices  # noqa: E402

devices.configure()

from rllc.replication.accelerator_queue import Entry, entries, planned  # noqa: E402
from rllc.suite import records  # noqa: E402
from rllc.suite.execute import execution  # noqa: E402
from rllc.suite.execute.budget import clock, parse_budget  # noqa: E402
from rllc.suite.execute.estimates import Announcer  # noqa: E402
from rllc.suite.execute.execution import Options  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.markdown import text_table  # noqa: E402
from rllc.suite.plan.plan import PlanError, Run, group_runs  # noqa: E402

COMMITTED = ROOT / "results" / "records"
SECONDS_TO_SAVE = 30.0  # for a job to write its checkpoint after it was told to stop


class Job(NamedTuple):
    """What one process does.

    Attributes:
      entry: of the queue.
      task, optimizer: names of configs, "" for a script.
      runs: all that it is to train.
      left: those of them without a record.
      script: words of a script that does it instead.
    """

    entry: str
    task: str
    optimizer: str
    runs: list[Run]
    left: list[Run]
    script: tuple[str, ...] = ()


def missing(
    entry: Entry, task: str, optimizer: str, given: argparse.Namespace
) -> tuple[list[Run], list[Run]]:
    """All runs of a job, and those of them without a record."""
    folders = (COMMITTED, given.out)
    runs = {
        run.name: run
        for sweep in entry.sweeps
        if sweep.task == task and optimizer in sweep.optimizers
        for run in planned(sweep, optimizer, folders, given.rehearse)
    }
    if given.rehearse:
        runs = dict(list(runs.items())[:1])
    known = set().union(*map(records.finished, folders))
    return list(runs.values()), [run for name, run in runs.items() if name not in known]


def jobs(given: argparse.Namespace) -> list[Job]:
    """Every job of the wanted entries, in order of worth; in a rehearsal the first of each."""
    found = []
    for entry in entries(given.only):
        cells = dict.fromkeys((s.task, o) for s in entry.sweeps for o in s.optimizers)
        for task, optimizer in list(cells)[: 1 if given.rehearse else None]:
            runs, left = missing(entry, task, optimizer, given)
            found.append(Job(entry.name, task, optimizer, runs, left))
        if entry.script:
            found.append(Job(entry.name, "", "", [], [], entry.script))
    return found


def train(given: argparse.Namespace) -> None:
    """One job, in this process; Ctrl-C saves a checkpoint."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
    (entry,), (task, optimizer) = entries(given.only), given.job
    _, left = missing(entry, task, optimizer, given)
    data = given.data_folder and str(given.data_folder)
    options = Options(given.out, group_size=given.group_size, data_folder=data, progress=False)
    for outcome in execution.execute(execution.prepare(left, options), options):
        if outcome.error:
            sys.exit(f"failed: {execution.in_words(outcome.error)}")


def command(job: Job, given: argparse.Namespace) -> list[str]:
    """The words that do a job in a process of its own."""
    if job.script:
        output = ["--output", str(given.out.parent / "benchmarks")]
        quick = ["--quick", "--tasks", "mnist_mlp"] if given.rehearse else []
        return [sys.executable, str(ROOT / job.script[0]), *job.script[1:], *output, *quick]
    words = [sys.executable, __file__, "--only", job.entry, "--out", str(given.out)]
    words += ["--rehearse"] if given.rehearse else []
    words += ["--group-size", str(given.group_size)] if given.group_size else []
    words += ["--data-folder", str(given.data_folder)] if given.data_folder else []
    return [*words, "--job", job.task, job.optimizer]


def agreed(todo: list[Job], given: argparse.Namespace) -> bool:
    """Says how long the jobs take where no budget bounds it; whether the user wants that."""
    groups = [group for job in todo for group in group_runs(job.left, given.group_size)]
    if given.rehearse or parse_budget(given.budget) < float("inf"):
        return True
    return Announcer(groups, Options(given.out, yes=given.yes), here=False).before()


def work(todo: list[Job], given: argparse.Namespace, until: float) -> list[str]:
    """Does the jobs, at most ``--processes`` at once, up to a time; what failed, in words.

    Args:
      todo: in order.
      given: the command line.
      until: on the monotonic clock.
    """
    running: dict[subprocess.Popen, Job] = {}
    failed, waiting = [], list(todo)
    while running or (waiting and time.monotonic() < until):
        while waiting and len(running) < given.processes and time.monotonic() < until:
            job = waiting.pop(0)
            print(f"{job.entry}: {job.task} {job.optimizer}".rstrip(), flush=True)
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            running[subprocess.Popen(command(job, given), env=environment)] = job
        if time.monotonic() >= until:
            failed += stop(running)
        for process in [p for p in running if p.poll() is not None]:
            job = running.pop(process)
            if process.returncode:
                failed.append(f"{job.entry}: {job.task} {job.optimizer}".rstrip())
        time.sleep(0.1)
    return failed


def stop(running: dict[subprocess.Popen, Job]) -> list[str]:
    """Lets jobs write their checkpoints and end; names those that had to be killed."""
    for process in running:
        process.send_signal(signal.SIGINT)
    killed, deadline = [], time.monotonic() + SECONDS_TO_SAVE
    for process, job in running.items():
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed.append(f"{job.entry}: {job.task} {job.optimizer}: no checkpoint in time")
    running.clear()
    return killed


def archived(path: Path | None, folder: Path, write: bool) -> None:
    """Unpacks an archive into a folder that has nothing yet, or writes the folder to it."""
    if path is None:
        return
    if write and folder.exists():
        with tarfile.open(path, "w") as archive:
            archive.add(folder, ".")
    elif not write and path.exists() and not folder.exists():
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")


def listing(found: list[Job]) -> str:
    """Jobs with their numbers of runs, as text."""
    whys = {entry.name: entry.why for entry in entries([])}
    rows = []
    for name in dict.fromkeys(job.entry for job in found):
        mine = [job for job in found if job.entry == name]
        rows.append((name, *_counts(mine), whys[name]))
    rows.append(("together", *_counts(found), ""))
    return text_table(("entry", "jobs", "runs", "left", "what it decides"), rows)


def _counts(found: list[Job]) -> tuple[str, str, str]:
    runs, left = (sum(len(getattr(job, name)) for job in found) for name in ("runs", "left"))
    return str(len(found)), str(runs), str(left)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the queue and end")
    parser.add_argument("--rehearse", action="store_true", help="a few steps of made-up data")
    parser.add_argument("--only", nargs="+", default=[], metavar="ENTRY")
    parser.add_argument("--out", type=records.folder, default=Path("local/queue/records"))
    parser.add_argument("--budget", default="all", help="15min, 90s, 2h or all")
    parser.add_argument("--processes", type=int, default=1, help="jobs at once")
    parser.add_argument("--group-size", type=int, help="most runs in one program")
    parser.add_argument("--archive", type=records.folder, help="one file for all that is saved")
    parser.add_argument("--job", nargs=2, metavar=("TASK", "OPTIMIZER"), help=argparse.SUPPRESS)
    parser.add_data_folder()
    parser.add_yes()
    given = parser.parse_args()
    if given.list:
        idle = ("budget", "processes", "group-size", "data-folder", "yes")
        parser.refuse(given, idle, "with --list, which trains nothing")
    if given.rehearse:
        parser.refuse(given, ("data-folder", "yes"), "with --rehearse, which is short and made up")
    if given.budget != "all":
        parser.refuse(given, ("yes",), "with --budget, within which nothing is asked")
    return given


def main() -> None:
    """Lists, trains one job, or goes through the queue."""
    given, started = parse(), time.monotonic()
    try:
        if given.job:
            train(given)
            return
        until = started + parse_budget(given.budget)
        archived(given.archive, given.out.parent, write=False)
        found = jobs(given)
        if given.list:
            print(listing(found))
            return
        todo = [job for job in found if job.left or job.script]
        if not agreed(todo, given):
            raise KeyboardInterrupt
        failed = work(todo, given, until)
        archived(given.archive, given.out.parent, write=True)
        print(listing(jobs(given)))
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last checkpoint")
    except (PlanError, records.RecordsError) as error:
        sys.exit(f"error: {error}")
    said = f"failed: {'; '.join(failed)}" if failed else "nothing failed"
    print(f"{clock(time.monotonic() - started)}, {said}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
