"""scripts/verify.py on a short record of our own."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from rllc.suite import records
from rllc.suite.execute import bench
from rllc.suite.records.shards import seal
from scripts import train, verify

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A records folder with one rehearsal, and how to call the script on it."""
    folder = tmp_path / "records"
    words = ["optimizer=rllc", "optimizer.propagator=M(0.9)+M(0.5)", "protocol=rehearsal"]
    short = ["protocol.steps=6", "protocol.eval_every=2", f"records={folder}"]
    short += ["schedule=cosine", "law_schedule=linear", "law_schedule.final=0.5"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words, *short])
    train.cli()
    (run,) = records.load(folder).runs.run

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["verify.py", "--records", str(folder), *words])
        with pytest.raises(SystemExit) as end:
            verify.main()
        return end.value.code

    return folder, run, call


def test_a_record_is_verified_and_a_false_one_is_not(recorded, monkeypatch, capsys):
    _, run, call = recorded
    assert call(run, "--steps", "all", "--tolerance", "1e-5") == 0
    assert "steps 0 to 6: largest difference" in capsys.readouterr().out
    assert call(run[:6]) == 0
    assert "steps 0 to 2" in capsys.readouterr().out
    load = records.load

    def wrong(folder):
        found = load(folder)
        return found._replace(curves=found.curves.assign(test_loss=found.curves.test_loss + 0.5))

    monkeypatch.setattr(records, "load", wrong)
    assert call(run) == 1
    assert "NOT verified" in capsys.readouterr().out


def test_a_run_that_is_not_recorded(recorded):
    assert "0 runs in" in recorded[2]("no-such-run")


def changed(folder, **changes):
    """Changes a record as somebody would who knows how its checksum is made."""
    (path,) = folder.glob("*/*.json")
    header = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256"}
    for key, value in changes.items():
        header[key] = value(header[key])
    path.write_text(json.dumps(seal(header)))


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        (
            "runs",
            lambda rows: [rows[0] | {"hyper": {"_target_": "os.system"}}],
            "number '_target_'",
        ),
        ("runs", lambda rows: [rows[0] | {"settings": {"x": "${oc.env:HOME}"}}], "has x"),
        ("runs", lambda rows: [rows[0] | {"hyper": {"x hydra.searchpath": 1}}], "has number"),
        ("runs", lambda rows: [rows[0] | {"role": "final hydra.run.dir=/x"}], "has role"),
        ("runs", lambda rows: [rows[0] | {"seed": "0,1"}], "Ambiguous value"),
        ("protocol", lambda protocol: protocol | {"steps": "${x}"}, "has steps"),
        ("optimizer", lambda one: one | {"name": "M(0.9)' x='"}, "has optimizer"),
        ("optimizer", lambda one: one | {"schedules": "x"}, "schedules='x' must be a mapping"),
        ("optimizer", lambda one: one | {"schedules": {"b": 1}}, "schedules.b must have shape"),
        ("task", lambda task: task | {"name": "pkg:os"}, "cannot be a folder"),
        ("task", lambda task: task | {"name": "nowhere"}, "unknown task 'nowhere'"),
    ],
)
def test_nothing_of_a_record_but_names_and_numbers_is_believed(recorded, key, change, message):
    """A record from somebody else may name any code: it is not run."""
    folder, run, call = recorded
    changed(folder, **{key: change})
    assert message in call(run)


def test_the_target_in_a_record_is_not_what_is_trained(recorded, tmp_path):
    folder, run, call = recorded
    mark = tmp_path / "executed"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\ndef f(**_): return None\n")
    hostile = {"_target_": f"{tmp_path / 'evil.py'}:f", "canonical": f"{tmp_path / 'evil.py'}:f"}
    changed(folder, optimizer=lambda one: one | hostile, task=lambda one: one | hostile)
    assert call(run) == 0
    records.load(folder)
    assert not mark.exists()


@pytest.fixture
def study(tmp_path):
    """A trained study whose task has a name unlike its config's, and seeds unlike ours."""
    folder = tmp_path / "mine"
    shutil.copytree(
        ROOT / "examples" / "regression", folder,
        ignore=shutil.ignore_patterns("records", "results", "partial"),
    )  # fmt: skip
    (folder / "conf" / "task" / "points.yaml").rename(folder / "conf" / "task" / "given.yaml")
    given = yaml.safe_load((folder / "study.yaml").read_text())
    given |= {"tasks": ["given"], "optimizers": ["clipped_adam"]}
    given |= {"seeds": {"tune": [0], "final": [10]}, "titles": {}, "baselines": []}
    given["protocol"] |= {"steps": 20, "eval_every": 10}
    (folder / "study.yaml").write_text(yaml.safe_dump(given))
    bench.run(folder, ROOT / "conf", None, (), progress=False, say=lambda text: None)
    return folder


def test_a_studys_records_are_verified_by_its_own_configs(study, monkeypatch, capsys):
    loaded = records.load(study / "records")

    def call(run, place):
        words = [run, "--steps", "all", "--tolerance", "1e-5", "--records", str(place)]
        monkeypatch.setattr(sys, "argv", ["verify.py", *words])
        with pytest.raises(SystemExit) as end:
            verify.main()
        return end.value.code

    for role in ("tune", "final"):
        run = loaded.runs.run[loaded.runs.role == role].iloc[0]
        assert call(run, study) == 0
        assert "steps 0 to 20: largest difference" in capsys.readouterr().out
    assert f"with --records {study})" in call(run, study / "records")
    config = study / "conf" / "optimizer" / "clipped_adam.yaml"
    config.write_text(config.read_text() + "b2: 0.9\n")
    assert "today's configuration of Clipped Adam on points gives run" in call(run, study)
