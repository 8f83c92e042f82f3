"""Records as two data frames."""

import pytest

from rllc.suite import records
from rllc.suite.execute import execution
from rllc.suite.execute.execution import Options
from rllc.suite.plan import plan
from tests.suite.toy import RLLC, TASK

pytestmark = pytest.mark.slow


def test_runs_and_curves_have_a_column_for_everything(tmp_path):
    protocol = {"steps": 4, "batch_size": 8, "eval_every": 2}
    runs = [plan.make_run(TASK, RLLC, seed, protocol) for seed in (0, 1)]
    options = Options(tmp_path, progress=False)
    execution.execute(execution.prepare(runs, options), options)
    table, curves = records.read(tmp_path)
    assert list(table.seed) == [0, 1]
    assert set(table.learning_rate) == {0.1}
    assert set(table.law_learning_rate) == {0.01}
    assert set(table.initial_law) == {"ones"}
    assert set(table.batch_size) == {8}
    assert list(curves[curves.seed == 1].step) == [0, 2, 4]
    assert curves.groupby(["optimizer", "step"]).test_accuracy.mean().between(0, 1).all()


def test_a_misspelt_folder_is_named(tmp_path):
    with pytest.raises(records.RecordsError, match="nowhere: is it spelt right"):
        records.read(tmp_path / "nowhere")
