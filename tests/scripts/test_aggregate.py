"""The script from shards on disk to tables, figures and the terminal."""

import hashlib
import json
import re
import sys

import numpy as np
import pytest

from rllc.replication import aggregation
from rllc.suite import metrics, plotting, records
from rllc.suite.show import aggregation as suite_aggregation
from scripts import aggregate
from tests.suite import synthetic_records as made

OPTIMIZER = {
    "SGD": {"_target_": "optax.sgd", "family": "baseline"},
    "M(0.9)+M(0.0)": {
        "_target_": "rllc.lm_rllc", "family": "rllc", "propagator": "M(0.9)+M(0.0)",
        "epsilon": 1e-6,
    },
}  # fmt: skip


def write(folder, optimizer, seeds, rates=(0.03,), task="mnist_mlp"):
    """One shard of made-up runs, as a training group would write it."""
    steps = np.arange(0, 10_001, 250)
    pairs = [made.run(task, optimizer, seed, rate) for rate in rates for seed in seeds]
    evaluations = {
        name: np.stack([curve[name].to_numpy(np.float32) for _, curve in pairs], axis=1)
        for name in metrics.columns(metrics.CLASSIFICATION, batch_means=True)
    }
    k = made.num_units(optimizer)
    laws = np.ones((1001, len(pairs), k), np.float32)
    names = [hashlib.sha256(row["run"].encode()).hexdigest()[:16] for row, _ in pairs]
    header = {
        "task": {"name": task}, "optimizer": {"name": optimizer, **OPTIMIZER[optimizer]},
        "protocol": {"steps": 10_000, "batch_size": 128, "eval_every": 250, "data": "real"},
        "group": "g", "device": "cpu (made up)", "created": "2025-01-01T00:00:00+00:00",
        "runs": [
            {
                "run": name, "status": "finished", "diverged_at": None,
                "hyper": json.loads(row["hyper"]), **{key: row[key] for key in ("seed", "role")},
            }
            for name, (row, _) in zip(names, pairs, strict=True)
        ],
    }  # fmt: skip
    table = records.curve_table(names, evaluations, steps, {"law": laws} if k else {}, 10)
    shard = f"{optimizer}-{seeds[0]}-{len(rates)}".replace("+", "_")
    records.write_shard(folder, shard, header, table)


@pytest.fixture
def results(tmp_path):
    """A results folder with tuning and final runs of two optimizers."""
    for name in OPTIMIZER:
        write(tmp_path / "records", name, [100], (0.01, 0.03, 0.1))
        write(tmp_path / "records", name, [0, 1, 2])
    return tmp_path


@pytest.fixture(autouse=True)
def two_figures(monkeypatch, tmp_path):
    """Two figures stand for all of them, which take seconds (see test_figures)."""
    monkeypatch.setenv("RLLC_CACHE", str(tmp_path / "cache"))
    whole = aggregation.all_figures
    names = ("figure2", "figure4")
    few = lambda *arguments: {name: whole(*arguments)[name] for name in names}  # noqa: E731
    monkeypatch.setattr(aggregation, "all_figures", few)


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["aggregate.py", "--processes", "1", *map(str, words)])
    aggregate.main()


@pytest.mark.slow
def test_everything_is_rebuilt_byte_for_byte(results, monkeypatch, capsys):
    arguments = ("--records", results / "records", "--output", results)
    call(monkeypatch, *arguments)
    assert "12 runs" in capsys.readouterr().out
    written = {p: p.read_bytes() for p in results.rglob("*") if p.suffix in (".csv", ".md", ".tex")}
    pictures = {p: p.read_bytes() for p in results.rglob("*") if p.suffix in (".png", ".pdf")}
    assert {p.name for p in written} >= {"choices.csv", "table1.csv", "table2.md", "replication.md"}
    assert {p.name for p in pictures} == {f"figure{i}.{s}" for i in (2, 4) for s in ("png", "pdf")}
    for path in (*written, *pictures):
        path.unlink()
    call(monkeypatch, *arguments)
    assert {p: p.read_bytes() for p in (written | pictures)} == written | pictures
    assert "2 of 2 figures drawn anew" in capsys.readouterr().out
    call(monkeypatch, *arguments)
    assert "0 of 2 figures drawn anew" in capsys.readouterr().out
    call(monkeypatch, *arguments, "--redraw")
    assert "2 of 2 figures drawn anew" in capsys.readouterr().out


@pytest.mark.slow
def test_local_results_stand_beside_the_committed_and_the_papers(results, monkeypatch, capsys):
    call(monkeypatch, "--records", results / "records", "--output", results)
    local = results / "local"
    write(local / "records", "SGD", [0, 1])
    capsys.readouterr()
    call(monkeypatch, "--output", results, "--local", local)
    lines = capsys.readouterr().out.splitlines()
    sgd = next(line for line in lines if line.split()[:1] == ["SGD"])
    assert "(n=2)†" in sgd  # this machine: fewer seeds than the protocol
    assert "(n=3)" in sgd  # committed
    assert sgd.endswith("98.16 ± 0.03")  # the paper
    momentum = next(line for line in lines if line.split()[:1] == ["M(0.9)⊕M(0.0)"])
    assert momentum.split()[1] == "–"  # committed records are never taken for this machine's
    assert (local / "results" / "tables" / "table1.csv").exists()
    assert (local / "results" / "figures" / "figure4.png").exists()
    trained, agreement, look = lines[-3:]
    assert trained == "trained: 2 final runs in 1 cell of 1 task (the paper has 77 cells)"
    assert re.fullmatch(
        r"agreement: [01] of 1 cell with the paper, 1 of 1 with our committed results", agreement
    )
    assert look.startswith(f"look at: {local / 'results'} (tables, figures); ")


def test_figures_in_which_nothing_is_measured_are_left_out_where_wanted(tmp_path):
    def draw(measured):
        figure, axes = plotting.grid_figure(1, 2, 4, 2)
        plotting.not_measured(axes[0, 0])
        if measured:
            axes[0, 1].plot([0, 1])
        return figure

    drawings = {"full": lambda: draw(True), "void": lambda: draw(False)}
    every = suite_aggregation.write_figures(drawings, tmp_path / "a", str)
    some = suite_aggregation.write_figures(drawings, tmp_path / "b", str, empty=False)
    assert {path.stem for path in every} == {"full", "void"}
    assert {path.stem for path in some} == {"full"}
    assert {path.name for path in (tmp_path / "b" / "figures").iterdir()} == {
        "full.png",
        "full.pdf",
        "README.md",
    }


@pytest.mark.slow
def test_local_without_records_says_so(results, capsys):
    aggregate.local(results / "nothing", results / "out", results)
    assert "no final runs on this machine yet" in capsys.readouterr().out
    assert not (results / "out").exists()


def test_a_damaged_record_is_one_clear_line(results, monkeypatch):
    header = next((results / "records").glob("*/*.json"))
    header.write_text(json.dumps({"format": 99}))
    with pytest.raises(SystemExit, match="format 99"):
        call(monkeypatch, "--records", results / "records", "--output", results)


def test_defaults_come_from_the_configuration():
    loaded = made.gather([made.run("mnist_mlp", name, 0) for name in ("SGD", "M(0.9)", "No such")])
    found = aggregate.default_variants(loaded.runs)
    assert set(found) == {("mnist_mlp", "SGD"), ("mnist_mlp", "M(0.9)")}
    law = json.loads(found["mnist_mlp", "M(0.9)"])
    assert (law["traced"], law["batch_size"]) == ({"initial_law": "ones"}, 128)
    assert law["optimizer"]["epsilon"] == 1e-6
    assert law["task"]["name"] == "mnist_mlp"
    assert law["optimizer"]["propagator"] == "M(0.9)"
    assert json.loads(found["mnist_mlp", "SGD"])["traced"] == {}


def test_other_records_do_not_overwrite_the_committed_results(results, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["aggregate.py", "--records", str(results / "records")])
    with pytest.raises(SystemExit, match="would overwrite the committed results"):
        aggregate.main()


@pytest.mark.parametrize("option", ["--records", "--local"])
def test_a_folder_without_records_is_refused(tmp_path, monkeypatch, option):
    words = [option, str(tmp_path / "misspelt"), "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["aggregate.py", *words])
    with pytest.raises(SystemExit, match=r"no records in|no such folder"):
        aggregate.main()
    assert not (tmp_path / "out").exists()


def test_a_misspelt_option_is_told_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["aggregate.py", "--recods", "x"])
    with pytest.raises(SystemExit):
        aggregate.main()
    assert "did you mean --records instead of --recods?" in capsys.readouterr().err


def test_every_study_beside_the_paper_is_rebuilt(tmp_path, monkeypatch):
    for name in ("second", "first"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.yaml").touch()
    (tmp_path / "none").mkdir()
    monkeypatch.setattr(
        aggregate.bench, "rebuild", lambda folder, conf, save: (folder.name, [folder / "a.png"])
    )
    found, drawn = aggregate.studies(tmp_path)
    assert found == {"first": "first", "second": "second"}
    assert drawn == [tmp_path / name / "a.png" for name in ("first", "second")]
