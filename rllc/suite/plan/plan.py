"""What to train: runs, their identity, and the groups that train as one program.

A *run* is (task, optimizer, hyperparameters, seed, protocol). Its name is a hash of what
determines it and of nothing else: not of labels, nor of the order of words on a command
line. Runs that differ only in traced numbers and seeds form a *group*.
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rllc.suite import schedules
from rllc.suite.errors import PlanError, first_words
from rllc.suite.plan.targets import resolve
from rllc.suite.records import FIELDS, identity, roles
from rllc.suite.records.shards import file_digest

MOST_BYTES = 100  # of a label in a file's name: systems take 255 for all of it
FLOAT32 = float(np.finfo(np.float32).max)
PROTOCOL = {"steps": 10_000, "batch_size": 128, "eval_every": 250, "law_every": 10, "data": "real"}


class Run(NamedTuple):
    """One training run.

    Attributes:
      task: resolved task config: ``_target_``, ``name`` and settings.
      optimizer: static part of the optimizer config, labels included.
      traced: numbers handed over as traced, by name; floats or tuples.
      seed: root of every random stream.
      protocol: steps, batch size, cadence of evaluation, kind of data.
      shown: the traced numbers as the user wrote them (``initial_law: ones``).
      role: what the run is for, one of `roles.ROLES`; not part of its name.
    """

    task: dict[str, Any]
    optimizer: dict[str, Any]
    traced: dict[str, Any]
    seed: int
    protocol: dict[str, Any]
    shown: dict[str, Any]
    role: str = "final"

    @property
    def group(self) -> str:
        """Hash shared by the runs that one program can train."""
        task = identity.hashed(identity.task(self.task))
        optimizer = identity.hashed(identity.optimizer(self.optimizer))
        return identity.digest([task, optimizer, sorted(self.traced), self.protocol])

    @property
    def name(self) -> str:
        """Hash of everything that determines the run."""
        return identity.digest([self.group, self.traced, self.seed])

    @property
    def hyper(self) -> dict[str, float]:
        """The hyperparameters: traced numbers, without what is traced but no single number."""
        return {key: value for key, value in self.traced.items() if isinstance(value, float)}

    @property
    def settings(self) -> dict[str, Any]:
        """What else is traced, as the user wrote it: it makes a run another experiment."""
        return {key: value for key, value in self.shown.items() if key not in self.hyper}


def make_run(
    task: Mapping[str, Any],
    optimizer: Mapping[str, Any],
    seed: int,
    protocol: Mapping[str, Any] | None = None,
    tuned: Mapping[tuple[str, str], Mapping[str, float]] | None = None,
    role: str = "final",
    seeds: Mapping[str, Any] = roles.SEEDS,
) -> Run:
    """Checks one request completely and resolves it to a `Run`, before anything trains.

    Args:
      task: config with ``_target_`` and ``name``; ``files`` lists the arguments that are paths of
        files or folders, whose content determines the run, wherever they lie.
      optimizer: config with ``_target_``, ``name``, ``traced`` and keyword arguments, those whose
        names the suite needs itself (`identity.RESERVED`) under ``arguments``; a traced value
        ``auto`` is looked up in `tuned`, then in the config's ``untuned``. An untuned run takes the
        latter alone.
      seed: an integer >= 0.
      protocol: overrides of `PROTOCOL`.
      tuned: tuned hyperparameters by (task name, optimizer name).
      role: what the run is for, one of `roles.ROLES`.
      seeds: the seeds of each role.

    Raises:
      PlanError: anything that would make training fail or mean nothing, or that no record holds.
    """
    if not identity.is_plain(task["name"]):
        raise PlanError(
            f"task.name={task['name']!r} cannot be the name of a folder, where its records go"
        )
    _check_kinds(optimizer)
    config = _unnested(optimizer)
    traced_names = list(config.pop("traced", ["learning_rate"]))
    missing = [key for key in ("_target_", "name", *traced_names) if config.get(key) is None]
    if missing:
        raise PlanError(f"optimizer config {config.get('name', '')!r} lacks {', '.join(missing)}")
    _check_recordable(traced_names, config)
    shown = {key: config.pop(key) for key in traced_names}
    if role == roles.UNTUNED:
        _check_untuned(shown, config)
    known = {} if role == roles.UNTUNED else tuned or {}
    shown = _resolve_auto(shown, config, str(task["name"]), known)
    config, values = _canonical(config, shown)
    traced = {key: _traced_value(key, value) for key, value in values.items()}
    if complaint := roles.complaint(role, _seed(seed), seeds):
        raise PlanError(complaint)
    whole = _protocol(protocol or {})
    schedules.check(config | traced, whole["steps"])
    return Run(_with_contents(task), config, traced, seed, whole, shown, role)


def _with_contents(task: Mapping[str, Any]) -> dict[str, Any]:
    """The task's config, with the SHA-256 of each of its ``files`` under ``contents``."""
    names = task.get("files") or []
    if not isinstance(names, list | tuple) or not all(task.get(str(name)) for name in names):
        raise PlanError(f"task {task['name']}: files={names!r} must list arguments that are paths")
    return dict(task) | ({"contents": {n: _content(task, n) for n in names}} if names else {})


def _content(task: Mapping[str, Any], name: str) -> str:
    path = Path(str(task[name]))
    try:
        return _of_folder(path.resolve()) if path.is_dir() else _of_file(path.resolve())
    except OSError as error:
        why = error.strerror or first_words(error)
        raise PlanError(f"task {task['name']}: {name}={task[name]}: {why}") from None


def _of_folder(path: Path) -> str:
    """From the names and contents of all files in it, hidden ones left out."""
    inside = {found.relative_to(path): found for found in sorted(path.rglob("*"))}
    files = {
        name.as_posix(): _of_file(found)
        for name, found in inside.items()
        if found.is_file() and not any(part.startswith(".") for part in name.parts)
    }
    return f"sha256:{identity.digest(files)}"


def _of_file(path: Path) -> str:
    found = path.stat()
    return _digest(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=1024)
def _digest(path: Path, _changed: int, _size: int) -> str:
    """Read once for all runs of a sweep, and again when the file has changed."""
    return f"sha256:{file_digest(path)}"


def _check_kinds(optimizer: Any) -> None:
    """Refuses an optimizer config whose own keys hold something of another kind."""
    if not isinstance(optimizer, Mapping):
        raise PlanError(f"optimizer={optimizer!r} is no config of an optimizer")
    name = optimizer.get("name", "")
    for key in ("grid", "untuned", "probes", "arguments"):
        if not isinstance(optimizer.get(key) or {}, Mapping):
            raise PlanError(f"optimizer {name}: {key}={optimizer[key]!r} must be a mapping")
    traced = optimizer.get("traced", [])
    if not isinstance(traced, list | tuple) or not all(isinstance(x, str) for x in traced):
        raise PlanError(f"optimizer {name}: traced={traced!r} must be a list of names")


def _unnested(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """The config with ``arguments`` beside its other keys, but for names that are the suite's."""
    config = dict(optimizer)
    nested = dict(config.pop("arguments", None) or {})
    ours = {key: nested.pop(key) for key in list(nested) if key in identity.RESERVED}
    if twice := sorted(set(nested) & set(config)):
        raise PlanError(f"optimizer.{twice[0]} is given twice: as optimizer.arguments.{twice[0]}")
    return config | nested | ({"arguments": ours} if ours else {})


def _check_recordable(traced: list[str], config: Mapping[str, Any]) -> None:
    """Refuses what a record could not hold, before anything trains."""
    if taken := sorted(set(traced) & {*FIELDS, *identity.RESERVED}):
        raise PlanError(
            f"optimizer {config['name']}: no traced number may be called {taken[0]!r}, which is a "
            "column of the records or a key of the suite; rename the argument of its target"
        )
    if static := sorted(set(config.get("grid") or {}) - set(traced)):
        raise PlanError(
            f"optimizer {config['name']}: its grid tunes {static[0]!r}, which `traced` does not "
            f"name (it names {', '.join(traced)}); tuned values are traced numbers"
        )


def _canonical(
    config: dict[str, Any], shown: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments in the spelling that is hashed, by the function that the config names for it.

    An optimizer that can be written in several ways (a propagator's notation, the name of an
    initial law) has a key ``canonical``: the dotted path of a function from its arguments to the
    same in one spelling, which raises a ValueError for what cannot be meant.
    """
    path = config.pop("canonical", None)
    if path is None:
        return config, dict(shown)
    ours = {key: value for key, value in config.items() if key in identity.RESERVED}
    given = {key: value for key, value in config.items() if key not in ours} | shown
    try:
        made = resolve(path, "canonical")(given)
    except (ValueError, TypeError) as error:
        raise PlanError(f"optimizer {config['name']}: {error}") from None
    static = {key: value for key, value in made.items() if key not in shown}
    return ours | static, {key: made[key] for key in shown}


def group_runs(runs: Iterable[Run], most: int | None = None) -> list[list[Run]]:
    """Splits runs into rectangles (every seed x every hyperparameter point) of equal group.

    Args:
      runs: any runs; duplicates (same name) are dropped.
      most: largest number of runs in one program; None for no limit.

    Returns:
      Lists of runs, each ordered by hyperparameters, then seed; each one program.
    """
    by_group: dict[str, dict[str, Run]] = {}
    for run in runs:
        by_group.setdefault(run.group, {}).setdefault(run.name, run)
    return [
        part
        for members in by_group.values()
        for rectangle in _rectangles(list(members.values()))
        for part in _split(rectangle, most)
    ]


def _rectangles(runs: list[Run]) -> list[list[Run]]:
    points_of: dict[int, dict[str, Run]] = {}
    for run in runs:
        points_of.setdefault(run.seed, {})[identity.canonical(run.traced)] = run
    by_points: dict[tuple[str, ...], list[int]] = {}
    for seed in sorted(points_of):
        by_points.setdefault(tuple(sorted(points_of[seed])), []).append(seed)
    return [
        [points_of[seed][point] for point in points for seed in seeds]
        for points, seeds in by_points.items()
    ]


def _split(rectangle: list[Run], most: int | None) -> list[list[Run]]:
    """Cuts a rectangle into programs of at most `most` runs, as equal as possible."""
    seeds = len({run.seed for run in rectangle})
    points = len(rectangle) // seeds
    if most is None or len(rectangle) <= most:
        return [rectangle]
    if seeds > most:  # one hyperparameter point already has more seeds than fit
        columns = [rectangle[i * seeds : (i + 1) * seeds] for i in range(points)]
        parts = math.ceil(seeds / most)
        size = math.ceil(seeds / parts)
        return [column[i : i + size] for column in columns for i in range(0, seeds, size)]
    parts = math.ceil(points / (most // seeds))
    size = math.ceil(points / parts) * seeds
    return [rectangle[i : i + size] for i in range(0, len(rectangle), size)]


def shard_name(runs: list[Run]) -> str:
    """File name of the record of these runs: readable start, then a hash of the set."""
    label = str(runs[0].optimizer["name"]).lower()
    slug = "".join(c if c.isalnum() or c in ".-" else "_" for c in label)
    while len(slug.encode()) > MOST_BYTES:
        slug = slug[:-1]
    slug = slug.strip("_")
    return f"{slug}-{identity.digest(sorted(run.name for run in runs))}"


def _resolve_auto(
    shown: dict[str, Any], config: dict[str, Any], task: str, tuned: Mapping[Any, Any]
) -> dict[str, Any]:
    values = dict(tuned.get((task, str(config["name"])), config.get("untuned") or {}))
    out = {}
    for key, value in shown.items():
        if value == "auto" and values.get(key) is None:
            raise PlanError(
                f"{key}: auto, but {config['name']} has no tuned {key} for {task}; "
                f"give optimizer.{key}=NUMBER or run scripts/tune.py first"
            )
        out[key] = float(values[key]) if value == "auto" else value
    return out


def _check_untuned(shown: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuses an untuned run at another point than the config's ``untuned``."""
    point = config.get("untuned") or {}
    for key, value in shown.items():
        if value != "auto" and key not in (config.get("grid") or {}):
            continue
        where = f"role=untuned: optimizer {config['name']}"
        if point.get(key) is None:
            raise PlanError(f"{where} has no untuned.{key}, its default value")
        if value != "auto" and _number(key, value) != _number(key, point[key]):
            raise PlanError(f"{where}: {key}={value!r} must be auto, its untuned {point[key]}")


def _traced_value(key: str, value: Any) -> float | tuple[float, ...]:
    several = isinstance(value, list | tuple)
    numbers = [_number(key, x) for x in (value if several else [value])]
    if not several and numbers[0] < 0:
        raise PlanError(f"optimizer.{key}={value!r} must be finite and not negative")
    return tuple(numbers) if several else numbers[0]


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool):
        raise PlanError(f"optimizer.{key}={value!r} is not a number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise PlanError(f"optimizer.{key}={value!r} is not a number") from None
    if not abs(number) <= FLOAT32:  # what is traced is float32; NaN is not, either
        raise PlanError(f"optimizer.{key}={value!r} must be finite and not negative")
    return number


def _seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise PlanError(f"seed={seed!r} must be an integer from 0 to 2147483647")
    return seed


def _protocol(overrides: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(overrides) - set(PROTOCOL)
    if unknown:
        raise PlanError(f"protocol has no {sorted(unknown)}; it has {sorted(PROTOCOL)}")
    protocol = {**PROTOCOL, **overrides}
    for key in ("steps", "batch_size", "eval_every", "law_every"):
        if (
            isinstance(protocol[key], bool)
            or not isinstance(protocol[key], int)
            or protocol[key] < 1
        ):
            raise PlanError(f"protocol.{key}={protocol[key]!r} must be a positive integer")
    if protocol["data"] not in ("real", "synthetic"):
        raise PlanError(f"protocol.data={protocol['data']!r} must be real or synthetic")
    return protocol
