"""Trains a group: the host side of one program.

Between calls of the program the host moves a progress bar, notes losses, probes and
evaluations, saves a checkpoint, and can be stopped. What it notes does not depend on where
the calls were cut, so a resumed group ends with the same record as an undisturbed one.

Axes: s seeds, r runs (hyperparameter points) sharing a seed, k values of a probe, e evaluations.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from tqdm import tqdm

from rllc.suite import metrics, records
from rllc.suite.engine import (
    checkpoint,
    devices,
    evaluation,
    header,
    optimizers,
    processes,
    resuming,
    sources,
    splitting,
    stopping,
)
from rllc.suite.engine.batching import batch_indices, example_count
from rllc.suite.engine.layout import Layout, Split
from rllc.suite.engine.notes import Notes
from rllc.suite.engine.program import build
from rllc.suite.engine.watching import NOBODY, Watcher
from rllc.suite.plan.plan import Run, shard_name

SECONDS_PER_CALL = 5.0  # each call finds its memory anew: 0.2 s on ResNet-20
SECONDS_BETWEEN_CHECKPOINTS = 30.0


class Trainer:
    """A group in training: what is on the device, and how far it is.

    Attributes:
      runs: the group, ordered by hyperparameter point, then seed (see `plan.group_runs`).
      done: steps finished.
      seconds: time spent in `advance`: training, evaluations, and compilation where a program was
        first called. Not the start, which has `startup_seconds`: initial values, the first
        evaluation and their compilation.
      notes: everything noted so far.
      over: how one run becomes many (see `program.build`); None lets the task decide.
      restored: between `restore` and `share`: the arrays of process 0.
    """

    over: Callable[..., Any] | None = None
    restored: list[np.ndarray] | None = None

    def __init__(
        self, runs: list[Run], task: Any, data: Any, evaluate: bool = True,
        split: Split = splitting.AUTO,
    ):  # fmt: skip
        self.runs, self.task, self.data = runs, task, data
        self.protocol = runs[0].protocol
        self.seeds = sorted({run.seed for run in runs})
        self.shape = (len(self.seeds), len(runs) // len(self.seeds))
        chosen = partial(splitting.layout, split, runs[0], self.shape, task, data)
        layout = processes.everywhere(chosen)
        self.layout = Layout(*processes.of_first(layout))  # machines may differ in memory
        self.marks = _marks(self.protocol)
        started = time.perf_counter()
        self._prepare()
        self._start()
        if evaluate:
            self.evaluate()
        self.startup_seconds = time.perf_counter() - started

    def _prepare(self) -> None:
        first = self.runs[0]
        values = {k: np.array([r.traced[k] for r in self.runs], np.float32) for k in first.traced}
        self.hyper = {k: self.layout.pad(_by_seed(v, self.shape)) for k, v in values.items()}
        extra = self.layout.seeds - len(self.seeds)
        self.seed_array = np.pad(np.array(self.seeds, np.int32), (0, extra), mode="edge")
        self.chunk = min(self.protocol["eval_every"], self.protocol["steps"])
        self.probes = _probe_sizes(self.task, first)
        train, place = self.data.train, _replicated(self.layout)
        sample = train if callable(train) else None
        static = json.dumps(first.optimizer, sort_keys=True)
        probes = tuple(self.probes.items())
        self.program = build(self.task, sample, static, self.layout, self.chunk, probes, self.over)
        self.examples = None if sample else jax.tree.map(place, train)
        self.held_out = {
            split: jax.tree.map(place, evaluation.held_out(self.data, split))
            for split in metrics.SPLITS
        }

    def _start(self) -> None:
        columns = metrics.columns(self.task.metrics, self.task.batch_means)
        self.notes = Notes(self.protocol, self.marks, self.shape, columns, self.probes)
        self.done, self.seconds = 0, 0.0
        self.carry = self.program.init(self.seed_array, self.hyper)
        if self.probes:
            observe = partial(optimizers.observe, self.runs[0].optimizer)
            first = jax.vmap(jax.vmap(observe))(self.carry[2])
            self.notes.start(jax.tree.map(processes.whole, first))

    def indices(self, first: int, until: int) -> np.ndarray | None:
        """Batches of steps first+1 … until, int32 (chunk, s, b), padded with zeros.

        None if batches are generated.
        """
        examples, batch = example_count(self.data), self.protocol["batch_size"]
        if self.examples is None:
            return None
        out = np.zeros((self.chunk, len(self.seed_array), batch), np.int32)
        for i, seed in enumerate(self.seed_array):
            out[: until - first, i] = batch_indices(int(seed), first, until, examples, batch)
        return out

    def advance(self, count: int) -> None:
        """Trains `count` more steps in one call; the next evaluation must not lie inside."""
        first, until = self.done, self.done + count
        self.carry, log = self.program.train(
            self.carry, self.program.log(), self.hyper, self.seed_array, self.examples,
            self.indices(first, until), first, 0, count,
        )  # fmt: skip
        self.notes.steps(first, until, *jax.tree.map(processes.whole, log))
        self.done = until
        if until in self.marks:
            self.evaluate()

    def evaluate(self) -> None:
        """Notes the metrics of all held-out splits at the current step."""
        values: dict[str, np.ndarray] = {}
        for split, batches in self.held_out.items():
            found = self.program.evaluate(self.carry, *batches)
            for name, pair in found.items():
                sums, counts = (self.notes.unpadded(processes.whole(part)) for part in pair)
                values[f"{split}_{name}"] = evaluation.mean(sums, counts)
                if self.task.batch_means and split == "test":
                    values[f"test_{name}_batch_mean"] = evaluation.batch_mean(sums, counts)
        self.notes.evaluation(self.marks.index(self.done), values)

    @property
    def diverged_at(self) -> np.ndarray:
        """First step with a non-finite training loss, 0 if there is none; int (s, r)."""
        return self.notes.diverged_at(self.done)

    @cached_property
    def made_by(self) -> dict[str, Any]:
        """What the numbers depend on that no run's name holds."""
        first = self.runs[0]
        return {
            "code": sources.digest(first.optimizer, first.task),
            "package versions": header.versions(),
            "data": getattr(self.data, "checksum", ""),
            "matmul precision": header.matmul_precision(),
        }

    @property
    def names(self) -> list[list[str]]:
        """Names of the runs, (r, s)."""
        s = self.shape[0]
        return [[run.name for run in self.runs[i : i + s]] for i in range(0, len(self.runs), s)]

    @property
    def devices(self) -> str:
        """What it trains on, in words."""
        parts = f" ({self.layout})" if self.layout.splits_runs else ""
        among = f" in {jax.process_count()} processes" if processes.several() else ""
        return f"{self.layout.devices} devices of {devices.describe()}{parts}{among}"

    def save(self, path: Path) -> None:
        """Writes a checkpoint from which `restore` goes on; all processes call it.

        Raises:
          OSError: the folder cannot be written.
        """
        progress = {"done": np.array(self.done), "seconds": np.array(self.seconds)}
        noted = {**self.notes.arrays(), **progress}
        checkpoint.save(path, self.carry, noted, self.names, self.made_by, self.devices)

    def restore(self, path: Path) -> str:
        """Takes up a checkpoint of the same runs; returns where it was written.

        Raises:
          Refused: these runs cannot go on from it; nothing has changed.
        """
        saved = checkpoint.load(path, self.names, self.made_by)
        leaves = checkpoint.fitted(saved.leaves, self.carry, self.layout.pad)
        if leaves is None or not {"done", "seconds"} <= set(saved.noted):
            raise checkpoint.Refused("its arrays are not those of these runs")
        if not self.notes.take(saved.noted):
            raise checkpoint.Refused("what it noted is not what these runs note")
        self.done, self.seconds = int(saved.noted["done"]), float(saved.noted["seconds"])
        if processes.several():
            self.restored = leaves
        else:
            self.carry = checkpoint.place(leaves, self.carry)
        return saved.devices

    def share(self) -> None:
        """Gives all processes, which all call it, what the first of them restored."""
        self.done, self.seconds = processes.of_first((self.done, self.seconds))
        if not processes.several() or not self.done:
            return
        notes = {k: processes.array_of_first(v) for k, v in self.notes.arrays().items()}
        self.notes.take(notes)
        leaves, self.restored = checkpoint.of_first(self.restored, self.carry), None
        self.carry = checkpoint.place(leaves, self.carry)

    def table(self) -> Any:
        """The curves as the record's table, runs in the order of `runs`."""
        return self.notes.table([run.name for run in self.runs])

    def statuses(self) -> list[dict[str, Any]]:
        """``status`` and ``diverged_at`` of each run, in the order of `runs`."""
        at = self.diverged_at.T.ravel()
        return [
            {"status": "diverged" if step else "finished", "diverged_at": int(step) or None}
            for step in at
        ]


def train_group(
    runs: list[Run],
    task: Any,
    data: Any,
    folder: Path,
    partial: Path,
    progress: bool = True,
    label: str = "",
    again: bool = False,
    watcher: Watcher = NOBODY,
    split: Split = splitting.AUTO,
) -> Path:
    """Trains one group to its end and writes its record; all processes call it, the first writes.

    Args:
      runs: one rectangle of `plan.group_runs`.
      task: the Task of the runs.
      data: its Dataset.
      folder: records folder.
      partial: folder for checkpoints of unfinished groups; an interrupted group goes on here.
      progress: show a bar with ETA.
      label: text before the bar.
      again: train although there may be a record; a checkpoint of all steps is of the training
        before, and not taken up.
      watcher: looks on.
      split: how runs are to be shared by devices.

    Returns:
      Path of the record's header.

    Raises:
      KeyboardInterrupt: stopped by the user, or by SIGTERM; a checkpoint was saved first.
      PlanError: processes differ in what the numbers depend on, or cannot all take an equal part.
      RecordsError: the record cannot be written.
    """
    name, leads = shard_name(runs), processes.leads()
    saved = partial / f"{name}.npz"
    trainer = Trainer(runs, task, data, split=split)
    for what, made in trainer.made_by.items() if processes.several() else ():
        processes.same(what, made)
    used = resuming.take_up(trainer, saved, again, label or name) if leads else None
    trainer.share()
    watcher = watcher if leads else NOBODY
    watcher.started(trainer, label or name)
    bar = tqdm(
        total=runs[0].protocol["steps"], initial=trainer.done, unit=" steps", desc=label or name,
        disable=not (progress and leads), mininterval=0.5, dynamic_ncols=True,
    )  # fmt: skip
    path = None
    try:
        with closing(bar), stopping.deferred(processes.united) as check:
            try:
                _train(trainer, saved, bar, check, watcher)
            except KeyboardInterrupt:
                _save(trainer, saved)
                raise
            path = Path(processes.by_first(lambda: _recorded(trainer, folder, name)))
            if leads:
                resuming.clear(saved, used, folder)
    finally:
        watcher.ended(trainer, path)
    return path


def _recorded(trainer: Trainer, folder: Path, name: str) -> str:
    return str(records.write_shard(folder, name, header.describe(trainer), trainer.table()))


def _save(trainer: Trainer, saved: Path) -> None:
    """A checkpoint if there is room for one: without it a group can still end with its record."""
    try:
        trainer.save(saved)
    except OSError as error:
        why = error.strerror or error
        tqdm.write(f"no checkpoint of {saved.stem} at step {trainer.done}: {why}", file=sys.stderr)


def _train(
    trainer: Trainer, saved: Path, bar: Any, check: Callable[[], None], watcher: Watcher
) -> None:
    """Calls of about `SECONDS_PER_CALL`, never across an evaluation, with checkpoints between."""
    wish, last_saved = 10, time.monotonic()
    for mark in [m for m in trainer.marks if m > trainer.done]:
        while trainer.done < mark:
            count = min(wish, mark - trainer.done)
            started = time.perf_counter()
            trainer.advance(count)
            elapsed = time.perf_counter() - started
            trainer.seconds += elapsed
            _move(bar, trainer, count)
            watcher.advanced(trainer, count, elapsed)
            check()
            due = time.monotonic() - last_saved > SECONDS_BETWEEN_CHECKPOINTS
            wish, due = processes.of_first((max(1, int(SECONDS_PER_CALL * count / elapsed)), due))
            if due:
                _save(trainer, saved)
                last_saved = time.monotonic()
        if trainer.diverged_at.all():
            return  # nothing but NaN would follow


def _move(bar: Any, trainer: Trainer, count: int) -> None:
    """Moves the bar, and shows the median of the runs' losses beside it."""
    if bar.disable:
        return
    last = trainer.notes.losses[trainer.done - count : trainer.done].mean(axis=0).ravel()
    finite = last[np.isfinite(last)]
    bar.set_postfix_str(f"loss {np.median(finite):.4g}" if finite.size else "", refresh=False)
    bar.update(count)


def _marks(protocol: dict[str, Any]) -> list[int]:
    """Steps at which to evaluate: 0, every `eval_every`, and the last."""
    steps = protocol["steps"]
    return sorted({*range(0, steps, protocol["eval_every"]), steps})


def _by_seed(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(points * seeds, …) with seeds fastest -> (s, r, …)."""
    s, r = shape
    return np.swapaxes(values.reshape(r, s, *values.shape[1:]), 0, 1)


def _probe_sizes(task: Any, run: Run) -> dict[str, int]:
    """Number of values of each probe of the run's optimizer."""

    def observed(key: jax.Array) -> dict[str, jax.Array]:
        params, _ = task.init(key)
        traced = {k: np.asarray(v, np.float32) for k, v in run.traced.items()}
        state = optimizers.build(run.optimizer, traced).init(params)
        return optimizers.observe(run.optimizer, state)

    found = jax.eval_shape(observed, jax.random.key(0))
    return {name: value.shape[0] for name, value in found.items()}


def _replicated(layout: Layout) -> Callable[[np.ndarray], jax.Array]:
    sharding = NamedSharding(layout.mesh(), PartitionSpec())
    return lambda array: processes.place(array, sharding)
