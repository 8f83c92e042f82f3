"""Finding records, and which of their runs to show."""

import pytest

from rllc.replication.paper import STUDY
from rllc.suite import records
from rllc.suite.show import analysis, inspection
from tests.suite import synthetic_records as made


def test_an_empty_folder_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv(inspection.VARIABLE, str(tmp_path))
    with pytest.raises(records.RecordsError, match=f"no records in {tmp_path}; `make reproduce`"):
        inspection.records_folder()


@pytest.mark.slow
def test_final_runs_come_before_tuning_runs_at_the_chosen_rates():
    tuned = made.records(["mnist_mlp"], ["SGD"], seeds=(), tuning_seeds=(100, 101)).runs
    both = made.records(["mnist_mlp"], ["Adam", "M(0.9)"], seeds=(0, 1, 2))
    whole = made.records(["mnist_mlp"], ["SGD", "Adam", "M(0.9)"])
    kept = whole.runs[whole.runs.run.isin({*tuned.run, *both.runs.run})]
    shown = inspection.shown_runs(analysis.analyse(STUDY, whole._replace(runs=kept)))
    seeds = shown.groupby("optimizer").seed.apply(sorted).to_dict()
    assert seeds == {"SGD": [100, 101], "Adam": [0, 1, 2], "M(0.9)": [0, 1, 2]}
    assert set(shown.learning_rate) == {made.BEST_RATE}
    assert shown.tuned.all()


def test_without_tuning_runs_the_final_ones_are_shown():
    a = analysis.analyse(STUDY, made.records(["mnist_mlp"], ["SGD"], tuning_seeds=()))
    assert list(inspection.shown_runs(a).seed) == [0, 1, 2]


def test_overview_counts_runs_in_the_papers_order():
    tasks, optimizers = ["cifar10_mlp", "mnist_mlp"], ["M(0.9)", "Adam"]
    a = analysis.analyse(STUDY, made.records(tasks, optimizers, seeds=(0, 1), tuning_seeds=(100,)))
    table = inspection.overview(STUDY, a.runs)
    assert list(table.index) == [(t, o) for t in tasks[::-1] for o in optimizers[::-1]]
    assert table.loc[("mnist_mlp", "M(0.9)"), ["tuning_runs", "final_runs"]].tolist() == [9, 2]
    assert table.loc[("mnist_mlp", "Adam"), "tuning_runs"] == 3


def test_seed_counts_name_a_range_only_where_there_is_one():
    runs = made.records(["mnist_mlp"], ["SGD", "Adam"], seeds=(0, 1), tuning_seeds=()).runs
    assert inspection.seed_count(runs) == "2"
    assert inspection.seed_count(runs[(runs.optimizer == "SGD") | (runs.seed == 0)]) == "1–2"
