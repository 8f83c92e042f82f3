"""Folders that are written to: probed before training, files whole or absent, leftovers removed."""

import contextlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rllc.suite.errors import RecordsError

PROBE_BYTES = 1 << 16  # an empty file fits on a full disk
LEFTOVER_SECONDS = 600.0  # a file that is being written was changed more recently


def folder(text: str | Path) -> Path:
    """A folder as a person writes it: ``~`` is their home (a shell does not see every one)."""
    return Path(text).expanduser()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, synced and renamed to it at the end of the block.

    If the block fails nothing is left. Names are unique among all machines and containers.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:12]}")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
        _sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Makes a renaming in a folder survive a loss of power, where the system can."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
    try:
        with contextlib.suppress(OSError):  # some network disks sync none
            os.fsync(opened)
    finally:
        os.close(opened)


def check_writable(place: Path, what: str = "records folder") -> None:
    """Fails before training when `place` could not take a file; removes leftovers of kills.

    Raises:
      RecordsError: it cannot be created or written, or is full.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        with whole(place / "probe") as probe:
            probe.write_bytes(bytes(PROBE_BYTES))
        (place / "probe").unlink(missing_ok=True)
    except OSError as error:
        raise RecordsError(f"{what} {place} is not writable: {error.strerror}") from None
    clear(place)


def clear(place: Path, now: float | None = None) -> None:
    """Removes what writers that were killed left in `place` and the folders in it.

    Args:
      place: a folder.
      now: seconds since the epoch; None is the clock's.
    """
    now = time.time() if now is None else now
    for path in [*place.glob(".*.*"), *place.glob("*/.*.*")]:
        owner = re.search(r"\.(\d+)(\.[0-9a-f]{12})?$", path.name)
        try:
            old = now - path.stat().st_mtime > LEFTOVER_SECONDS
            if old and owner and not _alive(int(owner[1])):
                path.unlink()
        except OSError:
            continue  # gone, or not ours


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
