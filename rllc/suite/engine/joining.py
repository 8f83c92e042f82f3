"""How processes that are to train together find each other (see `processes`)."""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from rllc.suite.engine import processes, stopping
from rllc.suite.errors import PlanError, first_words

SECONDS_TO_MEET = 300  # nodes of a cluster start one after another
ADDRESS = "JAX_COORDINATOR_ADDRESS"


class Joining(NamedTuple):
    """Which processes train together.

    Attributes:
      processes: how many; None: as Slurm, Open MPI or Kubernetes say (see
        `jax.distributed.initialize`), like what else is None then.
      process: number of this one, from 0.
      coordinator: HOST:PORT that process 0 opens and all can reach.
    """

    processes: int | None = 1
    process: int | None = None
    coordinator: str | None = None


ALONE = Joining()


def parse(given: Mapping[str, Any]) -> Joining:
    """The `Joining` of a config's ``devices``, a mapping of its fields.

    Raises:
      PlanError: a value means nothing, or one that it needs is missing; one line.
    """
    detected = given.get("processes") == "auto"
    asked = Joining(**{**given, "processes": None} if detected else given)
    if not detected and not _is_count(asked.processes, 1):
        raise PlanError(f"devices.processes={asked.processes!r} must be auto or at least 1")
    if asked.process is not None and not _is_count(asked.process, 0):
        raise PlanError(f"devices.process={asked.process!r} must be null or a number from 0")
    host, _, port = str(asked.coordinator).rpartition(":")
    if asked.coordinator is not None and not (host and port.isdecimal()):
        raise PlanError(f"devices.coordinator={asked.coordinator!r} must be null or HOST:PORT")
    if not detected:
        _check_whole(asked)
    return asked


def _is_count(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _check_whole(asked: Joining) -> None:
    count, process = asked.processes or 1, asked.process
    if count == 1 and asked != ALONE:
        raise PlanError("devices.process and devices.coordinator need devices.processes")
    if count > 1 and (process is None or not (asked.coordinator or os.environ.get(ADDRESS))):
        raise PlanError(
            f"devices.processes={count} needs devices.process and devices.coordinator (HOST:PORT "
            "of process 0); auto takes all from Slurm, Open MPI or Kubernetes"
        )
    if process is not None and process >= count > 1:
        raise PlanError(f"devices.process={process} must be less than devices.processes={count}")


def join(asked: Joining) -> None:
    """Waits for the other processes; from then on `jax.devices` are those of all of them.

    To be called before JAX starts. The standard output of all but process 0 is silenced.

    Raises:
      PlanError: they do not meet, or have not as many devices each.
    """
    if asked == ALONE or jax.distributed.is_initialized():
        return
    if asked.processes:
        place = asked.coordinator or os.environ[ADDRESS]
        print(f"process {asked.process} of {asked.processes} joins at {place}", file=sys.stderr)
    try:
        with _killable(), _limited(SECONDS_TO_MEET):
            jax.distributed.initialize(
                asked.coordinator, asked.processes, asked.process,
                cluster_detection_method="deactivate" if asked.processes else None,
                initialization_timeout=2 * SECONDS_TO_MEET,
            )  # fmt: skip
    except Exception as error:  # jaxlib's, and of the environments it asks
        how = "" if asked.processes else ", which srun, mpirun or Kubernetes has to start"
        raise PlanError(f"no meeting of the processes{how}: {first_words(error)}") from None
    _check_devices()
    if not processes.leads():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # until the process ends


@contextmanager
def _killable() -> Iterator[None]:
    """Signals in the block kill: nothing is lost yet, and a waiting jaxlib hears none."""
    ours = [n for n in stopping.SIGNALS if signal.getsignal(n) is stopping.stop]
    for number in ours:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, stopping.stop)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Ends the process with a line if the block takes longer; jaxlib would end it with a trace."""

    def end() -> None:
        print(f"error: the other processes did not join within {seconds} s", file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _check_devices() -> None:
    counts = Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        each = ", ".join(f"process {p} has {n}" for p, n in sorted(counts.items()))
        processes.refuse(f"every process must have as many devices as the others: {each}")
