"""One training in several processes under `jax.distributed`: agreeing, gathering, parting.

All processes run the same program on the same data, each on devices of its own. Process 0 leads: it
alone reads and writes files, and talks. Whatever processes could decide differently, by their
clocks, files and signals, they settle here; "all call it" marks the functions in which they meet.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np

from rllc.suite.errors import PlanError, RecordsError

T = TypeVar("T")
BLOCK = 1024  # bytes; messages are padded, so that few lengths are compiled
REFUSALS = {error.__name__: error for error in (PlanError, RecordsError)}


class Lost(PlanError):
    """Another process of this training ended without a word to the others."""


class _Meeting:
    """What this process remembers of the last meeting.

    Attributes:
      agreed: whether all of them end now, in the same way.
    """

    agreed = False


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
        refuse(f"process {', '.join(others)} has other {what} than process 0")


def refuse(text: str) -> NoReturn:
    """Ends what is going on in all processes, which all call it, with the same line.

    Raises:
      PlanError: always.
    """
    _Meeting.agreed = True
    raise PlanError(text)


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
    """Runs a script that may join others (see `joining`).

    A failure that the others do not know of ends the process at once, which they notice: JAX's own
    leave-taking would wait for them, and they for it.
    """
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
