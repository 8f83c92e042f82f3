"""A study's page: written at the end of a benchmark, and again from its records alone."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from rllc.suite.execute import bench
from rllc.suite.show.page import cells, site
from rllc.suite.study import StudyError

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_study_gets_its_page_and_again_without_training(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "library", lambda: "")
    folder = tmp_path / "mine"
    shutil.copytree(
        ROOT / "examples" / "regression", folder,
        ignore=shutil.ignore_patterns("records", "results", "partial"),
    )  # fmt: skip
    study = yaml.safe_load((folder / "study.yaml").read_text())
    study["protocol"] |= {"steps": 20, "eval_every": 10}
    study["seeds"] = {"tune": [0], "final": [10, 11]}
    study["styles"] = {"momentum": {"colour": "#123456", "line": "dotted"}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    said = []
    bench.run(folder, ROOT / "conf", None, (), progress=False, say=said.append)
    index = folder / "results" / "page" / "index.html"
    assert str(index) in said[-1]
    text = index.read_text()
    assert "Friedman" in text
    assert text.index("better by") < text.index('id="numbers"')  # the verdict comes first
    data = (index.parent / "data.js").read_text()
    given = json.loads(data[data.index("(") + 1 : data.rindex(")")])
    assert given["command"] == "python scripts/verify.py {run} --steps all --records mine"
    (line,) = (line for line in given["optimizers"] if line["label"] == "Momentum SGD")
    assert (line["light"], line["dash"]) == ("#123456", cells.DASHES[":"])
    for link in given["files"].values():
        assert (index.parent / link).resolve().is_file()

    trained = sorted((folder / "records").rglob("*.json"))
    files = sorted(path.name for path in index.parent.iterdir())
    again = bench.report(folder, ROOT / "conf", tmp_path / "elsewhere")
    assert sorted(path.name for path in again.parent.iterdir()) == files
    assert sorted((folder / "records").rglob("*.json")) == trained
    check_rebuilt(folder)


def check_rebuilt(folder: Path) -> None:
    """Tables and choices of a study are made again from its records, byte for byte."""
    parts = ("tables", "tuning")
    before = {
        path: path.read_bytes() for part in parts for path in (folder / "results" / part).iterdir()
    }
    for part in parts:
        shutil.rmtree(folder / "results" / part)
    drawn = []
    found, _ = bench.rebuild(folder, ROOT / "conf", lambda _, path: drawn.append(path) or [])
    assert {path: path.read_bytes() for path in before} == before
    assert len(before) > 10
    assert drawn
    assert all(path.is_relative_to(folder.resolve()) for path in drawn)
    assert found.study.name == "Friedman's function"
    assert found.records.folder.is_absolute()  # laws are read later, from another folder


@pytest.mark.slow
def test_a_metric_that_a_task_has_not_cannot_lead(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(
        ROOT / "examples" / "regression", folder,
        ignore=shutil.ignore_patterns("records", "results", "partial"),
    )  # fmt: skip
    study = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(study + "leading: {points: mae}\n")
    with pytest.raises(StudyError, match=r"leading.points: unknown metric 'mae'; did you mean 'm"):
        bench.run(folder, ROOT / "conf", progress=False, say=print)
    assert not list((folder / "records").rglob("*.parquet"))


def test_a_folder_without_a_study_is_one_clear_line(tmp_path):
    with pytest.raises(StudyError, match=r"holds no study\.yaml"):
        bench.report(tmp_path, ROOT / "conf")
    with pytest.raises(StudyError, match=r"holds no study\.yaml"):
        bench.rebuild(tmp_path, ROOT / "conf")
