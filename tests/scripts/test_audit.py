"""scripts/audit.py: what it finds in records, and that a whole folder is all right."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rllc.suite import metrics, records
from rllc.suite.plan import plan
from rllc.suite.plan.configuration import Conf
from rllc.suite.records.shards import file_digest, seal
from scripts import audit
from tests.suite import toy

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
STEPS = np.array([0, 5, 10])
COLUMNS = metrics.columns(metrics.CLASSIFICATION, batch_means=False)


def record(folder, name, seeds, optimizer=toy.SGD):
    """A shard of made-up curves, its runs named as they would be."""
    protocol = {"steps": 10, "eval_every": 5}
    runs = [plan.make_run(toy.TASK, optimizer, seed, protocol) for seed in seeds]
    evaluations = {c: np.full((3, len(runs)), 0.5, np.float32) for c in COLUMNS}
    header = {
        "task": runs[0].task, "optimizer": runs[0].optimizer, "protocol": runs[0].protocol,
        "group": runs[0].group, "device": "cpu", "created": "2025-01-01T00:00:00+00:00",
        "runs": [
            {"run": run.name, "seed": run.seed, "role": "final", "status": "finished",
             "diverged_at": None, "hyper": run.hyper, "settings": run.settings}
            for run in runs
        ],
    }  # fmt: skip
    table = records.curve_table([run.name for run in runs], evaluations, STEPS, {}, 5)
    records.write_shard(folder, name, header, table)


@pytest.fixture
def folder(tmp_path):
    record(tmp_path / "r", "one", [0, 1])
    record(tmp_path / "r", "two", [2], toy.RLLC)
    return tmp_path / "r"


def call(folder, monkeypatch, capsys):
    """(exit status, lines) of the script."""
    monkeypatch.setattr(sys, "argv", ["audit.py", "--records", str(folder)])
    with pytest.raises(SystemExit) as end:
        audit.main()
    return end.value.code, capsys.readouterr().out.splitlines()


def forge(folder, name, table=None, **changes):
    """Changes a record with right checksums, as a person could."""
    path = folder / "toy" / f"{name}.json"
    header = json.loads(path.read_text()) | changes
    if table is not None:
        pq.write_table(table, path.with_suffix(".parquet"))
    digest = file_digest(path.with_suffix(".parquet"))
    bare = {key: value for key, value in header.items() if key != "sha256"}
    path.write_text(json.dumps(seal(bare | {"curves_sha256": digest})))


def rows(folder, name, **changes):
    header = json.loads((folder / "toy" / f"{name}.json").read_text())
    return [row | changes for row in header["runs"]]


def test_whole_records_are_all_right(folder, monkeypatch, capsys):
    status, lines = call(folder, monkeypatch, capsys)
    assert status == 0
    told = "3 runs in 2 groups and 2 files, 3 names computed anew: all right"
    assert lines == [f"{folder}: {told}"]


def test_the_committed_records_of_studies_are_looked_at_too(folder, monkeypatch, capsys):
    monkeypatch.setattr(audit, "ROOT", folder.parent)
    folder.rename(folder.parent / "elsewhere")
    record(folder.parent / "results" / "records", "one", [0])
    record(folder.parent / "results" / "studies" / "mine" / "records", "two", [1])
    monkeypatch.setattr(audit, "Conf", lambda _: Conf(ROOT / "conf"))
    monkeypatch.setattr(sys, "argv", ["audit.py"])
    with pytest.raises(SystemExit) as end:
        audit.main()
    lines = capsys.readouterr().out.splitlines()
    assert end.value.code == 0
    assert [line.split(": ")[1].split(",")[0] for line in lines] == 2 * [
        "1 runs in 1 groups and 1 files"
    ]


def test_every_kind_of_damage_is_named(folder, monkeypatch, capsys):
    (folder / "toy" / "one.parquet").write_bytes(b"")
    status, lines = call(folder, monkeypatch, capsys)
    assert status == 1
    assert "one.parquet is damaged or of another shard" in lines[0]
    assert lines[-1].endswith("1 WRONG")


def test_a_run_in_two_files_is_said(folder, monkeypatch, capsys):
    record(folder, "again", [1])
    assert "is recorded more than once" in call(folder, monkeypatch, capsys)[1][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "diverged", "diverged_at": 11}, "diverged at step 11 of 10"),
        ({"status": "lost"}, "has the status 'lost'"),
        ({"hyper": {"learning_rate": 1e300}}, "has learning_rate 1e+300"),
    ],
)
def test_what_a_header_says_must_be_possible(folder, monkeypatch, capsys, change, message):
    forge(folder, "two", runs=rows(folder, "two", **change))
    assert any(message in line for line in call(folder, monkeypatch, capsys)[1])


def test_a_finished_run_has_finite_curves_to_its_end(folder, monkeypatch, capsys):
    table = pq.read_table(folder / "toy" / "two.parquet")
    place = table.schema.get_field_index("validation_accuracy")
    values = pa.array([0.5, float("nan"), 0.5], pa.float32())
    forge(folder, "two", table.set_column(place, "validation_accuracy", values))
    assert "is finished, but its curve" in call(folder, monkeypatch, capsys)[1][0]


def test_a_name_that_does_not_follow_from_the_header_is_found(tmp_path, monkeypatch, capsys):
    for name, changes in (("one", {"seed": 5}), ("two", {"settings": {"initial_law": "mean"}})):
        record(tmp_path / name, name, [0], toy.RLLC)
        forge(tmp_path / name, name, runs=rows(tmp_path / name, name, **changes))
        status, lines = call(tmp_path / name, monkeypatch, capsys)
        assert status == 1
        assert "by what its header says of it" in lines[0]


def test_no_such_folder(tmp_path, monkeypatch, capsys):
    assert "no such folder" in call(tmp_path / "nowhere", monkeypatch, capsys)[0]
