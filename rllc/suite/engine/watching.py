"""Who looks on while a group trains: estimates and loggers. They change no number of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Watcher:
    """Looks on; every method may be left out."""

    def started(self, trainer: Any, label: str) -> None:
        """The program is ready, at step ``trainer.done`` (not 0 where a checkpoint goes on)."""

    def advanced(self, trainer: Any, count: int, seconds: float) -> None:
        """`count` more steps are done; an evaluation may have followed the last of them."""

    def ended(self, trainer: Any, record: Path | None) -> None:
        """The record is written; None if training was stopped before."""


NOBODY = Watcher()


class Watchers(Watcher):
    """Several of them as one."""

    def __init__(self, members: Sequence[Watcher]):
        self.members = members

    def started(self, trainer: Any, label: str) -> None:
        for member in self.members:
            member.started(trainer, label)

    def advanced(self, trainer: Any, count: int, seconds: float) -> None:
        for member in self.members:
            member.advanced(trainer, count, seconds)

    def ended(self, trainer: Any, record: Path | None) -> None:
        for member in self.members:
            member.ended(trainer, record)
