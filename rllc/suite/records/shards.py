"""Shards on disk: a Parquet file of curves beside a JSON header, complete or absent.

Both files are written beside their place, synced and renamed, the header last. The header names
the SHA-256 of the curves' file and of itself, so damage is found before a number is believed; a
damaged shard is never used and never deleted. Several shards may be packed into one pair of files
(`packs`), which reads the same.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from rllc.suite.errors import RecordsError
from rllc.suite.records.folders import whole
from rllc.suite.records.identity import canonical, is_plain

FORMAT = 2
READABLE = (1, FORMAT)  # format 1 has no roles, and its runs' numbers beside their other fields
DAMAGED = "damaged"  # sub-folder for what was set aside
NEEDED = ("task", "optimizer", "protocol", "runs", "group", "device")


class Shard(NamedTuple):
    """A header, and where the curves of its runs are.

    Attributes:
      name: ``<task>/<name>``, as it was written.
      header: see `header.describe`.
      file: Parquet file under the records folder, without its suffix.
    """

    name: str
    header: dict[str, Any]
    file: str


def write_shard(folder: Path, name: str, header: dict[str, Any], table: pa.Table) -> Path:
    """Writes ``<task>/<name>.parquet`` and ``.json`` under `folder`, whole or not at all.

    Returns:
      The path of the header.

    Raises:
      RecordsError: the folder cannot be written.
    """
    target = folder / header["task"]["name"] / name
    return write_pair(target, {"format": FORMAT, **header}, table)


def write_pair(target: Path, header: dict[str, Any], table: pa.Table, level: int = 9) -> Path:
    """Writes `target` with the suffixes ``.parquet`` and ``.json``; returns the latter.

    Args:
      target: path without suffix.
      header: JSON.
      table: curves.
      level: of zstd.

    Raises:
      RecordsError: the folder cannot be written.
    """
    parquet, document = (target.with_name(f"{target.name}.{s}") for s in ("parquet", "json"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(parquet) as beside:
            pq.write_table(table, beside, compression="zstd", compression_level=level)
            sealed = seal({**header, "curves_sha256": file_digest(beside)})
        with whole(document) as beside:
            beside.write_text(json.dumps(sealed, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise RecordsError(
            f"cannot write records to {target}: {error.strerror or error}"
        ) from error
    return document


def seal(header: dict[str, Any]) -> dict[str, Any]:
    """The header with the SHA-256 of its own canonical JSON."""
    return {**header, "sha256": _digest(header)}


def _digest(header: dict[str, Any]) -> str:
    bare = {key: value for key, value in header.items() if key != "sha256"}
    return hashlib.sha256(canonical(bare).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shards(folder: Path) -> list[Shard]:
    """All complete shards, by name; files whose names begin with a dot are not looked at.

    Raises:
      RecordsError: one is damaged, of another format, or without its curves.
    """
    found = [shard for document in documents(folder) for shard in read(folder, document)]
    return sorted(found, key=lambda shard: shard.name)


def documents(folder: Path) -> list[Path]:
    """The header files under a records folder, those set aside left out."""
    paths = sorted(Path(folder).glob("*/*.json"))
    return [p for p in paths if p.parent.name != DAMAGED and not p.name.startswith(".")]


def read(folder: Path, document: Path) -> Iterator[Shard]:
    """The shard of a header file, or the shards of a pack.

    Raises:
      RecordsError: it is damaged; the message says how.
    """
    header = _parsed(document)
    _check_curves(document, header)
    file = document.relative_to(folder).with_suffix("").as_posix()
    for name, member in header.get("pack", {file: header}).items():
        _check_members(document, member)
        yield Shard(name, member, file)


def _parsed(document: Path) -> dict[str, Any]:
    try:
        header = json.loads(document.read_text())
    except (ValueError, RecursionError) as error:
        raise RecordsError(f"record header {document} is damaged: {error}") from None
    except OSError as error:
        raise RecordsError(f"cannot read {document}: {error.strerror}") from None
    if not isinstance(header, dict):
        raise RecordsError(f"record header {document} is damaged: it holds no JSON object")
    version = header.get("format")
    if version not in READABLE:
        raise RecordsError(f"{document} has record format {version}{_why(header)}")
    if (header["format"] > 1 or "sha256" in header) and header.get("sha256") != _digest(header):
        raise RecordsError(f"record header {document} is damaged: its checksum does not match")
    return header


def _why(header: dict[str, Any]) -> str:
    """What a header with an unreadable format is: damaged in that very number, or newer."""
    readable = f", this version reads {' and '.join(map(str, READABLE))}"
    version = header.get("format")
    if header.get("sha256") == _digest({**header, "format": FORMAT}):
        return f", but the checksum of format {FORMAT}: it is damaged"
    newer = isinstance(version, int) and version > FORMAT
    return f"{readable}; it is from a newer version of rllc" if newer else readable


def _check_curves(document: Path, header: dict[str, Any]) -> None:
    parquet = document.with_suffix(".parquet")
    if not parquet.exists():
        raise RecordsError(f"{document} has no curves beside it ({parquet.name})")
    if "curves_sha256" in header and header["curves_sha256"] != file_digest(parquet):
        raise RecordsError(
            f"{parquet} is damaged or of another shard: its checksum is not the one in its header"
        )


def _check_members(document: Path, header: dict[str, Any]) -> None:
    """Whether a header without a checksum has at least the fields that are read."""
    missing = [key for key in NEEDED if key not in header]
    rows = header.get("runs")
    if missing or not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        what = f"lacks {', '.join(missing)}" if missing else "has no list of runs"
        raise RecordsError(f"record header {document} is damaged: it {what}")
    if not all({"run", "seed", "status"} <= set(row) for row in rows):
        raise RecordsError(f"record header {document} is damaged: a run has no name or seed")
    task = header["task"].get("name") if isinstance(header["task"], dict) else None
    if not is_plain(task):
        raise RecordsError(
            f"record header {document} is damaged: its task {task!r} cannot be a folder"
        )


def set_aside(folder: Path) -> list[str]:
    """Moves damaged shards to the sub-folder `DAMAGED`, and says which and why.

    Their runs count as not recorded, so the next sweep trains them again; the files stay for
    whoever wants to look at them. Shards of a newer format stay where they are and raise.

    Raises:
      RecordsError: a shard of a newer format, or the files cannot be moved.
    """
    moved = []
    for document in documents(folder):
        try:
            list(read(folder, document))
        except RecordsError as error:
            if "newer version" in str(error):
                raise
            _move(folder, document)
            moved.append(f"set aside in {folder / DAMAGED}: {error}")
    return moved


def _move(folder: Path, document: Path) -> None:
    target = folder / DAMAGED / f"{document.parent.name}.{document.stem}"
    try:
        target.parent.mkdir(exist_ok=True)
        for suffix in (".parquet", ".json"):
            source = document.with_suffix(suffix)
            if source.exists():
                source.replace(target.with_name(f"{target.name}{suffix}"))
    except OSError as error:
        raise RecordsError(f"cannot set {document} aside: {error.strerror}") from error


def finished(folder: Path) -> set[str]:
    """Names of the runs that have a record (diverged ones count: they are results)."""
    return {row["run"] for shard in shards(folder) for row in shard.header["runs"]}
