"""Text as bytes: two sets from packages, or files of the user's, cut into windows.

A split is one array of bytes: its documents one after another, each ended by a zero byte. Which
split a document is in, and its place there, follow from the SHA-256 of its content; equal documents
count once. So a text is the same whatever source it came from, and no document is in two splits.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks import datasets
from tasks.sources import OF_TEXTS, DataError, fetch_text
from tasks.task import Dataset

SPLITS = ("train", "validation", "test")
SHARES = (0.9, 0.05, 0.05)  # of the documents of a set, or of the bytes of a single file
END = b"\0"  # of a document
SUFFIXES = (".txt", ".md", ".rst", ".py")  # files of a folder that are read
MOST_BYTES = 1 << 30  # of a text of the user's


class Text(NamedTuple):
    """The bytes of each split, uint8 (n,)."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


# SHA-256 of the arrays of each set, see `checksum`.
SETS = {
    "sympy": "6b920eb0c1d96d8d4c4b245eb9bf74fe595446242e343187125a81cc0baa3a39",
    "gcide": "0468d51e169dd96a9ac10446d2a0d1eb9b67fc6d17247fe09af1b7ebf4bf90f0",
}


def load(name: str, folder: str | os.PathLike[str] | None = None) -> Text:
    """A set from the cache, which is filled first if it has to be.

    Args:
      name: "sympy" or "gcide".
      folder: the cache; None is `datasets.default_folder()`.

    Raises:
      DataError: unknown name, no source reachable, other bytes than expected, or a cache folder
        that cannot be written; the message is one line for the user.
    """
    path = cached(name, folder)
    if not path.exists():
        fill(name, folder)
    advice = f"remove it, or run `python scripts/prepare_data.py {name} --force`"
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            text = Text(*(file[split] for split in SPLITS))
    except Exception as error:  # a damaged archive raises nearly anything
        raise DataError(f"{path} cannot be read ({error}): {advice}") from error
    if checksum(text) != SETS[name]:
        raise DataError(f"{path} does not have the SHA-256 {SETS[name]}: {advice}")
    return text


def fill(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    sources: Sequence[str] = OF_TEXTS,
    raw_folder: str | os.PathLike[str] | None = None,
) -> Path:
    """Fetches a set from the first source that delivers it and stores it; returns the file.

    Args:
      name: of the set.
      folder: the cache; None is `datasets.default_folder()`.
      sources: what to try, in order (see `tasks.sources`); tensorflow-datasets has no texts.
      raw_folder: where the source "folder" looks; None is the cache's own sub-folder `name`.

    Raises:
      DataError: as `load`. The cache is as it was before.
    """
    path = cached(name, folder)
    datasets.require_writable(path.parent)
    raw = Path(raw_folder) if raw_folder is not None else path.with_suffix("")

    def accept(documents: list[bytes]) -> Text:
        text = divided(documents)
        if checksum(text) != SETS[name]:
            raise DataError(
                f"corrupted or different data: SHA-256 {checksum(text)} of the text, "
                f"expected {SETS[name]}"
            )
        return text

    text = fetch_text(name, [s for s in sources if s in OF_TEXTS], raw, accept)
    return datasets.write_arrays(text._asdict(), path)


def cached(name: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """The file that holds a set in the cache `folder`; it need not exist.

    Raises:
      DataError: unknown name.
    """
    if name not in SETS:
        raise DataError(f"unknown text {name!r}; known: {', '.join(SETS)}")
    return Path(folder or datasets.default_folder()) / f"{name}.npz"


def divided(documents: Iterable[bytes]) -> Text:
    """Documents joined to splits: by their hash as a fraction of the largest, in its order.

    Example:
      >>> text = divided([b"a", b"b", b"a"])
      >>> sum(map(len, text))
      4
    """
    hashed = {hashlib.sha256(document).digest(): document for document in documents if document}
    parts: list[list[bytes]] = [[], [], []]
    for digest in sorted(hashed):
        share = int.from_bytes(digest[:8]) / 2**64
        parts[(share >= SHARES[0]) + (share >= SHARES[0] + SHARES[1])] += [hashed[digest], END]
    return Text(*(np.frombuffer(b"".join(part), np.uint8) for part in parts))


@lru_cache(maxsize=2)
def own(path: Path) -> Text:
    """Text of the user's: a file, cut by `SHARES`, or the files of a folder, by their hash.

    Files need not be UTF-8, as bytes are predicted.

    Raises:
      DataError: nothing there, nothing in it, or too much.
    """
    if path.is_file():
        content = np.frombuffer(_contents(path, [path])[0], np.uint8)
        if not content.size:
            raise DataError(f"{path} is empty")
        cuts = (np.cumsum(SHARES[:-1]) * content.size).astype(int)
        return Text(*np.split(content, cuts))
    if not path.is_dir():
        raise DataError(f"{path.resolve()} does not exist")
    files = sorted(f for f in path.rglob("*") if f.suffix in SUFFIXES and f.is_file())
    if not files:
        raise DataError(f"{path} holds no file that ends in {', '.join(SUFFIXES)}")
    text = divided(_contents(path, files))
    if not sum(map(len, text)):
        raise DataError(f"all {len(files)} files of {path} are empty")
    return text


def _contents(path: Path, files: Sequence[Path]) -> list[bytes]:
    try:
        size = sum(file.stat().st_size for file in files)
        if size > MOST_BYTES:
            raise DataError(f"{path} has {size >> 20} MiB; the most is {MOST_BYTES >> 20} MiB")
        return [file.read_bytes() for file in files]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def windows(text: Text, length: int, held_out: int, name: str) -> Dataset:
    """Examples {"x": uint8 (n, length + 1)}: a split cut every `length` bytes.

    A window ends with the first byte of the next, so that every byte but the first is predicted
    once; what is left at the end is dropped.

    Args:
      text: the bytes.
      length: bytes that are predicted per window.
      held_out: most windows of validation and of test, evenly spaced; all windows train.
      name: of the text.

    Raises:
      DataError: a split is shorter than one window.
    """
    found = []
    for split, values in zip(SPLITS, text, strict=True):
        count = (len(values) - 1) // length
        if count < 1:
            raise DataError(
                f"the {split} split of {name} has {len(values):,} bytes, a window of {length} and "
                "the byte after it needs one more: give more text, or a shorter context"
            )
        starts = np.arange(count)
        if split != "train" and count > held_out:
            starts = np.arange(held_out) * count // held_out
        rows = np.lib.stride_tricks.sliding_window_view(values, length + 1)
        found.append({"x": rows[starts * length]})
    train, validation, test = found
    return Dataset(train, validation, test, name, checksum(text))


def checksum(text: Text) -> str:
    """SHA-256, in hex, over name, length and bytes of the splits."""
    digest = hashlib.sha256()
    for split, values in text._asdict().items():
        digest.update(f"{split} {len(values)}\n".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def synthetic(length: int, count: int = 512, seed: int = 0) -> Dataset:
    """Made-up text that a network can learn: words of a small vocabulary in a random order.

    Args:
      length: bytes that are predicted per window.
      count: windows that train; 32 validate and 32 test.
      seed: of everything random here.

    Returns:
      As `windows`; the checksum starts with "synthetic-".
    """
    generator = np.random.default_rng(seed)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
    words = [generator.choice(letters, size).tobytes() for size in generator.integers(2, 8, 50)]

    def draw(windows_wanted: int) -> np.ndarray:
        wanted = windows_wanted * length + 1
        chosen = generator.integers(0, len(words), wanted // 3 + 1)
        return np.frombuffer(b" ".join(words[i] for i in chosen), np.uint8)[:wanted]

    text = Text(draw(count), draw(32), draw(32))
    data = windows(text, length, 32, "synthetic")
    return data._replace(checksum=f"synthetic-{data.checksum}")
