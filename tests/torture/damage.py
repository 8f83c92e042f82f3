"""Damaged files: each is named, or changes nothing; what it held is trained or read again."""

import contextlib
import gzip
import io
import shutil
import struct
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rllc.suite import records
from rllc.suite.choose import selection
from rllc.suite.engine import training
from rllc.suite.execute import execution
from rllc.suite.plan import plan
from rllc.suite.records import identity
from tasks import canonical, datasets
from tasks.sources import DataError, Splits, formats
from tests.torture import children, evidence
from tests.torture.harm import HARMS
from tests.torture.trials import Trial, generator, in_time, take_turns

SECONDS_AT_MOST = 60
NAMED, REFUSED, SAME = "named and made again", "refused by name", "no effect"
IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
      name: for people.
      file: the one that is damaged, under the folder.
      other: a file of the same kind, see `harm.foreign`.
      use: (folder) -> (what it holds, what was said), as the suite uses such a file.
    """

    name: str
    file: Path
    other: Path
    use: Callable[[Path], tuple[Any, str]]


def _sweep(folder: Path) -> tuple[Any, str]:
    """What a sweep of all groups leaves: what is damaged it sets aside and trains again."""
    options, said = execution.Options(folder / "records", progress=False), io.StringIO()
    with contextlib.redirect_stderr(said):
        outcomes = execution.execute(execution.prepare(children.runs(3), options), options)
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
    shutil.rmtree(folder / "records" / "damaged", ignore_errors=True)
    return evidence.of(folder / "records"), said.getvalue()


def _tables(folder: Path) -> tuple[Any, str]:
    """What tables are made of."""
    loaded = records.load(folder / "packs")
    return loaded.runs.to_csv() + loaded.curves.to_csv(), ""


def _choices(folder: Path) -> tuple[Any, str]:
    return selection.chosen_rates(selection.read_choices(folder / "choices.csv")), ""


def _raw(folder: Path) -> tuple[Any, str]:
    """Downloaded images, held against the checksum of the data set."""
    splits = canonical.checked(_spec(folder), formats.read("mnist", folder / "raw"))
    return canonical.checksum(splits), ""


def _cache(folder: Path) -> tuple[Any, str]:
    """The cache of the same."""
    return canonical.checksum(datasets._read(_spec(folder), folder / "mnist.npz")), ""


def _spec(folder: Path) -> canonical.Spec:
    return canonical.Spec("mnist", (28, 28, 1), 40, 20, (folder / "sum").read_text())


def whole(place: Path) -> list[Kind]:
    """Undamaged files of all kinds; in ``most`` one group has a checkpoint and no record."""
    runs, folder = children.runs(3), place / "all"
    groups = plan.group_runs(runs)
    _sweep(folder)
    first, second, third = (f"records/toy/{plan.shard_name(group)}" for group in groups)
    shutil.copytree(folder, place / "most")
    for end in (".json", ".parquet"):
        (place / "most" / f"{third}{end}").unlink()
    checkpoints = [_checkpoint(place / "most", group) for group in (groups[2], groups[0])]
    checkpoints[1].rename(place / "most" / "other.npz")
    packs = [_pack(folder, name, group) for name, group in (("packs", runs), ("others", runs[:2]))]
    _write_choices(folder / "choices.csv", 0.1)
    _write_choices(folder / "other.csv", 0.3)
    _write_images(folder)
    checkpoint, raw = checkpoints[0].relative_to(place), Path("all", "raw")
    record, others = Path("all", first), Path("all", second)
    return [
        *(
            Kind(f"{what} of a record", record.with_name(record.name + end),
                 others.with_name(others.name + end), _sweep)
            for what, end in (("curves", ".parquet"), ("header", ".json"))
        ),
        Kind("a checkpoint", checkpoint, Path("most", "other.npz"), _sweep),
        *(
            Kind(f"{what} of a pack", packs[0].with_suffix(end).relative_to(place),
                 packs[1].with_suffix(end).relative_to(place), _tables)
            for what, end in (("curves", ".parquet"), ("header", ".json"))
        ),
        Kind("choices.csv", Path("all", "choices.csv"), Path("all", "other.csv"), _choices),
        Kind("a data archive", raw / f"{IDX[0]}-ubyte.gz", raw / f"{IDX[2]}-ubyte.gz", _raw),
        Kind("the cache of a data set", Path("all", "mnist.npz"), Path("all", "other.npz"), _cache),
    ]  # fmt: skip


def _checkpoint(folder: Path, group: list[plan.Run]) -> Path:
    """Of a group after half of its steps."""
    trainer = training.Trainer(group, execution.make_task(group[0]), execution.load_data(group[0]))
    trainer.advance(6)
    path = folder / "partial" / f"{plan.shard_name(group)}.npz"
    trainer.save(path)
    return path


def _pack(folder: Path, name: str, runs: list[plan.Run]) -> Path:
    """Packs the records of some runs; the path of the header."""
    wanted = {run.name for run in runs}
    every = records.shards(folder / "records")
    members = [shard for shard in every if shard.header["runs"][0]["run"] in wanted]
    return records.pack(folder / "records", members, folder / name / "toy")


def _write_choices(path: Path, rate: float) -> None:
    row = dict.fromkeys(selection.CHOICE_COLUMNS, 1.0)
    row |= {"task": "toy", "optimizer": "SGD", "hyper": identity.canonical({"learning_rate": rate})}
    rows = [row | {"task": f"toy {i}"} for i in range(5)]
    selection.write_choices(pd.DataFrame(rows), path)


def _write_images(folder: Path) -> None:
    """A data set of 60 images as IDX files and as a cache, and another cache."""
    rng = np.random.default_rng(0)
    (folder / "raw").mkdir()
    arrays = [
        part
        for count in (40, 20)
        for part in (
            rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10,
        )
    ]  # fmt: skip
    for name, array in zip(IDX, arrays, strict=True):
        head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        path = folder / "raw" / f"{name}-ubyte.gz"
        path.write_bytes(gzip.compress(head + array.tobytes(), mtime=0))
    blank = canonical.Spec("mnist", (28, 28, 1), 40, 20, "")
    splits = canonical.canonicalise(canonical.conform(blank, Splits(*arrays)))
    (folder / "sum").write_text(canonical.checksum(splits))
    np.savez(folder / "mnist.npz", **splits._asdict())
    other = splits._replace(train_images=splits.train_images[::-1])
    np.savez(folder / "other.npz", **other._asdict())


def trial(place: Path, kind: Kind, harm: str, expected: Any, rng: np.random.Generator) -> Trial:
    """One damage and what follows from it."""
    fault = f"damage to {kind.name}"
    scratch, top = place / "scratch", kind.file.parts[0]
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(place / top, scratch)
    file = scratch / kind.file.relative_to(top)
    before = after = file.read_bytes()
    while after == before:  # zeros may meet zeros
        after = HARMS[harm](before, (place / kind.other).read_bytes(), rng)
    file.write_bytes(after)
    try:
        with in_time(SECONDS_AT_MOST):
            found, said = kind.use(scratch)
    except (records.RecordsError, DataError) as error:
        lost = "" if _clear(file, scratch, str(error)) else f"{harm}: an unclear error: {error}"
        return Trial(fault, REFUSED, lost)
    except Exception:
        return Trial(fault, "", f"{harm}: {traceback.format_exc()[-1500:]}")
    if found != expected:
        return Trial(fault, "", f"{harm}: silently something else; said: {said}")
    return Trial(fault, NAMED if said else SAME)


def _clear(file: Path, folder: Path, text: str) -> bool:
    """Whether a message is one line that names the file, its folder or its checksum."""
    names = (file.name, file.stem, str(folder), "checksum", "SHA-256", "expected")
    return "\n" not in text.strip() and any(name in text for name in names)


def run(seed: int, scale: float, place: Path) -> Iterator[Trial]:
    """All damages."""
    kinds = whole(place)
    expected = {kind.name: _undamaged(place, kind) for kind in kinds}
    cells = [(kind, harm) for kind in kinds for harm in HARMS]
    for i, (kind, harm) in enumerate(take_turns(cells, round(2240 * scale))):
        yield trial(place, kind, harm, expected[kind.name], generator("damage", seed, i))


def _undamaged(place: Path, kind: Kind) -> Any:
    shutil.rmtree(place / "scratch", ignore_errors=True)
    shutil.copytree(place / kind.file.parts[0], place / "scratch")
    return kind.use(place / "scratch")[0]
