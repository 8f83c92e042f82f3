"""One training in several processes under `jax.distributed`: joining, agreeing, parting.

All processes run the same program on the same data, each on devices of its own. Process 0 leads: it
alone reads and writes files, and talks. Whatever processes could decide differently, by their
clocks, files and signals, they settle here; "all call it" marks the functions in which they meet.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from rllc.suite.engine import stopping
from rllc.suite.errors import PlanError, RecordsError, first_words

T = TypeVar("T")
SECONDS_TO_MEET = 300  # nodes of a cluster start one after another
BLOCK = 1024  # bytes; messages are padded, so that few lengths are compiled
ADDRESS = "JAX_COORDINATOR_ADDRESS"
REFUSALS = {error.__name__: error for error in (PlanError, RecordsError)}


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


class Lost(PlanError):
    """Another process of this training ended without a word to the others."""


class _Meeting:
    """What this process remembers of the last meeting.

    Attributes:
      agreed: whether all of them end now, in the same way.
    """

    agreed = False


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
    if not leads():
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
        _Meeting.agreed = True
        raise PlanError(f"every process must have as many devices as the others: {each}")


def several() -> bool:
    """Whether other processes train with this one; JAX is not started for that."""
    return jax.distributed.is_initialized() and int(jax.process_count()) > 1


def leads() -> bool:
    """Whether this is process 0, or alone."""
    return not several() or int(jax.process_index()) == 0


def gathered(value: T) -> list[T]:
    """What each process gives, JSON, in the order of their numbers; all call it.

    Raises:
      Lost: one of them has ended.
    """
    if not several():
        return [value]
    _Meeting.agreed = False
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    try:
        lengths = _gathered(np.array([len(data)], np.int32))[:, 0]
        padded = np.zeros(-(-lengths.max() // BLOCK) * BLOCK, np.uint8)
        padded[: len(data)] = data
        rows = _gathered(padded)
    except Exception as error:
        raise reason(error) from None
    return [json.loads(row[:n].tobytes()) for row, n in zip(rows, lengths, strict=True)]


def _gathered(array: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    rows: np.ndarray = multihost_utils.process_allgather(array)
    return rows


def of_first(value: T) -> T:
    """What process 0 gives, JSON; all call it."""
    return gathered(value if leads() else None)[0]  # type: ignore[return-value]


def united(numbers: Sequence[int]) -> list[int]:
    """Signals that any process got, on which all then end; all call it."""
    if not several():
        return list(numbers)
    found = [number for theirs in gathered([int(n) for n in numbers]) for number in theirs]
    _Meeting.agreed = bool(found)
    return found


def by_first(function: Callable[[], T]) -> T:
    """Process 0 calls the function; all get its result, JSON, or its refusal; all call this.

    Raises:
      PlanError, RecordsError: as the function.
    """
    if not several():
        return function()
    result, refusal = _called(function) if leads() else (None, None)
    result, said = gathered((result, _in_json(refusal)))[0]
    _raise(said, refusal)
    return result  # type: ignore[return-value]


def everywhere(function: Callable[[], T]) -> T:
    """Every process calls the function; where one is refused all are; all call this.

    Raises:
      PlanError, RecordsError: as the function.
    """
    if not several():
        return function()
    result, refusal = _called(function)
    for number, said in enumerate(gathered(_in_json(refusal))):
        if said:
            name, text = said
            _raise([name, f"process {number}: {text}"] if number else said, refusal)
    return result  # type: ignore[return-value]


def same(what: str, value: Any) -> None:
    """Refuses to go on where processes differ in a value, JSON; all call it.

    Raises:
      PlanError: they do; the message says in what.
    """
    if not several():
        return
    texts = gathered(json.dumps(value, sort_keys=True))
    others = [str(number) for number, text in enumerate(texts) if text != texts[0]]
    if others:
        _raise(["PlanError", f"process {', '.join(others)} has other {what} than process 0"])


def _called(function: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return function(), None
    except (PlanError, RecordsError) as error:
        return None, error


def _in_json(error: Exception | None) -> list[str] | None:
    if error is None:
        return None
    kind = RecordsError if isinstance(error, RecordsError) else PlanError
    return [kind.__name__, str(error)]


def _raise(said: Sequence[str] | None, own: Exception | None = None) -> None:
    """Raises a refusal that all processes know of."""
    if said:
        _Meeting.agreed = True
        raise own or REFUSALS[said[0]](said[1])


def whole(array: Any) -> np.ndarray:
    """An array as a NumPy array, also where parts of it lie in other processes; all call it."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        from jax.experimental import multihost_utils

        array = multihost_utils.process_allgather(array, tiled=True)
    return np.asarray(array)


def array_of_first(array: np.ndarray) -> np.ndarray:
    """Process 0's array, bit by bit; the others give one of its shape and type; all call it."""
    if not several():
        return array
    from jax.experimental import multihost_utils

    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)  # sums of floats lose -0.0
    got: np.ndarray = np.asarray(multihost_utils.broadcast_one_to_all(data))
    return got.view(array.dtype).reshape(array.shape)


def place(array: Any, sharding: Any) -> jax.Array:
    """Lays an array that all processes have on the devices of a sharding, its parts on each."""
    if sharding.is_fully_addressable:
        put: jax.Array = jax.device_put(array, sharding)
        return put
    held = np.asarray(array)
    held = held.astype(jax.dtypes.canonicalize_dtype(held.dtype), copy=False)
    return jax.make_array_from_callback(held.shape, sharding, lambda index: held[index])


def reason(error: Exception) -> Exception:
    """`Lost` for what JAX says where another process has ended, any other error as it is."""
    signs = ("Gloo", "coordination service", "NCCL")
    if not several() or not any(sign in str(error) for sign in signs):
        return error
    return Lost(
        "another process of this training has ended, its own lines say why; the same commands go "
        "on from the last checkpoint"
    )


def astray() -> bool:
    """Whether an end of this process now would take the others by surprise."""
    return several() and not _Meeting.agreed


def run(main: Callable[[], None]) -> None:
    """Runs a script that may `join`. A failure that the others do not know of ends the process at
    once, which they notice: JAX's own leave-taking would wait for them, and they for it."""
    try:
        main()
    except BaseException as error:
        if not astray():
            raise
        status = error.code if isinstance(error, SystemExit) else traceback.format_exc()
        if status is not None and not isinstance(status, int):
            print(status.rstrip(), file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))
