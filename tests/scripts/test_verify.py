"""scripts/verify.py on a short record of our own."""

import sys

import pytest

from rllc.suite import records
from scripts import train, verify


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A records folder with one rehearsal, and how to call the script on it."""
    folder = tmp_path / "records"
    words = ["optimizer=rllc", "optimizer.propagator=M(0.9)+M(0.5)", "protocol=rehearsal"]
    short = ["protocol.steps=6", "protocol.eval_every=2", f"records={folder}"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words, *short])
    train.cli()
    (run,) = records.load(folder).runs.run

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["verify.py", "--records", str(folder), *words])
        with pytest.raises(SystemExit) as end:
            verify.main()
        return end.value.code

    return folder, run, call


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_run_that_is_not_recorded(recorded):
    assert "0 runs in" in recorded[2]("no-such-run")
