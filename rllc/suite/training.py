"""Trains a group: the host side of one program.

Between calls of the program the host moves a progress bar, notes losses, laws and
evaluations, saves a checkpoint, and can be stopped. What it notes does not depend on where
the calls were cut, so a resumed group ends with the same record as an undisturbed one.

Axes: s seeds, r runs (hyperparameter points) sharing a seed, k units of the law, e evaluations.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from tqdm import tqdm

from rllc.suite import checkpoint, header, optimizers, records
from rllc.suite.batching import batch_indices
from rllc.suite.plan import Run, shard_name
from rllc.suite.program import BLOCK, Layout, build, evaluation_batches

SECONDS_PER_CALL = 5.0  # each call finds its memory anew: 0.2 s on ResNet-20
SECONDS_BETWEEN_CHECKPOINTS = 30.0


class Trainer:
    """A group in training: what is on the device, and everything noted so far.

    Attributes:
      runs: the group, ordered by hyperparameter point, then seed (see `plan.group_runs`).
      done: steps finished.
      seconds: time spent in training calls, evaluation and compilation excluded.
      losses: float32 (steps, s, r), the loss of each step's batch.
      laws: float32 (1 + steps // law_every, s, r, k).
      evaluations: metric -> float32 (e, s, r).
    """

    def __init__(self, runs: list[Run], task: Any, data: Any, evaluate: bool = True):
        self.runs, self.task, self.data = runs, task, data
        self.protocol = runs[0].protocol
        self.seeds = sorted({run.seed for run in runs})
        self.shape = (len(self.seeds), len(runs) // len(self.seeds))
        self.layout = Layout.choose(*self.shape, len(jax.devices()))
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
        self.units = _law_units(self.task, first)
        self.chunk = min(self.protocol["eval_every"], self.protocol["steps"])
        static = json.dumps(first.optimizer, sort_keys=True)
        self.program = build(self.task, static, self.layout, self.chunk, self.units)
        place = _replicated(self.layout)
        data = self.data
        self.train_set = place(data.train_images), place(data.train_labels)
        padded = {
            "validation": evaluation_batches(data.validation_images, data.validation_labels),
            "test": evaluation_batches(data.test_images, data.test_labels),
        }
        self.held_out = {k: (place(x), place(y)) for k, (x, y) in padded.items()}

    def _start(self) -> None:
        steps, shape = self.protocol["steps"], self.shape
        self.done, self.seconds = 0, 0.0
        self.losses = np.full((steps, *shape), np.nan, np.float32)
        laws = (1 + steps // self.protocol["law_every"], *shape, self.units)
        self.laws = np.full(laws, np.nan, np.float32)
        blank = np.full((len(self.marks), *shape), np.nan, np.float32)
        self.evaluations = {metric: blank.copy() for metric in records.METRICS}
        self.carry = self.program.init(self.seed_array, self.hyper)
        if self.units:
            law = jax.vmap(jax.vmap(optimizers.law_of))(self.carry[2])
            self.laws[0] = self._unpadded(law)

    def _unpadded(self, values: Any, before: int = 0) -> np.ndarray:
        s, r = self.shape
        return np.asarray(values)[(slice(None),) * before + (slice(s), slice(r))]

    def indices(self, first: int, until: int) -> np.ndarray:
        """Batches of steps first+1 … until, int32 (chunk, s, b), padded with zeros."""
        examples, batch = len(self.data.train_labels), self.protocol["batch_size"]
        out = np.zeros((self.chunk, len(self.seed_array), batch), np.int32)
        for i, seed in enumerate(self.seed_array):
            out[: until - first, i] = batch_indices(int(seed), first, until, examples, batch)
        return out

    def advance(self, count: int) -> None:
        """Trains `count` more steps in one call; the next evaluation must not lie inside."""
        first, until = self.done, self.done + count
        with ctrl_c_after():
            self.carry, log = self.program.train(
                self.carry, self.program.log(), self.hyper, self.seed_array, *self.train_set,
                self.indices(first, until), first, 0, count,
            )  # fmt: skip
            self._note(first, until, log)
        if until in self.marks:
            self.evaluate()

    def _note(self, first: int, until: int, log: Any) -> None:
        losses, laws = log
        self.losses[first:until] = self._unpadded(losses, before=1)[: until - first]
        if self.units:
            every = self.protocol["law_every"]
            steps = np.arange(-(-(first + 1) // every) * every, until + 1, every)
            self.laws[steps // every] = self._unpadded(laws, before=1)[steps - 1 - first]
        self.done = until

    def evaluate(self) -> None:
        """Notes the metrics of all held-out splits at the current step."""
        e = self.marks.index(self.done)
        if e:
            window = self.losses[self.marks[e - 1] : self.done]
            self.evaluations["train_loss"][e] = window.mean(axis=0, dtype=np.float64)
        for split, batches in self.held_out.items():
            losses, correct = self.program.evaluate(self.carry, *batches)
            examples = len(getattr(self.data, f"{split}_labels"))
            means = block_means(self._unpadded(losses), self._unpadded(correct), examples)
            for metric, value in means.items():
                if (name := f"{split}_{metric}") in self.evaluations:
                    self.evaluations[name][e] = value

    @property
    def diverged_at(self) -> np.ndarray:
        """First step with a non-finite training loss, 0 if there is none; int (s, r)."""
        bad = ~np.isfinite(self.losses[: self.done])
        return (
            np.where(bad.any(axis=0), bad.argmax(axis=0) + 1, 0)
            if self.done
            else np.zeros(self.shape, int)
        )

    def save(self, path: Path) -> None:
        """Writes a checkpoint from which `restore` goes on."""
        noted = {"losses": self.losses, "laws": self.laws}
        noted |= {"done": np.array(self.done), "seconds": np.array(self.seconds)}
        noted |= {f"evaluation/{key}": value for key, value in self.evaluations.items()}
        checkpoint.save(path, self.carry, noted)

    def restore(self, path: Path) -> bool:
        """Takes up a checkpoint of the same group, if there is a usable one."""
        loaded = checkpoint.load(path, self.carry)
        if loaded is None or loaded[1]["losses"].shape != self.losses.shape:
            return False
        self.carry, noted = loaded
        self.losses, self.laws = noted["losses"], noted["laws"]
        self.done, self.seconds = int(noted["done"]), float(noted["seconds"])
        self.evaluations = {key: noted[f"evaluation/{key}"] for key in self.evaluations}
        if self.done in self.marks and self._lacks_evaluation():
            self.evaluate()
        return True

    def _lacks_evaluation(self) -> bool:
        """Whether a Ctrl-C came between the training to this step and the end of its evaluation."""
        e = self.marks.index(self.done)
        return any(np.isnan(values[e]).all() for values in self.evaluations.values())

    def table(self) -> Any:
        """The curves as the record's table, runs in the order of `runs`."""
        r = self.shape[1]
        order = [(i % len(self.seeds), i // len(self.seeds)) for i in range(len(self.runs))]
        flat = [s * r + point for s, point in order]

        def by_run(values: np.ndarray) -> np.ndarray:
            return values.reshape(len(values), len(flat), *values.shape[3:])[:, flat]

        evaluations = {metric: by_run(values) for metric, values in self.evaluations.items()}
        names = [run.name for run in self.runs]
        every = self.protocol["law_every"]
        return records.curve_table(
            names, evaluations, np.array(self.marks), by_run(self.laws), every
        )

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
    on_start: Callable[[Trainer], None] = lambda trainer: None,
) -> Path:
    """Trains one group to its end and writes its record.

    Args:
      runs: one rectangle of `plan.group_runs`.
      task: the Task of the runs.
      data: its Dataset.
      folder: records folder.
      partial: folder for checkpoints of unfinished groups; an interrupted group goes on here.
      progress: show a bar with ETA.
      label: text before the bar.
      on_start: called once the program is ready.

    Returns:
      Path of the record's header.

    Raises:
      KeyboardInterrupt: stopped by the user; a checkpoint was saved first.
      RecordsError: the record cannot be written.
    """
    name = shard_name(runs)
    saved = partial / f"{name}.npz"
    trainer = Trainer(runs, task, data)
    trainer.restore(saved)
    on_start(trainer)
    steps = runs[0].protocol["steps"]
    bar = tqdm(
        total=steps, initial=trainer.done, unit=" steps", desc=label or name, disable=not progress,
        mininterval=0.5, dynamic_ncols=True,
    )  # fmt: skip
    try:
        _train(trainer, saved, bar.update)
    except KeyboardInterrupt:
        trainer.save(saved)
        raise
    finally:
        bar.close()
    path = records.write_shard(folder, name, header.describe(trainer), trainer.table())
    saved.unlink(missing_ok=True)
    return path


def _train(trainer: Trainer, saved: Path, update: Callable[[int], Any]) -> None:
    """Calls of about `SECONDS_PER_CALL`, never across an evaluation, with checkpoints between."""
    pace, last_saved = 0.0, time.monotonic()
    for mark in [m for m in trainer.marks if m > trainer.done]:
        while trainer.done < mark:
            wish = max(1, int(SECONDS_PER_CALL / pace)) if pace else 10
            count = min(wish, mark - trainer.done)
            started = time.perf_counter()
            trainer.advance(count)
            elapsed = time.perf_counter() - started
            trainer.seconds += elapsed
            pace = elapsed / count
            update(count)
            if time.monotonic() - last_saved > SECONDS_BETWEEN_CHECKPOINTS:
                trainer.save(saved)
                last_saved = time.monotonic()
        if trainer.diverged_at.all():
            return  # nothing but NaN would follow


@contextmanager
def ctrl_c_after() -> Iterator[None]:
    """A Ctrl-C during the block takes effect at its end.

    A call of the program owns the arrays of its carry: cut off inside it, as a Ctrl-C is that comes
    while an accelerator works, a group would have nothing left to save.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    came: list[Any] = []
    signal.signal(signal.SIGINT, lambda *args: came.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if came:
        usual(*came[0])


def block_means(losses: np.ndarray, correct: np.ndarray, examples: int) -> dict[str, np.ndarray]:
    """True means, and means over 128-example batches as the paper reports them.

    Args:
      losses: loss sums over blocks of 128 examples, (s, r, m); blocks past the end are 0.
      correct: counts of correct predictions, likewise.
      examples: number of real examples; the last block may be short.
    """
    blocks = -(-examples // BLOCK)
    sizes = np.minimum(BLOCK, examples - BLOCK * np.arange(blocks))
    losses, correct = losses[..., :blocks].astype(np.float64), correct[..., :blocks]
    return {
        "loss": losses.sum(axis=-1) / examples,
        "accuracy": correct.sum(axis=-1) / examples,
        "loss_batch_mean": (losses / sizes).mean(axis=-1),
        "accuracy_batch_mean": (correct / sizes).mean(axis=-1),
    }


def _marks(protocol: dict[str, Any]) -> list[int]:
    """Steps at which to evaluate: 0, every `eval_every`, and the last."""
    steps = protocol["steps"]
    return sorted({*range(0, steps, protocol["eval_every"]), steps})


def _by_seed(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(points * seeds, …) with seeds fastest -> (s, r, …)."""
    s, r = shape
    return np.swapaxes(values.reshape(r, s, *values.shape[1:]), 0, 1)


def _law_units(task: Any, run: Run) -> int:
    def law(key):
        params, _ = task.init(key)
        traced = {k: np.asarray(v, np.float32) for k, v in run.traced.items()}
        return optimizers.law_of(optimizers.build(run.optimizer, traced).init(params))

    return jax.eval_shape(law, jax.random.key(0)).shape[0]


def _replicated(layout: Layout) -> Callable[[np.ndarray], jax.Array]:
    sharding = NamedSharding(layout.mesh(), PartitionSpec())
    return lambda array: jax.device_put(array, sharding)
