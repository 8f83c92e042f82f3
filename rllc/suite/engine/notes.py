"""Everything noted of a group while it trains, on the host.

Axes: s seeds, r runs (hyperparameter points) sharing a seed, k values of a probe, e evaluations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rllc.suite import records
from rllc.suite.metrics import TRAIN_LOSS


class Notes:
    """Losses, probes and evaluations of one group; what is not reached yet is NaN.

    Attributes:
      losses: float32 (steps, s, r), the loss of each step's batch.
      probes: name -> float32 (1 + steps // law_every, s, r, k).
      evaluations: column of the records -> float32 (e, s, r).
    """

    def __init__(
        self,
        protocol: Mapping[str, Any],
        marks: Sequence[int],
        shape: tuple[int, int],
        columns: Sequence[str],
        probes: Mapping[str, int],
    ):
        steps, self.every = protocol["steps"], protocol["law_every"]
        self.marks, self.shape = np.array(marks), shape
        self.losses = _blank(steps, *shape)
        times = 1 + steps // self.every
        self.probes = {name: _blank(times, *shape, k) for name, k in probes.items()}
        self.evaluations = {column: _blank(len(marks), *shape) for column in columns}

    def start(self, probes: Mapping[str, Any]) -> None:
        """Notes what the probes read before the first step: name -> (s', r', k), padded."""
        for name, values in probes.items():
            self.probes[name][0] = self.unpadded(values)

    def steps(self, first: int, until: int, losses: Any, probes: Mapping[str, Any]) -> None:
        """Notes steps first+1 … until from a program's log, padded in all axes."""
        self.losses[first:until] = self.unpadded(losses, before=1)[: until - first]
        at = np.arange(-(-(first + 1) // self.every) * self.every, until + 1, self.every)
        for name, values in probes.items():
            self.probes[name][at // self.every] = self.unpadded(values, before=1)[at - 1 - first]

    def evaluation(self, e: int, values: Mapping[str, np.ndarray]) -> None:
        """Notes evaluation number e: column -> (s, r); the training loss since the last one too."""
        if e:
            window = self.losses[self.marks[e - 1] : self.marks[e]]
            self.evaluations[TRAIN_LOSS][e] = window.mean(axis=0, dtype=np.float64)
        for column, value in values.items():
            self.evaluations[column][e] = value

    def unpadded(self, values: Any, before: int = 0) -> np.ndarray:
        """The (s, r) that are not padding of an array that has them after `before` other axes."""
        s, r = self.shape
        return np.asarray(values)[(slice(None),) * before + (slice(s), slice(r))]

    def diverged_at(self, done: int) -> np.ndarray:
        """First of the `done` steps with a non-finite loss, 0 if there is none; int (s, r).

        A step's loss is that before its update, so the last update shows in the evaluation after it
        only: where that is not finite the run diverged at step `done`.
        """
        if not done:
            return np.zeros(self.shape, int)
        bad = ~np.isfinite(self.losses[:done])
        bad[-1] |= self._unusable(done)
        return np.where(bad.any(axis=0), bad.argmax(axis=0) + 1, 0)

    def _unusable(self, done: int) -> np.ndarray:
        """Whether a validation metric was measured after step `done` and is not finite; (s, r)."""
        at = np.flatnonzero(self.marks == done)
        columns = [v for name, v in self.evaluations.items() if name.startswith("validation_")]
        if not len(at) or not columns:
            return np.zeros(self.shape, bool)
        finite = np.isfinite(np.stack([values[at[0]] for values in columns]))
        return np.asarray(~finite.all(axis=0))

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it by name, for a checkpoint."""
        probes = {f"probe/{name}": values for name, values in self.probes.items()}
        evaluations = {f"evaluation/{name}": values for name, values in self.evaluations.items()}
        return {"losses": self.losses, **probes, **evaluations}

    def take(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Takes over what `arrays` gave, if it is of the same names and shapes."""
        ours = self.arrays()
        if any(k not in arrays or arrays[k].shape != v.shape for k, v in ours.items()):
            return False
        for key, values in ours.items():
            values[...] = arrays[key]
        return True

    def table(self, names: Sequence[str]) -> Any:
        """The record's table (see `records.curve_table`), of runs with seeds fastest."""
        evaluations = {column: _by_run(values) for column, values in self.evaluations.items()}
        probes = {name: _by_run(values) for name, values in self.probes.items()}
        return records.curve_table(list(names), evaluations, self.marks, probes, self.every)


def _blank(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan, np.float32)


def _by_run(values: np.ndarray) -> np.ndarray:
    """(n, s, r, …) -> (n, r * s, …), seeds fastest."""
    swapped = np.swapaxes(values, 1, 2)
    return swapped.reshape(len(values), -1, *values.shape[3:])
