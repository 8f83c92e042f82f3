"""Which of two records of a run counts, and what the place of one does not matter for."""

import numpy as np
import pandas as pd
import pytest

from rllc.suite import records


def write(folder, name, created, loss):
    """A shard of run ``r`` with one evaluation."""
    values = np.full((1, 1), loss, np.float32)
    columns = {
        f"{split}_{m}": values for split in ("validation", "test") for m in ("accuracy", "loss")
    }
    table = records.curve_table(["r"], columns, np.array([4]), {}, 10)
    run = {"run": "r", "seed": 0, "role": "final", "status": "finished", "diverged_at": None}
    header = {
        "task": {"name": "t", "_target_": "x"}, "optimizer": {"name": "o", "_target_": "y"},
        "protocol": {"steps": 4}, "group": "g", "device": "d", "created": created,
        "runs": [{**run, "hyper": {}}],
    }  # fmt: skip
    records.write_shard(folder, name, header, table)


def loss_of(folder):
    return float(records.load(folder).curves.validation_loss.iloc[0])


def test_the_newer_record_counts(tmp_path):
    write(tmp_path, "b", "2025-01-01T00:00:00+00:00", 0.125)
    write(tmp_path, "a", "2025-01-02T00:00:00+00:00", 0.25)
    assert loss_of(tmp_path) == 0.25


def test_a_record_of_the_future_does_not_win_and_is_named(tmp_path, capsys):
    write(tmp_path, "fast", "2999-01-01T00:00:00+00:00", 0.125)
    write(tmp_path, "right", "2025-01-02T00:00:00+00:00", 0.25)
    assert loss_of(tmp_path) == 0.25
    assert "t/fast: made in the future (2999-01-01" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["run=1/step=0", "law=x,validation_loss=3"])
def test_names_of_folders_are_no_columns(tmp_path, part):
    """Hydra's override folders look like partitions of a data set."""
    for folder in (tmp_path / "plain", tmp_path / part):
        write(folder, "a", "2025-01-02T00:00:00+00:00", 0.25)
    plain, odd = records.load(tmp_path / "plain"), records.load(tmp_path / part)
    pd.testing.assert_frame_equal(plain.curves, odd.curves)
    pd.testing.assert_frame_equal(plain.runs, odd.runs)
