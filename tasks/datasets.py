"""MNIST, Fashion-MNIST and CIFAR-10 as canonical uint8 arrays, the same whatever they came from.

The order is a property of the content: within the canonical training set and the canonical test
set, images are sorted by the SHA-256 of their bytes. So tensorflow-datasets (which shuffles by a
hash of its own), the raw files and every mirror give the same arrays, and "the first 90 % train,
the rest validates" is one fixed random split. A SHA-256 of the result is kept in `SPECS` and
checked on every load.
"""

import os
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.canonical import CLASSES, Spec, checked, checksum
from tasks.sources import NAMES, DataError, Splits, fetch
from tasks.task import Dataset

SPECS = {
    spec.name: spec
    for spec in (
        Spec(
            "mnist",
            (28, 28, 1),
            60_000,
            10_000,
            "16a4e8fc7163b5c78c507da7005f181494168804c5b1389a1cc7ebdef1691ca2",
        ),
        Spec(
            "fashion_mnist",
            (28, 28, 1),
            60_000,
            10_000,
            "9ee7c8588d41fb62a24adb610e2eabad189b01985d4223d862d4ce0780d8e486",
        ),
        Spec(
            "cifar10",
            (32, 32, 3),
            50_000,
            10_000,
            "b938af265c93b8b536f40cd265ab98f36bc7bdba31b2dc1ea920712a11503972",
        ),
    )
}


def load(dataset: str, folder: str | os.PathLike[str] | None = None) -> Dataset:
    """Reads a data set from the cache, which is filled first if it has to be.

    Args:
      dataset: "mnist", "fashion_mnist" or "cifar10".
      folder: the cache; None is `default_folder()`.

    Returns:
      Splits of 54,000/6,000/10,000 (45,000/5,000/10,000 for CIFAR-10), see `split`.

    Raises:
      DataError: unknown name, no source reachable, bytes with the wrong checksum, or a cache
        folder that cannot be written; the message is one line for the user.
    """
    spec, path = find(dataset), cached(dataset, folder)
    if not path.exists():
        fill(dataset, folder)
    return split(_read(spec, path), dataset, spec.checksum)


def fill(
    dataset: str,
    folder: str | os.PathLike[str] | None = None,
    sources: Sequence[str] = NAMES,
    raw_folder: str | os.PathLike[str] | None = None,
) -> Path:
    """Fetches a data set from the first source that delivers it and stores it; returns the file.

    Args:
      dataset: its name.
      folder: the cache; None is `default_folder()`.
      sources: what to try, in order (see `tasks.sources`).
      raw_folder: where the source "folder" looks; None is the cache's own sub-folder `dataset`.

    Raises:
      DataError: as `load`. The cache is as it was before.
    """
    spec, path = find(dataset), cached(dataset, folder)
    require_writable(path.parent)
    raw = Path(raw_folder) if raw_folder is not None else path.with_suffix("")
    splits = fetch(spec.name, sources, raw, lambda splits: checked(spec, splits))
    return write_arrays(splits._asdict(), path)


def find(dataset: str) -> Spec:
    """The data set called `dataset`; DataError names the known ones."""
    if dataset not in SPECS:
        raise DataError(f"unknown data set {dataset!r}; known: {', '.join(SPECS)}")
    return SPECS[dataset]


def cached(dataset: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """The file that holds the data set in the cache `folder`; it need not exist."""
    return Path(folder or default_folder()) / f"{find(dataset).name}.npz"


def default_folder() -> Path:
    """The cache folder: the environment variable RLLC_DATA, else ~/.cache/rllc/data."""
    return Path(os.environ.get("RLLC_DATA") or "~/.cache/rllc/data").expanduser()


def split(canonical: Splits, name: str, checksum: str) -> Dataset:
    """The first 90 % of the canonical training set trains, the rest validates (no copies).

    Returns:
      Splits {"x": images uint8 (n, h, w, c), "y": labels int32 (n,)}.
    """
    images, labels, test_images, test_labels = canonical
    cut = len(images) * 9 // 10

    def examples(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        return {"x": x, "y": y.astype(np.int32)}

    return Dataset(
        examples(images[:cut], labels[:cut]), examples(images[cut:], labels[cut:]),
        examples(test_images, test_labels), name, checksum,
    )  # fmt: skip


def _read(spec: Spec, path: Path) -> Splits:
    advice = f"remove it, or run `python scripts/prepare_data.py {spec.name} --force`"
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            splits = Splits(*(file[name] for name in Splits._fields))
    except Exception as error:  # a damaged archive raises nearly anything
        raise DataError(f"{path} cannot be read ({error}): {advice}") from error
    if checksum(splits) != spec.checksum:
        raise DataError(f"{path} does not have the SHA-256 {spec.checksum}: {advice}")
    return splits


def write_arrays(arrays: Mapping[str, Any], path: Path) -> Path:
    """An ``.npz``, written beside and renamed, so that a file of this name is always whole.

    Raises:
      DataError: it cannot be written.
    """
    beside = path.with_name(f".{path.stem}-{uuid.uuid4().hex}")
    try:
        with open(beside, "xb") as file:
            np.savez(file, **arrays)
        os.replace(beside, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def require_writable(folder: Path) -> None:
    """Makes the folder of the cache; DataError if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"the data folder {folder} cannot be written ({error.strerror or error}); "
            "name another one with the environment variable RLLC_DATA"
        ) from error


def synthetic(dataset: str, size: int = 512, seed: int = 0) -> Dataset:
    """Random images in the shape of a data set, with ten classes that a network can learn.

    Args:
      dataset: whose image shape and ratio of training to test images to copy.
      size: images in the canonical training set: 90 % train, 10 % validate.
      seed: of everything random here.

    Returns:
      Images of a blocky prototype per class plus noise; the checksum starts with "synthetic-".

    Example:
      >>> data = synthetic("cifar10", size=100)
      >>> data.train["x"].shape, data.validation["x"].shape, data.test["x"].shape
      ((90, 32, 32, 3), (10, 32, 32, 3), (20, 32, 32, 3))
    """
    spec, generator = find(dataset), np.random.default_rng(seed)
    height, width, channels = spec.image_shape
    blocks = generator.uniform(0, 255, (CLASSES, height // 4, width // 4, channels))
    prototypes = blocks.repeat(4, axis=1).repeat(4, axis=2)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = generator.permutation(np.arange(count) % CLASSES).astype(np.uint8)
        noisy = prototypes[labels] + generator.normal(0, 40, (count, *spec.image_shape))
        return noisy.clip(0, 255).astype(np.uint8), labels

    splits = Splits(*draw(size), *draw(max(1, size * spec.test // spec.train)))
    return split(splits, dataset, f"synthetic-{checksum(splits)}")
