"""Folders that records and checkpoints are written to."""

import os
import stat
import time
from pathlib import Path

import pytest

from rllc.suite import records
from rllc.suite.records import folders


def test_a_block_that_fails_leaves_nothing(tmp_path):
    def fail():
        with folders.whole(tmp_path / "a") as beside:
            beside.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert not list(tmp_path.iterdir())


def test_the_file_and_its_place_in_the_folder_are_synced(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda number: seen.append(os.fstat(number).st_mode))
    with folders.whole(tmp_path / "a") as beside:
        beside.write_text("1")
    assert [stat.S_ISDIR(mode) for mode in seen] == [False, True]


def test_a_disk_that_syncs_no_folders_takes_files(tmp_path, monkeypatch):
    """As some network disks."""
    sync = os.fsync

    def refuse(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(22, "Invalid argument")
        sync(number)

    monkeypatch.setattr(os, "fsync", refuse)
    with folders.whole(tmp_path / "a") as beside:
        beside.write_text("1")
    assert (tmp_path / "a").read_text() == "1"


def test_two_writers_with_the_same_process_id_do_not_meet(tmp_path):
    """As in two containers that share a folder."""
    with folders.whole(tmp_path / "a") as one, folders.whole(tmp_path / "a") as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")
    assert (tmp_path / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_leftovers_go_when_they_are_old_and_their_writer_is_dead(tmp_path):
    (tmp_path / "task").mkdir()
    dead, alive = 2**22 + 1, os.getpid()
    gone = [f".sgd-1.npz.{dead}", f".sgd-1.parquet.{dead}.0123456789ab"]
    stay = [f".sgd-1.json.{alive}.0123456789ab", ".gitignore", ".x.y", "sgd-1.npz"]
    for name in gone + stay:
        (tmp_path / "task" / name).write_text("")
    folders.clear(tmp_path)
    assert len(list((tmp_path / "task").iterdir())) == 6  # too young
    folders.clear(tmp_path, time.time() + 3600)
    assert sorted(path.name for path in (tmp_path / "task").iterdir()) == sorted(stay)


def test_a_full_disk_is_noticed_before_training(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(records.RecordsError, match="is not writable: No space left"):
        records.check_writable(tmp_path)


def test_a_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert records.folder("~/r") == Path("/somewhere/r")
