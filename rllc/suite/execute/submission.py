"""Groups in processes of their own: handed to submitit, waited for, and what became of them."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rllc.suite.engine import checkpoint, stopping
from rllc.suite.errors import PlanError
from rllc.suite.execute import execution
from rllc.suite.execute.execution import GroupLost, Options, Outcome
from rllc.suite.execute.worker import Work
from rllc.suite.plan.plan import Run, shard_name

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_STOP = 120.0  # a call of a program and a checkpoint take a few seconds
NO_LIMIT = 10 * 365 * 24 * 60  # minutes; without one, submitit's local executor gives a group two
TIMEOUTS = "slurm_max_num_timeout"  # the one parameter that submitit takes beside the others
TOO_OFTEN = "timed-out too many times"  # what submitit says once that is reached
DASHES = "-" * 22  # stand around a traceback in submitit's message


def submit(
    groups: Sequence[list[Run]],
    options: Options,
    cluster: str,
    parameters: dict[str, Any],
    at_once: int | None = None,
) -> list[Outcome]:
    """Hands each group to submitit and waits for all.

    Args:
      groups: groups of runs.
      options: the records folder must be one that the workers see.
      cluster: ``local`` or ``slurm``.
      parameters: of ``submitit.AutoExecutor``, ``folder`` included.
      at_once: most groups handed over and not yet done; None for all.

    Raises:
      PlanError: there is no such cluster here, or it does not know a parameter.
    """
    folder = Path(parameters.get("folder", "local/submitit"))
    executor, ours = _executor(folder, cluster, parameters)
    quiet = options._replace(
        progress=False, folder=options.folder.absolute(), partial=options.checkpoints.absolute()
    )
    work = Work(ours, os.environ.get("CUDA_VISIBLE_DEVICES"))
    few = f", {at_once} at a time" if at_once and at_once < len(groups) else ""
    print(f"{len(groups)} groups handed to submitit ({cluster}{few}); logs in {folder}")
    jobs: list[Any] = []
    with tqdm(total=len(groups), unit=" groups", disable=not options.progress) as bar:
        try:
            for group in groups:
                _wait(jobs, (at_once or len(groups)) - 1, bar)
                with stopping.deferred(), _no_ctrl_c():
                    jobs.append(_handed(executor, work, group, quiet))
            _wait(jobs, 0, bar)
        except KeyboardInterrupt:
            with stopping.deferred():
                _stop(jobs, cluster)
            raise
    return [_collect(job, group, quiet) for job, group in zip(jobs, groups, strict=True)]


def _executor(folder: Path, cluster: str, parameters: dict[str, Any]) -> tuple[Any, bool]:
    """submitit's executor, and whether it shall use the GPUs of this process (see `Work`)."""
    import submitit

    given = {k: v for k, v in parameters.items() if k != "folder" and v is not None}
    apart = {TIMEOUTS: given.pop(TIMEOUTS)} if TIMEOUTS in given else {}
    if cluster == "local":
        given.setdefault("timeout_min", NO_LIMIT)
    else:
        from rllc.suite.execute import slurm

        submitit.SlurmJob.watcher = slurm.Queue()
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **apart)
        executor.update_parameters(**given)
    except (RuntimeError, NameError, ValueError, AssertionError) as error:
        raise PlanError(f"hydra/launcher: submitit ({cluster}): {error}") from error
    return executor, cluster == "local" and "gpus_per_node" not in given


class _NotTaken:
    """In the place of a job that the cluster did not take."""

    def __init__(self, error: Exception):
        self.error = error

    def done(self) -> bool:
        """There is nothing to wait for."""
        return True

    def result(self) -> Any:
        """Raises what the cluster said."""
        raise self.error


def _handed(executor: Any, work: Work, group: list[Run], options: Options) -> Any:
    """The job of a group; one that is not taken, as where a user may have so many, is the group's
    failure and no other's."""
    try:
        return executor.submit(work, group, options)
    except Exception as error:  # submitit has several for this
        return _NotTaken(error)


def _wait(jobs: Sequence[Any], most: int, bar: Any) -> None:
    """Until at most so many jobs are not done; the bar shows how many are."""
    while True:
        done = sum(job.done() for job in jobs)
        bar.update(done - bar.n)
        if len(jobs) - done <= most:
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Processes started in the block never see a terminal's Ctrl-C; ours comes after it.

    submitit's local controller kills a group a second after one, before it has a checkpoint; we
    tell the groups ourselves.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(jobs: Sequence[Any], cluster: str) -> None:
    """Tells the groups that are not done to save a checkpoint and end; waits for local ones."""
    running = [job for job in jobs if not job.done()]
    print(f"\nstopping {len(running)} groups …", file=sys.stderr, flush=True)
    if cluster != "local":
        for job in running:
            job.cancel(check=False)
        return
    until = time.monotonic() + SECONDS_TO_STOP
    while running and time.monotonic() < until:
        for job in running:  # again and again: submitit ignores it until training has begun
            _tell(job, signal.SIGTERM)
        time.sleep(1.0)
        running = [job for job in running if _lives(job)]
    for job in running:
        print(f"group of job {job.job_id} does not end", file=sys.stderr)


def _lives(job: Any) -> bool:
    return job._process is not None and job._process.poll() is None


def _tell(job: Any, number: int) -> None:
    if _lives(job):
        job._process.send_signal(number)


def _collect(job: Any, group: list[Run], options: Options) -> Outcome:
    """The outcome of a job, or what is known of one that left none."""
    try:
        outcome: Outcome = job.result()
        return outcome
    except Exception as error:
        saved = options.checkpoints / f"{shard_name(group)}.npz"
        on = (
            f"; the same command goes on at step {checkpoint.done(saved)}" if saved.exists() else ""
        )
        return Outcome(
            group, error=GroupLost(f"{execution.label_of(group)}: {_why(job, error)}{on}")
        )


def _why(job: Any, error: Exception) -> str:
    """Why a job has no outcome, and where its log is: one line of submitit's many."""
    text = str(error).strip()
    if isinstance(job, _NotTaken):
        return f"the cluster did not take it: {text.splitlines()[-1]}"
    parts = text.split(DASHES)
    if TOO_OFTEN in text:
        why = f"reached its time limit too often ({TIMEOUTS} says how often it may)"
    elif len(parts) == 3:
        why = f"failed: {parts[1].strip().splitlines()[-1]}"
    else:
        why = f"ended without a result ({job.state})"
    log = f"its log is {job.paths.stderr}" if job.paths.stderr.exists() else "it has no log"
    return f"job {job.job_id} {why}; {log}"
