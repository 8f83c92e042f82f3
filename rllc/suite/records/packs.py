"""Many shards as one pair of files, so that evidence under version control stays a few files.

A pack is ``<task>/pack-<digest>.parquet`` beside its ``.json``, which holds the headers of its
shards by name. Each call of `move` makes at most one pack of a task: files grow with calls, not
with groups, and packs that are there already are never rewritten.
"""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from rllc.suite.errors import RecordsError
from rllc.suite.records.shards import DAMAGED, FORMAT, Shard, finished, shards, write_pair


class Moved(NamedTuple):
    """Numbers of shards: moved, left as all their runs are recorded, left as rehearsals."""

    moved: int
    known: int
    rehearsals: int


def move(source: Path, target: Path) -> Moved:
    """Packs the shards of `source` that hold a run unknown to `target` into it, then removes them.

    Raises:
      RecordsError: a damaged shard on either side, or a folder that cannot be written; what is
        not packed yet is where it was.
    """
    every, there = shards(source), {shard.name: shard.header for shard in shards(target)}
    known = {row["run"] for header in there.values() for row in header["runs"]}
    new, packed, rehearsals = [], [], 0
    for shard in every:
        if there.get(shard.name) == shard.header:
            packed.append(shard)  # by a call that was killed before it removed it
        elif shard.header["protocol"].get("data") == "synthetic":
            rehearsals += 1
        elif not {row["run"] for row in shard.header["runs"]} <= known:
            new.append(shard)
    by_task: dict[str, list[Shard]] = defaultdict(list)
    for shard in new:
        by_task[shard.header["task"]["name"]].append(shard)
    for task, members in by_task.items():
        pack(source, members, target / task)
    done = [*new, *packed]
    _remove(source, {shard.file for shard in done} - {s.file for s in every if s not in done})
    _remove_headless(source, target)
    return Moved(len(done), len(every) - len(done) - rehearsals, rehearsals)


def pack(source: Path, members: list[Shard], folder: Path) -> Path:
    """Writes shards under `source` as one pack in `folder`; returns its header's path.

    Raises:
      RecordsError: two shards that hold the same run, or a folder that cannot be written.
    """
    members = sorted(members, key=lambda shard: shard.name)
    runs = [row["run"] for shard in members for row in shard.header["runs"]]
    if len(set(runs)) < len(runs):
        twice = next(run for run in runs if runs.count(run) > 1)
        raise RecordsError(f"run {twice} is in two shards under {source}: remove one of them")
    tables = [_rows(source, shard) for shard in members]
    table = pa.concat_tables(tables, promote_options="permissive")
    headers = {shard.name: shard.header for shard in members}
    digest = hashlib.sha256("\n".join([*headers, *sorted(runs)]).encode()).hexdigest()[:16]
    return write_pair(folder / f"pack-{digest}", {"format": FORMAT, "pack": headers}, table, 19)


def _rows(source: Path, shard: Shard) -> pa.Table:
    """The curves of a shard's runs, names of runs as plain strings."""
    names = {row["run"] for row in shard.header["runs"]}
    table = pq.read_table(source / f"{shard.file}.parquet")
    place = table.schema.get_field_index("run")
    table = table.set_column(place, "run", table["run"].cast(pa.string()))
    return table.filter(pa.compute.is_in(table["run"], pa.array(sorted(names))))


def _remove_headless(source: Path, target: Path) -> None:
    """Removes curves that a call that was killed packed, and of which it removed the header."""
    packed = finished(target)
    for parquet in sorted(source.glob("*/*.parquet")):
        if parquet.with_suffix(".json").exists() or parquet.parent.name == DAMAGED:
            continue
        try:
            runs = set(pq.read_table(parquet, columns=["run"])["run"].unique().to_pylist())
        except (OSError, KeyError, pa.ArrowInvalid):
            continue  # no record of ours
        if runs <= packed:
            parquet.unlink()


def _remove(source: Path, files: set[str]) -> None:
    for file in sorted(files):
        for suffix in (".json", ".parquet"):  # the header first: it makes a shard complete
            (source / f"{file}{suffix}").unlink()
