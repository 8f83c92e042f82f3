"""What of a config makes a run the run it is: stable ids, and hashes of nothing else.

An import path does not determine a run: code moves. An optimizer or task has an ``id`` in its
config, and that is hashed; without one its ``_target_`` is. Runs recorded before there were ids
hashed the target they had then, so their ids stand for these targets in the hash (`_HASHED`).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

# Keys of an optimizer or task config that are the suite's own and change no number.
LABELS = ("id", "_target_", "name", "family", "grid", "untuned", "probes", "scheduled")
# Keys of an optimizer config that are no arguments of its target.
RESERVED = (*LABELS, "traced", "arguments", "canonical", "evaluation_parameters", "schedules")
# A task's name is an argument of its target.
TASK_LABELS = ("id", "_target_", "files", "contents")

# id -> the target that runs recorded before there were ids have in their names.
_HASHED = {
    "classification": "tasks.make",
    "lm_rllc": "rllc.lm_rllc",
    "sgd": "optax.sgd",
    "adam": "optax.adam",
    "adamw": "optax.adamw",
    "adabelief": "optax.adabelief",
    "ademamix": "optax.contrib.ademamix",
    "lion": "optax.lion",
    "schedule_free_adamw": "optax.contrib.schedule_free_adamw",
    "schedule_free_sgd": "optax.contrib.schedule_free_sgd",
    "adabound": "rllc.suite.neighbours.adabound.adabound",
    "critical_adam": "rllc.suite.neighbours.critical_gradients.critical_adam",
    "critical_sgd": "rllc.suite.neighbours.critical_gradients.critical_sgd",
    "diffgrad": "rllc.suite.neighbours.diffgrad.diffgrad",
    "muon": "rllc.suite.neighbours.muon.muon",
    "swats": "rllc.suite.neighbours.swats.swats",
}
# The same for functions that an optimizer is evaluated with, by the id in their config.
_READERS = {
    "schedule_free_average": "optax.contrib.schedule_free_eval_params",
    "dog_average": "rllc.suite.optimizers.dog.average",
}
TAKEN = ("damaged",)  # folders of a records folder that are no task's
_PLAIN = re.compile(r"(?!\.)[^\x00-\x1f/\\:]{1,100}")
_FORMER = {target: name for name, target in {**_HASHED, **_READERS}.items()}


def id_of(config: Mapping[str, Any]) -> str:
    """The stable id of an optimizer or task config, recorded or of today.

    >>> id_of({"_target_": "optax.sgd"}), id_of({"id": "mine", "_target_": "a.b"})
    ('sgd', 'mine')
    """
    target = str(config.get("_target_", ""))
    return str(config.get("id") or _FORMER.get(target, target))


def optimizer(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of an optimizer config determines a run: its id and the arguments of its target."""
    kept = {key: value for key, value in config.items() if key not in LABELS}
    if isinstance(kept.get("schedules"), Mapping):  # their steps are the protocol's
        kept["schedules"] = {
            name: _without_steps(schedule) for name, schedule in kept["schedules"].items()
        }
    if reader := kept.get("evaluation_parameters"):
        whole = reader if isinstance(reader, Mapping) else {"_target_": reader}
        kept["evaluation_parameters"] = id_of(whole)
    return {"id": id_of(config), **kept}


def _without_steps(schedule: Any) -> Any:
    if not isinstance(schedule, Mapping):
        return schedule
    return {key: value for key, value in schedule.items() if key != "steps"}


def task(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a task config determines a run: its id and the arguments of its target.

    Of the arguments under ``files``, which are paths, the content does; it is under ``contents``.
    """
    kept = {key: value for key, value in config.items() if key not in TASK_LABELS}
    return {"id": id_of(config), **kept, **(config.get("contents") or {})}


def hashed(determining: Mapping[str, Any]) -> dict[str, Any]:
    """The same as it enters a hash: ids under the keys, and as the names, they once had there."""
    kept = {key: value for key, value in determining.items() if key != "id"}
    if reader := kept.get("evaluation_parameters"):
        kept["evaluation_parameters"] = _READERS.get(reader, reader)
    return {"_target_": _HASHED.get(determining["id"], determining["id"]), **kept}


def is_plain(name: Any) -> bool:
    r"""Whether a name may be that of a folder: no path, nothing hidden, not longer than most are.

    >>> [is_plain(name) for name in ("mnist_mlp", "../x", "a/b", ".x", "", "a\n", "damaged")]
    [True, False, False, False, False, False, False]
    """
    return isinstance(name, str) and bool(_PLAIN.fullmatch(name)) and name not in TAKEN


def canonical(value: Any) -> str:
    """JSON that does not depend on the order of keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]
