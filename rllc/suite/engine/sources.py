"""A digest of the code that a group trains with: ours, and what its configs name."""

import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rllc.suite.plan.targets import resolve

ENGINE = Path(__file__).resolve().parent
INSTALLED = Path(sysconfig.get_paths()["purelib"])  # packages, whose versions are noted


def digest(*configs: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that change with the code of the engine or of a config's targets.

    Of a target the whole package counts, if it is not an installed one, else its module. The suite
    itself counts with its engine and its optimizers only: tables may change while a group trains.
    """
    files = set(ENGINE.glob("*.py"))
    for target in _targets(configs):
        files |= _files(target)
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def _targets(config: Any) -> Iterator[str]:
    """Every ``_target_`` in nested configs."""
    if isinstance(config, Mapping):
        if isinstance(config.get("_target_"), str):
            yield config["_target_"]
        config = list(config.values())
    if isinstance(config, Iterable) and not isinstance(config, str):
        for value in config:
            yield from _targets(value)


def _files(target: str) -> set[Path]:
    named = getattr(resolve(target), "__module__", None) or target.rpartition(".")[0]
    module = sys.modules.get(named)
    if module is None or not getattr(module, "__file__", None):
        return set()
    file = Path(str(module.__file__)).resolve()
    top = sys.modules.get(module.__name__.partition(".")[0])
    outside = INSTALLED.resolve() not in file.parents
    if outside and top is not None and getattr(top, "__path__", None):
        return set(_package(Path(next(iter(top.__path__)))))
    return {file}


def _package(folder: Path) -> Iterator[Path]:
    """Its Python files; of the suite in it only what trains."""
    suite = ENGINE.parent
    shown = suite.parent / "replication"
    for path in folder.resolve().rglob("*.py"):
        trains = suite not in path.parents or suite / "optimizers" in path.parents
        if trains and shown not in path.parents:
            yield path
