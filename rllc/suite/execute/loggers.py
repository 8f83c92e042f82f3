"""Training seen from outside while it goes on: TensorBoard, Weights & Biases, MLflow.

Records stay the truth: a logger reads what was noted for them, changes no number and no name, and
one that fails is said and left out. Each run is a run there: training loss, evaluations, probes,
its config.
"""

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rllc.suite import metrics
from rllc.suite.engine.watching import NOBODY, Watcher
from rllc.suite.errors import PlanError
from rllc.suite.plan.plan import Run

Scalars = list[tuple[int, dict[str, float]]]  # step and values by name, steps ascending
PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}


def check(config: Mapping[str, Any]) -> None:
    """Whether the logger of a config can be used, before anything trains.

    Raises:
      PlanError: there is none of this name, or its package is not installed.
    """
    name = config.get("name")
    if name not in ("none", *PACKAGES):
        known = ", ".join(("none", *PACKAGES))
        raise PlanError(f"logger.name={name!r} must be one of {known}")
    every = config.get("every", 1)
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise PlanError(f"logger.every={every!r} must be a positive integer")
    if name != "none":
        try:
            importlib.import_module(PACKAGES[name])
        except ImportError as error:
            raise PlanError(
                f"logger={name} needs the package {PACKAGES[name]} ({error}): "
                f"python -m pip install {PACKAGES[name]}"
            ) from None


def make(config: Mapping[str, Any] | None) -> Watcher:
    """The logger of a config; nobody for None and for ``none``."""
    if not config or config["name"] == "none":
        return NOBODY
    opened = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}[config["name"]]
    return Logger(config, opened)


class Sink:
    """Where the numbers of one run go."""

    def __init__(self, write: Callable[[Scalars], None], close: Callable[[str], None]):
        self.write, self.close = write, close


class Logger(Watcher):
    """Sends what is noted of each run of a group to a sink of its own.

    A group that goes on from a checkpoint sends what was noted before, too.
    """

    def __init__(self, config: Mapping[str, Any], opened: Callable[..., Sink]):
        self.config, self.opened = config, opened
        self.sinks: list[Sink] = []
        self.sent = 0  # steps

    def started(self, trainer: Any, label: str) -> None:
        """Opens a sink for each run."""
        self.sent = -1  # the evaluation before the first step is still to be sent
        self._safely(lambda: self._open(trainer))
        self._safely(lambda: self._send(trainer))

    def advanced(self, trainer: Any, count: int, seconds: float) -> None:
        """Sends the new steps."""
        self._safely(lambda: self._send(trainer))

    def ended(self, trainer: Any, record: Path | None) -> None:
        """Closes the sinks; a run that was stopped is said to be."""
        states = [s["status"] for s in trainer.statuses()] if record else []
        for i, sink in enumerate(self.sinks):
            status = states[i] if states else "stopped"
            self._safely(partial(sink.close, status))
        self.sinks = []

    def _open(self, trainer: Any) -> None:
        for run in trainer.runs:
            self.sinks.append(self.opened(self.config, run, run_name(run), described(run)))

    def _send(self, trainer: Any) -> None:
        first, self.sent = self.sent, trainer.done
        for i, sink in enumerate(self.sinks):
            sink.write(scalars(trainer, i, first, self.config["every"]))

    def _safely(self, action: Callable[[], None]) -> None:
        """A logger that fails ends; training does not."""
        try:
            action()
        except Exception as error:
            self.sinks = []
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"logger {self.config['name']} failed and is left out: {text}", file=sys.stderr)


def run_name(run: Run) -> str:
    """A run's name for people: optimizer, hyperparameters, seed, and the start of its hash."""
    hyper = "-".join(f"{key}={value:g}" for key, value in run.hyper.items())
    words = [str(run.optimizer["name"]), hyper, f"seed={run.seed}", run.name[:8]]
    return re.sub(r"[^\w.=+()-]", "_", "-".join(word for word in words if word))


def described(run: Run) -> dict[str, Any]:
    """A run's whole config, flat."""
    return {
        "run": run.name, "seed": run.seed, "role": run.role,
        **{f"task.{key}": value for key, value in run.task.items()},
        **{f"optimizer.{key}": value for key, value in {**run.optimizer, **run.shown}.items()},
        **{f"protocol.{key}": value for key, value in run.protocol.items()},
    }  # fmt: skip


def scalars(trainer: Any, i: int, first: int, every: int) -> Scalars:
    """What was noted of run `i` of a group after step `first`, up to now, by step.

    Args:
      trainer: the group's.
      i: place in ``trainer.runs``.
      first: -1 for everything.
      every: steps whose training losses make one mean.
    """
    notes, seeds = trainer.notes, trainer.shape[0]
    at = (slice(None), i % seeds, i // seeds)
    found: dict[int, dict[str, float]] = {}
    start = max(first, 0) // every
    for block in range(start, trainer.done // every):
        step = (block + 1) * every
        if step > first:
            mean = float(notes.losses[at][step - every : step].mean())
            found.setdefault(step, {})["train/loss"] = mean
    for e, step in enumerate(trainer.marks):
        if first < step <= trainer.done:
            values = {name: float(column[at][e]) for name, column in notes.evaluations.items()}
            found.setdefault(step, {}).update(_evaluation(values))
    for name, column in notes.probes.items():
        for place in range(max(0, first // notes.every + 1), trainer.done // notes.every + 1):
            units = {f"{name}/{u + 1}": float(x) for u, x in enumerate(column[at][place])}
            found.setdefault(place * notes.every, {}).update(units)
    return [(step, _finite(found[step])) for step in sorted(found)]


def _evaluation(values: Mapping[str, float]) -> dict[str, float]:
    """Columns of the records as ``split/metric``."""
    parts = [(*name.partition("_")[::2], value) for name, value in values.items()]
    return {
        f"{split}/{metric}": value
        for split, metric, value in parts
        if split in metrics.SPLITS and not metric.endswith("_batch_mean")
    }


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _tensorboard(config: Mapping[str, Any], run: Run, name: str, about: dict[str, Any]) -> Sink:
    from tensorboardX import SummaryWriter

    folder = Path(config["folder"]) / str(run.task["name"]) / name
    writer = SummaryWriter(str(folder), purge_step=0)  # what is sent again replaces what was sent
    rows = [f"| {key} | {value} |" for key, value in about.items()]
    writer.add_text("config", "\n".join(["| key | value |", "| --- | --- |", *rows]))

    def write(values: Scalars) -> None:
        for step, numbers in values:
            for key, value in numbers.items():
                writer.add_scalar(key, value, step)
        writer.flush()

    def close(status: str) -> None:
        writer.add_text("status", status)
        writer.close()

    return Sink(write, close)


def _wandb(config: Mapping[str, Any], run: Run, name: str, about: dict[str, Any]) -> Sink:
    import wandb

    Path(config["folder"]).mkdir(parents=True, exist_ok=True)
    theirs = wandb.init(
        project=config["project"], entity=config["entity"], mode=config["mode"],
        dir=str(config["folder"]), name=name, group=run.group, config=about,
        tags=[str(run.task["name"]), str(run.optimizer["name"])[:64]], reinit="create_new",
        settings=wandb.Settings(silent=True),
    )  # fmt: skip

    def write(values: Scalars) -> None:
        for step, numbers in values:
            theirs.log(numbers, step=step)

    def close(status: str) -> None:
        theirs.summary["status"] = status
        theirs.finish(exit_code=int(status == "stopped"))

    return Sink(write, close)


def _mlflow(config: Mapping[str, Any], run: Run, name: str, about: dict[str, Any]) -> Sink:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    if config["uri"].startswith("sqlite:///"):
        Path(config["uri"].removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=config["uri"])
    known = client.get_experiment_by_name(config["experiment"])
    place = known.experiment_id if known else client.create_experiment(config["experiment"])
    theirs = client.create_run(place, run_name=name).info.run_id
    client.log_batch(theirs, params=[Param(k, str(v)[:500]) for k, v in about.items()])

    def write(values: Scalars) -> None:
        every = [
            Metric(key, value, 0, step)
            for step, numbers in values
            for key, value in numbers.items()
        ]
        for start in range(0, len(every), 1000):  # the most that a server takes at once
            client.log_batch(theirs, metrics=every[start : start + 1000])

    def close(status: str) -> None:
        client.set_tag(theirs, "status", status)
        client.set_terminated(theirs, "KILLED" if status == "stopped" else "FINISHED")

    return Sink(write, close)
