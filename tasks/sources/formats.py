"""Readers for the forms in which people keep these data sets: a folder of files in, arrays out.

A layout is a function of a folder that returns `Splits`, or None if its files are not there.
"""

import gzip
import io
import json
import math
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MOST_BYTES = 1 << 30  # of one file, unpacked: the largest real one has 180 MB
MOST_PIXELS = 1 << 24  # of a picture: 10,000 rows of 1,024 are real


class DataError(RuntimeError):
    """Data that cannot be had or trusted; the message is one line for the user."""


class Splits(NamedTuple):
    """The canonical training and test sets as delivered: images (n, ...) and labels (n,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def read(dataset: str, folder: Path) -> Splits:
    """The data set from raw files in `folder`, its sub-folder `dataset`, or a usual sub-folder.

    Raises:
      DataError: no such folder, no known layout in it, or a file that is damaged.
    """
    if not folder.is_dir():
        raise DataError("no such folder")
    for place in (folder / dataset, folder, *(folder / name for name in USUAL[dataset])):
        for layout in LAYOUTS[dataset]:
            found = layout(place) if place.is_dir() else None
            if found is not None:
                return found
    raise DataError(f"no {EXPECTED[dataset]} found")


def idx(folder: Path) -> Splits | None:
    """The four files of MNIST and Fashion-MNIST, plain or .gz, `-idx3` or `.idx3` in the name."""
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    paths = [_idx_path(folder, name) for name in names]
    if not any(paths):
        return None
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing:
        raise DataError(f"{folder} has no {', '.join(missing)}-ubyte")
    return Splits(*(read_idx(path) for path in paths if path is not None))


def _idx_path(folder: Path, name: str) -> Path | None:
    stems = (f"{name}-ubyte", f"{name.replace('-idx', '.idx')}-ubyte")
    paths = (folder / f"{stem}{end}" for stem in stems for end in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def read_idx(path: Path) -> np.ndarray:
    """One IDX file of unsigned bytes: two zeros, type 8, rank, big-endian sizes, then the bytes."""
    data = contents(path)
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path} is damaged: not an IDX file of unsigned bytes")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    array = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if array.size != math.prod(shape):
        raise DataError(f"{path} is damaged: {array.size} bytes of data, expected shape {shape}")
    return array.reshape(shape)


def contents(path: Path) -> bytes:
    """Contents of a file, unpacked if it is a .gz or .dz; never more than `MOST_BYTES`."""
    try:
        with gzip.open(path) if path.suffix in (".gz", ".dz") else open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or unreadable: {error}") from error
    check_size(path, len(data))
    return data


def check_size(path: Path, size: int) -> None:
    """Refuses what unpacks to more than any of these data sets has.

    Raises:
      DataError: `size` bytes are more than `MOST_BYTES`.
    """
    if size > MOST_BYTES:
        raise DataError(f"{path} is refused: it unpacks to more than {MOST_BYTES >> 20} MiB")


def cifar_binary(folder: Path) -> Splits | None:
    """CIFAR-10's binary version: rows of one label and 3 × 32 × 32 bytes, channels first."""

    def batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
        data = np.frombuffer(contents(path), np.uint8)
        if data.size == 0 or data.size % 3073:
            raise DataError(f"{path} is damaged: {data.size} bytes are not rows of 3073")
        rows = data.reshape(-1, 3073)
        return channels_last(rows[:, 1:]), rows[:, 0]

    return _batches(folder, ".bin", batch)


def cifar_python(folder: Path) -> Splits | None:
    """CIFAR-10's Python version: pickled dictionaries of data (n, 3072) and a list of labels."""

    def batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
        content = _unpickle(path)
        try:
            data = np.asarray(content[b"data"], np.uint8)
            return channels_last(data), np.asarray(content[b"labels"], np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} is not a CIFAR-10 batch: {error!r}") from error

    return _batches(folder, "", batch)


def cifar_strips(folder: Path) -> Splits | None:
    """CIFAR-10 as six PNG pictures, one image of 32 × 32 pixels per row, and two label lists."""

    def labels(name: str) -> np.ndarray:
        try:
            return np.asarray(json.loads(contents(folder / name)), np.int64)
        except ValueError as error:
            raise DataError(f"{folder / name} is damaged: {error}") from error

    def batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
        images = _read_strip(path)
        return images, np.zeros(len(images), np.int64)

    pictures = _batches(folder, ".png", batch)
    if pictures is None:
        return None
    # The package spells it "lables".
    return pictures._replace(
        train_labels=labels("train_lables.json"), test_labels=labels("test_lables.json")
    )


def _read_strip(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(contents(path))) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} × {picture.height} pixels are too many")
            return np.asarray(picture.convert("RGB")).reshape(-1, 32, 32, 3)
    except DataError:
        raise
    except Exception as error:  # PIL raises many for a picture that is bad or claims to be huge
        raise DataError(f"{path} is damaged: {error}") from error


def _batches(
    folder: Path, end: str, read_batch: Callable[[Path], tuple[np.ndarray, np.ndarray]]
) -> Splits | None:
    """data_batch_1 … data_batch_5 joined, and test_batch; None if the first is not there."""
    paths = [folder / f"data_batch_{i}{end}" for i in range(1, 6)] + [folder / f"test_batch{end}"]
    if not paths[0].is_file():
        return None
    *train, test = (read_batch(path) for path in paths)
    images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    return Splits(images, labels, *test)


def channels_last(rows: np.ndarray) -> np.ndarray:
    """CIFAR's rows (n, 3072), channels first, as images (n, 32, 32, 3)."""
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that can build arrays, bytes, lists and dictionaries, and call nothing else."""

    allowed = frozenset({"_reconstruct", "ndarray", "dtype", "encode"})

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core", "numpy._core")  # the published files say the former
        if module in ("numpy", "numpy._core.multiarray", "_codecs") and name in self.allowed:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"refused to load {module}.{name}")


def _unpickle(path: Path) -> Any:
    try:
        return _ArraysOnly(io.BytesIO(contents(path)), encoding="bytes").load()
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"{path} is damaged or unsafe: {error}") from error


def npz(*names: str) -> Callable[[Path], Splits | None]:
    """A layout: one .npz file with the arrays of `Splits`, or x_train, y_train, x_test, y_test."""

    def layout(folder: Path) -> Splits | None:
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        return None if path is None else read_npz(path)

    return layout


def read_npz(path: Path) -> Splits:
    """The four arrays of an .npz file under either of the two usual sets of names."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            check_size(path, sum(member.file_size for member in file.zip.infolist()))
            ours = set(Splits._fields) <= set(file.files)
            names = Splits._fields if ours else ("x_train", "y_train", "x_test", "y_test")
            return Splits(*(file[name] for name in names))
    except DataError:
        raise
    except Exception as error:  # a damaged or hostile archive raises nearly anything
        raise DataError(f"{path} is damaged or has other arrays: {error}") from error


LAYOUTS: dict[str, tuple[Callable[[Path], Splits | None], ...]] = {
    "mnist": (idx, npz("mnist.npz")),
    "fashion_mnist": (idx, npz("fashion_mnist.npz", "fashion-mnist.npz")),
    "cifar10": (cifar_binary, cifar_python, cifar_strips, npz("cifar10.npz", "cifar-10.npz")),
}
# Where the archives and torchvision put the files.
USUAL = {
    "mnist": ("MNIST/raw",),
    "fashion_mnist": ("FashionMNIST/raw", "fashion-mnist"),
    "cifar10": ("cifar-10-batches-bin", "cifar-10-batches-py"),
}
EXPECTED = {
    "mnist": "train-images-idx3-ubyte[.gz] or mnist.npz",
    "fashion_mnist": "train-images-idx3-ubyte[.gz] or fashion_mnist.npz",
    "cifar10": "data_batch_1[.bin|.png] or cifar10.npz",
}
