"""One owner per group among all processes that share a folder.

A claim is a lock of the operating system on a file, so it ends with its owner, however that ends.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

SECONDS_BETWEEN_LOOKS = 1.0


@contextmanager
def claim(folder: Path, name: str, wait: bool, label: str = "") -> Iterator[str]:
    """Claims a group for the block.

    Args:
      folder: of the claims, shared by all processes.
      name: of the group.
      wait: until another owner has ended, which is said.
      label: of the group, for people.

    Yields:
      ``first``; ``after`` another owner; or ``no`` if there is one and `wait` is false.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    got = "first"
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            got = "after" if wait else "no"
        except NotImplementedError:  # a file system without locks
            print(f"{folder} has no locks: start one process only on it", file=sys.stderr)
        if got == "after":
            print(f"{label or name}: another process trains it; waiting", file=sys.stderr)
            lock.acquire(poll_interval=SECONDS_BETWEEN_LOOKS)
        yield got
    finally:
        lock.release(force=True)
