"""What Hydra composed before, of the same files and words: composing takes it 70 ms each time."""

import functools
import hashlib
import importlib.metadata
import json
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rllc.suite.engine.devices import cache_folder

MOST = 3000  # files, some kilobytes each


def remembered(
    folders: Sequence[Path], words: Sequence[str], compose: Callable[[], DictConfig]
) -> DictConfig:
    """The configuration that `compose` makes, from the cache folder where it was made before.

    Args:
      folders: of configs; all that is in their YAML files counts.
      words: overrides.
      compose: makes it; what it raises is not remembered.
    """
    texts = [text for folder in folders for text in _texts(folder)]
    if any("oc.env" in text for text in (*texts, *words)) or any("hydra" in w for w in words):
        return compose()  # of more than these files and words
    file = cache_folder() / "configs" / f"{_digest([*texts, *words])}.pickle"
    try:
        found: DictConfig = OmegaConf.create(pickle.loads(file.read_bytes()))
    except Exception:  # not there, or damaged in any way: it is made anew
        cfg = compose()
        _write(file, OmegaConf.to_container(cfg, resolve=False))
        return cfg
    OmegaConf.set_struct(found, True)  # as Hydra leaves it
    return found


def _texts(folder: Path) -> list[str]:
    """Names and texts of the YAML files in a folder, all in one order."""
    files = sorted(folder.rglob("*.yaml"))
    return [t for f in files for t in (f.relative_to(folder).as_posix(), f.read_text("utf-8"))]


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([*_versions(), *texts]).encode()).hexdigest()


@functools.cache
def _versions() -> tuple[str, ...]:
    return sys.version, *map(importlib.metadata.version, ("hydra-core", "omegaconf"))


def _write(file: Path, plain: Any) -> None:
    """Remembers; a folder that cannot be written costs time only."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_bytes(pickle.dumps(plain, protocol=5))
        beside.replace(file)
        ages = {f: f.stat().st_mtime for f in file.parent.iterdir()}
        for old in sorted(ages, key=ages.__getitem__)[:-MOST]:
            old.unlink(missing_ok=True)
    except OSError:
        return
