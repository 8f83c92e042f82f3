"""Trains a list of runs: checks all first, skips the recorded, groups, survives failures."""

import json
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

from rllc.suite import records
from rllc.suite.engine import (
    capacity,
    devices,
    joining,
    optimizer_check,
    processes,
    splitting,
    task_check,
)
from rllc.suite.engine.joining import Joining
from rllc.suite.engine.layout import Split
from rllc.suite.engine.training import train_group
from rllc.suite.engine.watching import NOBODY, Watcher, Watchers
from rllc.suite.errors import PlanError, first_words
from rllc.suite.execute import claims, loggers
from rllc.suite.plan.plan import Run, group_runs, shard_name
from rllc.suite.plan.targets import resolve
from rllc.suite.records import identity


class Options(NamedTuple):
    """How to execute, as opposed to what.

    Attributes:
      folder: records folder; runs found in it are skipped.
      partial: folder for checkpoints; None puts it beside the records.
      force: train again what is already recorded.
      group_size: most runs in one program; None chooses from memory and measured speed.
      data_folder: folder with data files of the user's; None takes the cache.
      progress: show bars.
      yes: begin long trainings without a question.
      logger: config of the logger beside the records; None for none.
      split: how runs are shared by devices; no part of what a run is.
      among: which processes train together (see `joining.join`); no part of it either.
    """

    folder: Path
    partial: Path | None = None
    force: bool = False
    group_size: int | None = None
    data_folder: str | None = None
    progress: bool = True
    yes: bool = False
    logger: dict[str, Any] | None = None
    split: Split = splitting.AUTO
    among: Joining = joining.ALONE

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints of unfinished groups, and of the claims on them."""
        return self.partial or self.folder.parent / "partial"


def options_of(cfg: Any) -> Options:
    """How the job is to be executed.

    Raises:
      PlanError: group_size or an entry of devices is neither auto nor a positive integer, force no
        truth value, a folder no text, or one of them stands for something that is not there.
    """
    try:
        size, force, folder, data, split = (
            cfg[key] for key in ("group_size", "force", "records", "data_folder", "devices")
        )
    except Exception as error:  # OmegaConf's
        raise PlanError(first_words(error)) from None
    if size != "auto" and (type(size) is not int or size < 1):
        raise PlanError(f"group_size={size!r} must be auto or a positive integer")
    for key, value in (("force", force), ("yes", cfg.yes)):
        if not isinstance(value, bool):
            raise PlanError(f"{key}={value!r} must be true or false")
    if not isinstance(folder, str) or not folder:
        raise PlanError(f"records={folder!r} must be the path of a folder")
    if data is not None and not isinstance(data, str):
        raise PlanError(f"data_folder={data!r} must be the path of a folder")
    from omegaconf import OmegaConf  # workers without Hydra import this module

    logger: Any = OmegaConf.to_container(cfg.logger, resolve=True)
    loggers.check(logger)
    asked: Any = OmegaConf.to_container(split) if OmegaConf.is_config(split) else split
    whole = isinstance(asked, dict)
    among = {k: asked.pop(k) for k in Joining._fields if k in asked} if whole else {}
    return Options(
        folder=records.folder(folder),
        force=force,
        group_size=None if size == "auto" else size,
        data_folder=data and str(records.folder(data)),
        yes=cfg.yes,
        logger=logger,
        split=splitting.parse(asked),
        among=joining.parse(among),
    )


class Outcome(NamedTuple):
    """What became of a group: its runs, and the record's path or the exception."""

    runs: list[Run]
    record: Path | None = None
    error: BaseException | None = None


class GroupLost(Exception):
    """A group whose process ended without an outcome; the message is one line that says which, why
    and where its log is."""


def prepare(runs: Sequence[Run], options: Options) -> list[list[Run]]:
    """Checks everything that can be checked before training, and groups what is to train.

    Processes that train together all call it, and get the same.

    Raises:
      PlanError: an optimizer refuses its arguments, a task its settings, or data are missing; or
        processes that train together were asked for different things.
      RecordsError: the records folder cannot be written or is damaged.
    """
    devices.configure()
    devices.check()
    processes.same("runs to train, or other options,", _asked(runs, options))
    processes.by_first(lambda: _check_folders(options))
    processes.everywhere(lambda: _check_runs(runs))
    known = set(processes.by_first(lambda: _known(options)))
    groups = []
    for run_list in group_runs(runs):
        if all(run.name in known for run in run_list):
            continue
        here = processes.everywhere(partial(_limit, run_list[0], options))
        limit = processes.of_first(here)
        groups += [part for whole in group_runs(run_list, limit) for part in _missing(whole, known)]
    return groups


def _asked(runs: Sequence[Run], options: Options) -> list[Any]:
    """What processes that train together must agree on."""
    names = [run.name for run in runs]
    return [names, options.force, options.group_size, list(options.split)]


def _check_folders(options: Options) -> None:
    records.check_writable(options.folder)
    records.check_writable(options.checkpoints, "folder of checkpoints")


def _check_runs(runs: Sequence[Run]) -> None:
    for run in {run.group: run for run in runs}.values():
        capacity.check_noted(run)
        params, _ = _start(make_task(run), str(run.task["name"]))
        optimizer_check.check_optimizer(run.optimizer, run.traced, params)


def _known(options: Options) -> list[str]:
    """Names of the runs that need no training; damaged records are set aside, and said."""
    for text in records.set_aside(options.folder):
        print(text, file=sys.stderr)
    return [] if options.force else sorted(records.finished(options.folder))


def _limit(run: Run, options: Options) -> int:
    """Most runs of its kind in one program, after a look at its task, data and devices."""
    task, data = make_task(run), load_data(run, options.data_folder)
    splitting.check(options.split, run, data)
    _check_program(task, *_data_of(run, options.data_folder), run.protocol["batch_size"])
    return options.group_size or capacity.group_size(run, task, data)


def _missing(group: list[Run], known: set[str]) -> list[list[Run]]:
    """What is not recorded of a group.

    Groups are cut before the recorded runs are left out, so that all processes that are started
    with the same command, at any time, mean the same by a group, and its checkpoint.
    """
    return group_runs(run for run in group if run.name not in known)


def execute(
    groups: Sequence[list[Run]], options: Options, watcher: Watcher = NOBODY
) -> list[Outcome]:
    """Trains the groups one after another in this process; a failing one does not stop the rest.

    Those that another process is training come last, when it has most likely recorded them.
    """
    prefixes = [f"[{i}/{len(groups)}] " for i in range(1, len(groups) + 1)]
    found = [
        execute_group(group, options, prefix, wait=False, watcher=watcher)
        for group, prefix in zip(groups, prefixes, strict=True)
    ]
    return [
        outcome or execute_group(group, options, prefix, watcher=watcher)
        for group, prefix, outcome in zip(groups, prefixes, found, strict=True)
    ]


@overload
def execute_group(
    group: list[Run], options: Options, prefix: str = "", *, wait: Literal[True] = True,
    watcher: Watcher = NOBODY,
) -> Outcome: ...  # fmt: skip


@overload
def execute_group(
    group: list[Run], options: Options, prefix: str = "", *, wait: bool,
    watcher: Watcher = NOBODY,
) -> Outcome | None: ...  # fmt: skip


def execute_group(
    group: list[Run], options: Options, prefix: str = "", *, wait: bool = True,
    watcher: Watcher = NOBODY,
) -> Outcome | None:  # fmt: skip
    """Trains one group, unless another process has done so by now.

    An exception becomes part of the outcome (a stop does not; nor does one that processes which
    train together know nothing of, it ends this one). None if another process is training the group
    and we are not to `wait` for it.
    """
    devices.configure()
    run = group[0]
    label = prefix + label_of(group)
    try:
        with _claimed(group, options, wait, label) as got:
            if got == "no":
                return None
            again = options.force and got == "first"
            path = _record_of(group, options.folder)
            if processes.of_first(not again and path.exists()):
                return Outcome(group, record=path)
            task, data = make_task(run), load_data(run, options.data_folder)
            path = train_group(
                group, task, data, options.folder, options.checkpoints, options.progress, label,
                again, Watchers([watcher, loggers.make(options.logger)]), options.split,
            )  # fmt: skip
        return Outcome(group, record=path)
    except Exception as error:
        error.add_note(f"while training {label}\n{traceback.format_exc()}")
        found = Outcome(group, error=processes.reason(error))
        if processes.astray():
            sys.exit(f"error: {in_words(found.error or error)}")
        return found


@contextmanager
def _claimed(group: list[Run], options: Options, wait: bool, label: str) -> Iterator[str]:
    """`claims.claim`, of which processes that train together have one."""
    ours = claims.claim(options.checkpoints, shard_name(group), wait, label)
    with ours if processes.leads() else nullcontext("") as got:
        yield processes.of_first(got)


def label_of(group: list[Run]) -> str:
    """A group, for people."""
    return f"{group[0].task['name']} · {group[0].optimizer['name']} × {len(group)} runs"


def _record_of(group: list[Run], folder: Path) -> Path:
    """Where the header of a group's own record is, or will be."""
    return folder / str(group[0].task["name"]) / f"{shard_name(group)}.json"


def in_words(error: BaseException) -> str:
    """An error for people: the message, and for one that is not ours its type and traceback."""
    if isinstance(error, PlanError | records.RecordsError | GroupLost):
        return str(error)
    return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])


def diverged_note(outcomes: Sequence[Outcome]) -> str:
    """Which runs of these groups diverged, and when; empty if none did."""
    headers = [json.loads(o.record.with_suffix(".json").read_text()) for o in outcomes if o.record]
    runs = [(header["optimizer"]["name"], run) for header in headers for run in header["runs"]]
    lost = [
        ", ".join(
            [name]
            + [f"{rate}={value:g}" for rate, value in run["hyper"].items()]
            + [f"seed {run['seed']}, at step {run['diverged_at']}"]
        )
        for name, run in runs
        if run["status"] == "diverged"
    ]
    more = [f"{len(lost) - 3} more"] if len(lost) > 3 else []
    return f"{len(lost)} of {len(runs)} runs diverged: {'; '.join(lost[:3] + more)}" if lost else ""


def make_task(run: Run) -> Any:
    """The Task of a run.

    Raises:
      PlanError: the task refuses its settings.
    """
    return _make_task(json.dumps(run.task, sort_keys=True))


@lru_cache(maxsize=16)
def _make_task(config: str) -> Any:
    settings = json.loads(config)
    target, name = settings.pop("_target_"), settings.get("name")
    settings = {key: value for key, value in settings.items() if key not in identity.TASK_LABELS}
    try:
        task = resolve(target)(**settings)
    except PlanError:
        raise
    except Exception as error:
        raise PlanError(f"task {name}: {first_words(error)}") from error
    task_check.check_task(task, name)
    return task


def load_data(run: Run, folder: str | None = None) -> Any:
    """The data of a run's task (see `tasks.Dataset`), real or synthetic as its protocol says.

    Raises:
      PlanError: they cannot be had, or are not what the engine can train on.
    """
    return _load(make_task(run), *_data_of(run, folder))


def _data_of(run: Run, folder: str | None) -> tuple[str, str, str | None]:
    return str(run.task["name"]), run.protocol["data"], folder


@lru_cache(maxsize=3)
def _load(task: Any, name: str, kind: str, folder: str | None) -> Any:
    if kind == "synthetic" and task.synthetic is None:
        raise PlanError(f"task {name} has no synthetic data: it needs protocol.data=real")
    try:
        data = task.synthetic() if kind == "synthetic" else task.data(folder)
    except Exception as error:
        ours = type(error).__name__ == "DataError"
        text = str(error) if ours else f"data of task {name}: {type(error).__name__}: {error}"
        raise PlanError(text) from error
    if callable(data):  # one function generates the batches of all splits
        data = Generated(data, data, data)
    task_check.check_data(data, name)
    return data


class Generated(NamedTuple):
    """The data of a task that returns a function (key, step) -> batch instead of a data set."""

    train: Any
    validation: Any
    test: Any
    name: str = "generated"


@lru_cache(maxsize=16)
def _start(task: Any, name: str) -> tuple[Any, Any]:
    return task_check.start(task, name)


@lru_cache(maxsize=16)
def _check_program(task: Any, name: str, kind: str, folder: str | None, batch_size: int) -> None:
    task_check.check_program(task, _load(task, name, kind, folder), batch_size, name)
