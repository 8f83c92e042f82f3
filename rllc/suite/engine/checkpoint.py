"""Checkpoints of unfinished groups: one NumPy archive, whole or absent."""

import os
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np


def save(path: Path, tree: Any, noted: dict[str, np.ndarray]) -> None:
    """Writes the leaves of `tree` and the arrays `noted` beside `path`, then renames."""
    leaves = jax.tree.leaves(tree)
    arrays: dict[str, Any] = {f"leaf/{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        np.savez(file, **{**arrays, **noted})
    beside.replace(path)


def load(path: Path, tree: Any) -> tuple[Any, dict[str, np.ndarray]] | None:
    """Reads a checkpoint into the structure, shapes and shardings of `tree`.

    Returns:
      (tree, noted), or None if there is no checkpoint or it is of another structure.
    """
    try:
        with np.load(path) as archive:
            stored = dict(archive)
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, EOFError):
        return None
    leaves, structure = jax.tree.flatten(tree)
    restored = [stored.pop(f"leaf/{i}", None) for i in range(len(leaves))]
    for new, old in zip(restored, leaves, strict=True):
        if new is None or new.shape != old.shape or new.dtype != old.dtype:
            return None
    placed = [jax.device_put(n, o.sharding) for n, o in zip(restored, leaves, strict=True)]
    return jax.tree.unflatten(structure, placed), stored
