"""Which checkpoint a group goes on from; whatever is not taken up is said, and kept."""

import sys
from pathlib import Path
from typing import Any

from rllc.suite import records
from rllc.suite.engine import checkpoint
from rllc.suite.engine.checkpoint import Refused


def take_up(trainer: Any, saved: Path, again: bool, label: str) -> Path | None:
    """Restores a trainer from its checkpoint, or from one that holds all its runs and more.

    Args:
      trainer: at step 0.
      saved: place of the group's own checkpoint.
      again: see `training.train_group`.
      label: of the group, for people.

    Returns:
      The checkpoint that was taken up, if any.
    """
    steps = trainer.protocol["steps"]
    if saved.exists():
        if again and checkpoint.done(saved) >= steps:
            _aside(saved, label, "it is complete, and force=true trains again")
        else:
            return _restored(trainer, saved, label)
    for path, theirs in _others(saved):
        ours = {run.name for run in trainer.runs}
        if ours <= theirs and not (again and checkpoint.done(path) >= steps):
            return _restored(trainer, path, label)
        if shared := len(ours & theirs):
            _say(
                f"{label}: {shared} of its {len(ours)} runs are also in the unfinished {path}, of "
                "another group size; they start anew"
            )
    return None


def _others(saved: Path) -> list[tuple[Path, set[str]]]:
    """Other checkpoints beside it and the names of their runs."""
    found = []
    for path in sorted(saved.parent.glob("*.npz")):
        try:
            found.append((path, checkpoint.names(path)))
        except Refused:
            continue  # said when its own group asks for it
    return found


def _restored(trainer: Any, path: Path, label: str) -> Path | None:
    try:
        devices = trainer.restore(path)
    except Refused as error:
        _aside(path, label, str(error))
        return None
    where = "" if devices == trainer.devices else f"; it was on {devices}, now {trainer.devices}"
    _say(f"{label}: goes on at step {trainer.done} of {trainer.protocol['steps']}{where}")
    return path


def _aside(path: Path, label: str, why: str) -> None:
    try:
        place = f"kept as {checkpoint.set_aside(path)}"
    except OSError as error:
        place = f"{path} stays: {error.strerror}"
    _say(f"{label}: starts anew, its checkpoint is not used: {why} ({place})")


def clear(saved: Path, used: Path | None, folder: Path) -> None:
    """Removes the checkpoints of a recorded group: its own, and one whose runs all have records."""
    saved.unlink(missing_ok=True)
    if used is None or used == saved:
        return
    try:
        names = checkpoint.names(used)
    except Refused:
        return
    if names <= records.finished(folder):
        used.unlink(missing_ok=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
