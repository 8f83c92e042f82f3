"""What to train: runs, their identity, and the groups that train as one program.

A *run* is (task, optimizer, hyperparameters, seed, protocol). Its name is a hash of what
determines it and of nothing else: not of labels, nor of the order of words on a command
line. Runs that differ only in traced numbers and seeds form a *group*.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import rllc

# Keys of an optimizer config that are ours; the rest is handed to its `_target_`.
LABELS = ("name", "family", "grid", "untuned", "probes")
PROTOCOL = {"steps": 10_000, "batch_size": 128, "eval_every": 250, "law_every": 10, "data": "real"}


class PlanError(ValueError):
    """A request that cannot be trained; the message is one line for the user."""


class Run(NamedTuple):
    """One training run.

    Attributes:
      task: resolved task config: ``_target_``, ``name`` and settings.
      optimizer: static part of the optimizer config, labels included.
      traced: hyperparameters handed over as traced numbers, by name; floats or tuples.
      seed: root of every random stream.
      protocol: steps, batch size, cadence of evaluation, kind of data.
      shown: the hyperparameters as the user wrote them (``initial_law: ones``).
    """

    task: dict[str, Any]
    optimizer: dict[str, Any]
    traced: dict[str, Any]
    seed: int
    protocol: dict[str, Any]
    shown: dict[str, Any]

    @property
    def group(self) -> str:
        """Hash shared by the runs that one program can train."""
        return _digest([self.task, _identity(self.optimizer), sorted(self.traced), self.protocol])

    @property
    def name(self) -> str:
        """Hash of everything that determines the run."""
        return _digest([self.group, self.traced, self.seed])


def make_run(
    task: Mapping[str, Any],
    optimizer: Mapping[str, Any],
    seed: int,
    protocol: Mapping[str, Any] | None = None,
    tuned: Mapping[tuple[str, str], Mapping[str, float]] | None = None,
) -> Run:
    """Checks one request completely and resolves it to a `Run`, before anything trains.

    Args:
      task: config with ``_target_`` and ``name``.
      optimizer: config with ``_target_``, ``name``, ``traced`` and keyword arguments; a
        traced value ``auto`` is looked up in `tuned`, then in the config's ``untuned``.
      seed: an integer >= 0.
      protocol: overrides of `PROTOCOL`.
      tuned: tuned hyperparameters by (task name, optimizer name).

    Raises:
      PlanError: anything that would make training fail or mean nothing.
    """
    config = dict(optimizer)
    if "propagator" in config:
        config["propagator"] = str(_parsed(config["propagator"]))
    traced_names = list(config.pop("traced", ["learning_rate"]))
    missing = [key for key in ("_target_", "name", *traced_names) if config.get(key) is None]
    if missing:
        raise PlanError(f"optimizer config {config.get('name', '')!r} lacks {', '.join(missing)}")
    shown = {key: config.pop(key) for key in traced_names}
    shown = _resolve_auto(shown, config, str(task["name"]), tuned or {})
    traced = {key: _traced_value(key, value, config) for key, value in shown.items()}
    return Run(dict(task), config, traced, _seed(seed), _protocol(protocol or {}), shown)


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
        points_of.setdefault(run.seed, {})[_canonical(run.traced)] = run
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
    slug = "".join(c if c.isalnum() or c in ".-" else "_" for c in label).strip("_")
    return f"{slug}-{_digest(sorted(run.name for run in runs))}"


def _resolve_auto(shown: dict, config: dict, task: str, tuned: Mapping) -> dict:
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


def _traced_value(key: str, value: Any, config: dict) -> float | tuple[float, ...]:
    if key == "initial_law":
        try:
            law = rllc.initial_law(value, _parsed(config["propagator"]).num_units)
        except (ValueError, TypeError) as error:
            raise PlanError(f"optimizer.initial_law={value}: {error}") from None
        return tuple(float(x) for x in law)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise PlanError(f"optimizer.{key}={value!r} is not a number") from None
    if not math.isfinite(number) or number < 0:
        raise PlanError(f"optimizer.{key}={value!r} must be finite and not negative")
    return number


def _parsed(text: Any) -> rllc.Propagator:
    try:
        return rllc.parse(text) if isinstance(text, str) else text
    except ValueError as error:
        raise PlanError(f"optimizer.propagator: {error}") from None


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


def _identity(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in optimizer.items() if key not in LABELS}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(value: Any) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:16]
