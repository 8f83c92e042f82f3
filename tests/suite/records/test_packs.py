"""Shards packed into few files: the same records, nothing lost, damage found."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from rllc.suite import metrics, records
from rllc.suite.records.shards import seal

COLUMNS = metrics.columns(metrics.CLASSIFICATION, batch_means=False)


def shard(folder, name, runs, data="real", accuracy=0.5, law=2):
    """A shard of two evaluations and three laws a run."""
    steps = np.array([0, 10])
    evaluations = {c: np.full((2, len(runs)), accuracy, np.float32) for c in COLUMNS}
    laws = np.arange(3 * len(runs) * law, dtype=np.float32).reshape(3, len(runs), law)
    header = {
        "task": {"name": "toy", "_target_": "a.toy"}, "optimizer": {"name": name},
        "protocol": {"data": data, "steps": 10}, "group": "g", "device": "cpu",
        "created": "2025-01-01T00:00:00+00:00",
        "runs": [
            {"run": run, "seed": i, "role": "final", "status": "finished", "diverged_at": None,
             "hyper": {"learning_rate": 0.1}}
            for i, run in enumerate(runs)
        ],
    }  # fmt: skip
    table = records.curve_table(runs, evaluations, steps, {"law": laws}, 5)
    return records.write_shard(folder, name, header, table)


@pytest.fixture
def folder(tmp_path):
    shard(tmp_path / "local", "one", ["a", "b"])
    shard(tmp_path / "local", "two", ["c"], law=3)
    shard(tmp_path / "local", "rehearsal", ["d"], data="synthetic")
    return tmp_path


def test_a_pack_reads_as_its_shards_did(folder):
    runs = ["a", "b", "c"]
    before = records.load(folder / "local")
    laws = before.laws(runs).sort_values(["run", "step"], ignore_index=True)
    assert records.move(folder / "local", folder / "kept") == (2, 0, 1)
    files = sorted(path.suffix for path in (folder / "kept").rglob("*.*") if path.is_file())
    assert files == [".json", ".parquet"]
    after = records.load(folder / "kept")
    assert sorted(after.runs.run) == runs
    same = [column for column in records.FIELDS if column != "shard"]
    wanted = before.runs[before.runs.run.isin(runs)][same].sort_values("run", ignore_index=True)
    pd.testing.assert_frame_equal(after.runs[same].sort_values("run", ignore_index=True), wanted)
    found = after.laws(runs).sort_values(["run", "step"], ignore_index=True)
    assert [list(x) for x in found.law] == [list(x) for x in laws.law]
    curves = before.curves[before.curves.run.isin(runs)]
    keys = ["run", "step"]
    pd.testing.assert_frame_equal(
        after.curves.sort_values(keys, ignore_index=True),
        curves.sort_values(keys, ignore_index=True),
    )


def test_known_runs_and_rehearsals_stay_and_a_second_call_adds_a_pack(folder):
    records.move(folder / "local", folder / "kept")
    assert [s.name for s in records.shards(folder / "local")] == ["toy/rehearsal"]
    first = {path: path.read_bytes() for path in (folder / "kept").rglob("*.parquet")}
    shard(folder / "local", "one", ["a", "b"], accuracy=0.25)  # trained again
    shard(folder / "local", "three", ["e"])
    assert records.move(folder / "local", folder / "kept") == (1, 1, 1)
    assert records.finished(folder / "kept") == {"a", "b", "c", "e"}
    assert {path: path.read_bytes() for path in first} == first  # never rewritten


def test_a_run_in_two_shards_is_not_packed_and_nothing_is_removed(folder):
    shard(folder / "local", "again", ["a"])
    with pytest.raises(records.RecordsError, match="run a is in two shards"):
        records.move(folder / "local", folder / "kept")
    assert len(records.shards(folder / "local")) == 4


def test_curves_that_a_killed_call_left_are_removed_by_the_next(folder):
    there = folder / "local" / "toy"
    kept = (there / "one.parquet").read_bytes()
    records.move(folder / "local", folder / "kept")
    (there / "one.parquet").write_bytes(kept)  # killed after removing its header
    shard(folder / "local", "other", ["never packed"])
    (there / "other.json").unlink()
    (there / "foreign.parquet").write_bytes(b"no Parquet")
    records.move(folder / "local", folder / "kept")
    assert sorted(path.name for path in there.glob("*.parquet")) == [
        "foreign.parquet", "other.parquet", "rehearsal.parquet",
    ]  # fmt: skip


def test_a_call_that_was_killed_before_it_removed_anything_is_finished_by_the_next(folder):
    shutil.copytree(folder / "local", folder / "before")
    records.move(folder / "local", folder / "kept")
    assert records.move(folder / "before", folder / "kept") == (2, 0, 1)
    assert [s.name for s in records.shards(folder / "before")] == ["toy/rehearsal"]
    assert records.finished(folder / "kept") == {"a", "b", "c"}


def damages(path):
    """Every byte of a small file, spread over its length, with one bit flipped."""
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 60).astype(int):
        yield whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :]
    yield whole[: len(whole) // 2]
    yield b""


@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_every_flipped_bit_is_found(folder, suffix):
    path = (folder / "local" / "toy" / "one").with_suffix(suffix)
    for damaged in list(damages(path)):
        path.write_bytes(damaged)
        with pytest.raises(records.RecordsError, match="one"):
            records.load(folder / "local")


def test_curves_of_another_shard_are_found(folder):
    there = folder / "local" / "toy"
    shutil.copy(there / "two.parquet", there / "one.parquet")
    with pytest.raises(records.RecordsError, match="damaged or of another shard"):
        records.load(folder / "local")


def test_curves_of_another_shard_are_found_in_old_records_too(folder):
    there = folder / "local" / "toy"
    shutil.copy(there / "two.parquet", there / "one.parquet")
    header = json.loads((there / "one.json").read_text())
    old = {k: v for k, v in header.items() if k not in ("sha256", "curves_sha256")} | {"format": 1}
    (there / "one.json").write_text(json.dumps(old))
    with pytest.raises(records.RecordsError, match="no curve of run a"):
        records.load(folder / "local")


def test_damage_is_set_aside_and_the_rest_stays_usable(folder):
    local = folder / "local"
    (local / "toy" / "one.parquet").write_bytes(b"no")
    (text,) = records.set_aside(local)
    assert "one.parquet is damaged" in text
    assert records.finished(local) == {"c", "d"}
    kept = sorted(path.name for path in (local / "damaged").iterdir())
    assert kept == ["toy.one.json", "toy.one.parquet"]
    assert records.set_aside(local) == []
    shard(local, "one", ["a", "b"])  # the next sweep trains them again
    assert records.finished(local) == {"a", "b", "c", "d"}


def test_a_newer_format_is_neither_read_nor_set_aside(folder):
    path = folder / "local" / "toy" / "one.json"
    path.write_text(json.dumps(seal(json.loads(path.read_text()) | {"format": 9})))
    for call in (records.load, records.set_aside):
        with pytest.raises(records.RecordsError, match=r"format 9.*newer version of rllc"):
            call(folder / "local")


@pytest.mark.parametrize("number", [3, 1, 0])
def test_a_damaged_format_number_is_damage_and_no_newer_format(folder, number):
    """3 is one flipped bit away from 2; 1 would be read without a checksum."""
    path = folder / "local" / "toy" / "one.json"
    path.write_text(path.read_text().replace('"format": 2', f'"format": {number}'))
    with pytest.raises(records.RecordsError, match=r"it is damaged|checksum does not match"):
        records.load(folder / "local")
    (text,) = records.set_aside(folder / "local")
    assert str(path) in text
    assert records.finished(folder / "local") == {"c", "d"}


def test_a_share_in_percent_is_refused(tmp_path):
    shard(tmp_path, "percent", ["a"], accuracy=25.5)
    with pytest.raises(records.RecordsError, match=r"accuracy of 25.5 is recorded"):
        records.load(tmp_path)


def test_hidden_files_beside_records_are_left_alone(folder):
    (folder / "local" / "toy" / "._one.json").write_text("{}")
    assert len(records.shards(folder / "local")) == 3


@pytest.mark.parametrize("name", ["../outside", "/outside", None, 3])
def test_a_task_that_is_a_path_is_not_followed(folder, name):
    """As in a record that somebody else made: packing would write outside of its folder."""
    path = folder / "local" / "toy" / "one.json"
    header = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    path.write_text(json.dumps(seal(header | {"task": header["task"] | {"name": name}})))
    with pytest.raises(records.RecordsError, match=r"one.json is damaged: its task .* folder"):
        records.move(folder / "local", folder / "kept")
    assert not (folder / "outside").exists()
