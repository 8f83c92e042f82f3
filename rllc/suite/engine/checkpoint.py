"""Checkpoints of unfinished groups: one NumPy archive, whole or absent, which says whose it is.

A checkpoint holds what is on the device and what was noted, for the runs of a group without the
padding of its layout, and the identity of both: names of the runs, and everything their arrays
depend on that no name holds, such as the code. Any group whose runs are all in it can go on from
it, on any number of devices. Nothing in it is ever unpickled.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rllc.suite.engine import processes
from rllc.suite.records.folders import whole

FORMAT = 2
ASIDE = "aside"  # sub-folder for what could not be used
IDENTITY = "identity"


class Refused(ValueError):
    """A checkpoint that a group cannot go on from; the message says why."""


class Saved(NamedTuple):
    """A checkpoint's arrays, cut to a group's runs.

    Attributes:
      leaves: of the carry, with axes (s, r) first.
      noted: name -> array; those of more than one axis are (n, s, r, …).
      devices: it was written on, in words.
    """

    leaves: list[np.ndarray]
    noted: dict[str, np.ndarray]
    devices: str


def save(
    path: Path,
    carry: Any,
    noted: dict[str, np.ndarray],
    runs: Sequence[Sequence[str]],
    made_by: dict[str, Any],
    devices: str,
) -> None:
    """Writes a checkpoint; all processes of a training call it, the first writes.

    Args:
      path: of the archive.
      carry: arrays (s', r', …), padded.
      noted: what else is kept; arrays of more than one axis are (n, s, r, …).
      runs: (r, s) names.
      made_by: what the arrays depend on besides the runs, JSON.
      devices: in words.

    Raises:
      OSError: the folder cannot be written.
    """
    points, seeds = len(runs), len(runs[0])
    leaves = [processes.whole(_bare(leaf))[:seeds, :points] for leaf in jax.tree.leaves(carry)]
    if not processes.leads():
        return
    identity = {"format": FORMAT, "runs": runs, "made_by": made_by, "devices": devices}
    text = np.frombuffer(json.dumps(identity, sort_keys=True).encode(), np.uint8)
    arrays: dict[str, Any] = {f"leaf/{i}": leaf for i, leaf in enumerate(leaves)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as beside, beside.open("wb") as file:
        np.savez(file, **{**arrays, **noted, IDENTITY: text})


def identity(path: Path) -> dict[str, Any]:
    """What a checkpoint says about itself.

    Raises:
      Refused: it is damaged or of another format.
    """
    return _identity(_read(path, [IDENTITY]))


def names(path: Path) -> set[str]:
    """Names of the runs in a checkpoint.

    Raises:
      Refused: it is damaged or of another format.
    """
    return {name for row in identity(path)["runs"] for name in row}


def done(path: Path) -> int:
    """Steps that a checkpoint has done; 0 if there is none that can be read."""
    try:
        return int(_read(path, ["done"])["done"])
    except Refused:
        return 0


def load(path: Path, runs: Sequence[Sequence[str]], made_by: dict[str, Any]) -> Saved:
    """Reads the part of a checkpoint that belongs to some runs, (r, s) names.

    Raises:
      Refused: it is damaged, lacks one of the runs, or was made by other code.
    """
    stored = _read(path)
    told = _identity(stored)
    del stored[IDENTITY]
    changed = [key for key in made_by if told["made_by"].get(key) != made_by[key]]
    if changed:
        raise Refused(f"it was written with other {', '.join(changed)}")
    points, seeds = _places(told["runs"], runs)
    try:
        count = sum(key.startswith("leaf/") for key in stored)
        leaves = [stored.pop(f"leaf/{i}") for i in range(count)]
        cut = [leaf[np.ix_(seeds, points)] for leaf in leaves]
        noted = {
            key: value[:, seeds][:, :, points] if value.ndim > 1 else value
            for key, value in stored.items()
        }
    except (KeyError, IndexError) as error:
        raise Refused(f"it is damaged: {error}") from None
    return Saved(cut, noted, told["devices"])


def _places(theirs: list[list[str]], ours: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    """Indices of our points and seeds among theirs."""
    at = {name: (p, s) for p, row in enumerate(theirs) for s, name in enumerate(row)}
    if any(name not in at for row in ours for name in row):
        raise Refused("it is of other runs")
    found = [[at[name] for name in row] for row in ours]
    points, seeds = [row[0][0] for row in found], [place[1] for place in found[0]]
    if found != [[(p, s) for s in seeds] for p in points]:
        raise Refused("its runs are arranged in another way")
    return points, seeds


def fitted(
    leaves: Sequence[np.ndarray], like: Any, pad: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray] | None:
    """The leaves, padded and of the types of those of `like`; None if they differ from them."""
    olds = jax.tree.leaves(like)
    if len(leaves) != len(olds):
        return None
    new = []
    for leaf, old in zip(leaves, olds, strict=True):
        bare = _bare(old)
        if leaf.dtype.kind == "V" and leaf.dtype.itemsize == bare.dtype.itemsize:
            leaf = leaf.view(bare.dtype)  # NumPy's format has no name for bfloat16
        leaf = pad(leaf)
        if leaf.shape != bare.shape or leaf.dtype != bare.dtype:
            return None
        new.append(leaf)
    return new


def place(leaves: Sequence[np.ndarray], like: Any) -> Any:
    """What `fitted` gave, in the structure and on the devices of `like`."""
    olds, structure = jax.tree.flatten(like)
    new = []
    for leaf, old in zip(leaves, olds, strict=True):
        put = processes.place(leaf, _bare(old).sharding)
        keys = _is_key(old)
        new.append(jax.random.wrap_key_data(put, impl=jax.random.key_impl(old)) if keys else put)
    return jax.tree.unflatten(structure, new)


def of_first(leaves: Sequence[np.ndarray] | None, like: Any) -> list[np.ndarray]:
    """What `fitted` gave process 0, in all processes, which all call it."""
    own = leaves or [np.zeros(bare.shape, bare.dtype) for bare in map(_bare, jax.tree.leaves(like))]
    return [processes.array_of_first(leaf) for leaf in own]


def set_aside(path: Path) -> Path:
    """Moves a checkpoint that cannot be used to the sub-folder `ASIDE`, under a name of its own."""
    folder = path.parent / ASIDE
    folder.mkdir(exist_ok=True)
    target = next(
        t for i in range(10**6) if not (t := folder / f"{path.stem}.{i}{path.suffix}").exists()
    )
    return path.rename(target)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _bare(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _read(path: Path, keys: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in keys or archive.files}
    except Exception as error:  # a damaged archive raises nearly anything
        if isinstance(error, KeyError) and keys:
            raise Refused("it is of another version of rllc") from None
        raise Refused(f"it is damaged: {type(error).__name__}: {error}") from None


def _identity(stored: dict[str, np.ndarray]) -> dict[str, Any]:
    if IDENTITY not in stored:
        raise Refused("it is of another version of rllc")
    try:
        told: dict[str, Any] = json.loads(stored[IDENTITY].tobytes())
        version = told["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"it is damaged: {error}") from None
    if version != FORMAT:
        raise Refused(f"it has format {version}, this version reads {FORMAT}")
    return told
