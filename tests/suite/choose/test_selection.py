"""Choices on hand-made tuning runs: the rule, its ties, its edges, and the file it lives in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rllc.replication.paper import ACCURACY, LOSS
from rllc.suite.choose import selection
from rllc.suite.errors import RecordsError
from rllc.suite.records import roles
from tests.suite import synthetic_records as made

TASK, NAME = "mnist_mlp", "M(0.9)"


def tuned(losses, task=TASK, optimizer=NAME, **changes):
    """Runs and curves of a grid given as {(rate, law rate, seed): validation losses of a curve}."""
    rows, curves = [], []
    for (rate, law, seed), curve in losses.items():
        settings = {"steps": 10_000, "status": "finished", **changes}
        row, _ = made.run(task, optimizer, seed, rate, law, **settings)
        row["run"] = f"{rate}-{law}-{seed}-{len(rows)}"
        rows.append(row)
        points = {"run": row["run"], "step": np.arange(len(curve)), "validation_loss": curve}
        curves.append(pd.DataFrame(points | {"validation_accuracy": 1 - np.array(curve)}))
    return selection.tidy(pd.DataFrame(rows)), pd.concat(curves)


def only_choice(runs, curves, metric=LOSS):
    choices = selection.choose(selection.tuning_points(runs, curves, metric), metric)
    assert len(choices) == 1
    return choices.iloc[0]


def test_lowest_loss_along_the_curve_averaged_over_seeds():
    choice = only_choice(
        *tuned(
            {
                (0.1, 0.01, 100): [0.9, 0.2, 0.8],  # lowest 0.2
                (0.1, 0.01, 101): [0.9, 0.4],  # 0.4: mean 0.3
                (0.3, 0.01, 100): [0.1, 9.0],  # 0.1
                (0.3, 0.01, 101): [0.6, 0.7],  # 0.6: mean 0.35
                (0.03, 0.01, 100): [0.5],
                (0.03, 0.01, 101): [0.5],
            }
        )
    )
    assert (choice.learning_rate, choice.law_learning_rate) == (0.1, 0.01)
    assert choice.value == pytest.approx(0.3)
    assert choice.runner_up_hyper == made.hyper(learning_rate=0.3, law_learning_rate=0.01)
    assert choice.runner_up_value == pytest.approx(0.35)
    assert (choice.seeds, choice.grid_points, choice.steps) == (2, 3, 10_000)
    assert not choice.edge


def test_a_diverged_run_counts_as_infinite():
    runs, curves = tuned(
        {(0.1, 0.01, 100): [0.1], (0.1, 0.01, 101): [0.1], (0.3, 0.01, 100): [0.5]}
    )
    runs.loc[1, "status"] = "diverged"
    points = selection.tuning_points(runs, curves, LOSS).set_index("learning_rate")
    assert points.value[0.1] == np.inf
    assert points.diverged[0.1] == 1
    assert points.value[0.3] == 0.5


def test_a_seed_trained_twice_for_as_many_steps_counts_once():
    older, newer = tuned({(0.1, 0.01, 100): [0.9]}), tuned({(0.1, 0.01, 100): [0.3]})
    newer[0]["run"], newer[1]["run"] = "again", "again"
    runs, curves = (pd.concat(pair) for pair in zip(older, newer, strict=True))
    (point,) = selection.tuning_points(runs, curves, LOSS).itertuples()
    assert (point.value, point.seeds) == (0.3, 1)
    assert len(selection.tuning_points(runs.assign(steps=[1_000, 3_000]), curves, LOSS)) == 2


def test_points_with_more_seeds_or_steps_decide():
    runs, curves = tuned(
        {(0.1, 0.01, 100): [0.30], (0.3, 0.01, 100): [0.29], (0.3, 0.01, 101): [0.4]}
    )
    assert only_choice(runs, curves).learning_rate == 0.3  # 0.345, but over two seeds
    runs, curves = tuned({(0.1, 0.01, 100): [0.30], (0.3, 0.01, 100): [0.29]})
    runs.loc[1, "steps"] = 2_000
    assert only_choice(runs, curves).learning_rate == 0.1


def test_points_of_shorter_runs_are_screened_not_tried():
    grid = {(r, 0.01, 100): [r] for r in (0.1, 0.2, 0.3, 0.4)}
    whole = only_choice(*tuned(grid))
    assert (whole.grid_points, whole.screened_points, whole.screened_steps) == (4, 0, 0)
    runs, curves = tuned(grid)
    long, more = tuned({(r, 0.01, 100): [r] for r in (0.1, 0.2)})
    long["run"], more["run"] = long.run + "-long", more.run + "-long"
    both = pd.concat([runs.assign(steps=3_000), long], ignore_index=True)
    choice = only_choice(both, pd.concat([curves, more]))
    assert (choice.grid_points, choice.steps) == (2, 10_000)
    assert (choice.screened_points, choice.screened_steps) == (4, 3_000)
    assert choice.edges == "lowest learning_rate"
    new, their = tuned({(0.5, 0.01, 100): [0.5]})
    new["run"], their["run"] = new.run + "-new", their.run + "-new"
    choice = only_choice(
        pd.concat([both, new], ignore_index=True), pd.concat([curves, more, their])
    )
    assert (choice.grid_points, choice.screened_points) == (3, 0)  # not all were kept of others


@pytest.mark.parametrize(
    ("best", "edges"),
    [
        ((0.03, 0.01), ""),
        ((0.1, 0.01), "highest learning_rate"),
        ((0.01, 0.003), "lowest learning_rate; lowest law_learning_rate"),
    ],
)
def test_edges_are_named(best, edges):
    grid = {(r, w, 100): [0.5] for r in (0.01, 0.03, 0.1) for w in (0.003, 0.01, 0.03)}
    choice = only_choice(*tuned(grid | {(*best, 100): [0.4]}))
    assert (choice.edge, choice.edges) == (bool(edges), edges)


def test_baselines_have_no_law_rate_and_no_edge_in_it():
    choice = only_choice(*tuned({(r, 0.01, 100): [r] for r in (0.1, 0.2, 0.3)}, optimizer="SGD"))
    assert "law_learning_rate" not in choice
    assert choice.edges == "lowest learning_rate"


def test_an_accuracy_is_best_when_highest():
    grid = {(0.1, 0.01, 100): [0.3, 0.5], (0.3, 0.01, 100): [0.4, 0.4]}
    choice = only_choice(*tuned(grid), ACCURACY)
    assert (choice.learning_rate, choice.value) == (0.1, pytest.approx(0.7))


def test_equal_values_go_to_the_smaller_rates():
    grid = {(0.3, 0.03, 100): [0.2], (0.3, 0.01, 100): [0.2], (0.9, 0.003, 100): [0.2]}
    choice = only_choice(*tuned(grid))
    assert (choice.learning_rate, choice.law_learning_rate) == (0.3, 0.01)


def test_final_runs_do_not_tune():
    runs, curves = tuned({(0.1, 0.01, 100): [0.3], (0.3, 0.01, 99): [0.1]})
    assert only_choice(runs, curves).learning_rate == 0.1


def test_runs_of_open_questions_choose_no_rates():
    first = roles.SEEDS["question"].start
    runs, curves = tuned({(0.1, 0.01, first - 1): [0.3], (0.3, 0.01, first): [0.1]})
    choice = only_choice(runs, curves)
    assert (choice.learning_rate, choice.grid_points) == (0.1, 1)


def test_other_settings_are_other_experiments():
    runs, curves = tuned({(0.1, 0.01, s): [0.3] for s in (100, 101)} | {(0.3, 0.01, 102): [0.1]})
    runs.loc[2, "variant"] = "other initial law"
    assert only_choice(selection.default_variants(runs), curves).learning_rate == 0.1
    named = selection.default_variants(runs, {(TASK, NAME): "other initial law"})
    assert only_choice(named, curves).learning_rate == 0.3
    assert named.is_default.all()
    fallback = selection.default_variants(runs, {(TASK, NAME): "not recorded"})
    assert len(fallback) == 2
    assert not fallback.is_default.any()


def test_a_variant_is_every_setting_but_rates_seed_and_cadence():
    base = {"optimizer": {"b1": 0.9}, "task": {"name": "t"}, "protocol": {"batch_size": 128}}
    base |= {"traced": {"initial_law": [1.0]}}
    same = base | {"protocol": {"batch_size": 128, "eval_every": 10}}
    assert selection.variant(base) == selection.variant(same)
    others = [
        selection.variant(base | {"optimizer": {"b1": 0.8}}),
        selection.variant(base | {"protocol": {"batch_size": 64}}),
        selection.variant(base | {"traced": {"initial_law": "ones"}}),
    ]
    assert len({selection.variant(base), *others}) == 4


def test_a_baseline_beside_an_rllc_run_keeps_its_variant():
    """A table of both holds NaN where the baseline has no law rate."""
    rows = [made.run(TASK, name, 0)[0] for name in ("SGD", NAME)]
    both = selection.tidy(pd.DataFrame(rows)).set_index("optimizer").variant
    alone = selection.tidy(pd.DataFrame(rows[:1])).variant.iloc[0]
    assert both["SGD"] == alone == selection.variant(made.json_settings(rows[0]))
    assert '"initial_law": [1.0]' in both[NAME]


def test_synthetic_data_never_mixes_with_real():
    real, _ = made.run(TASK, NAME, 0)
    fake, _ = made.run(TASK, NAME, 1, data="synthetic")
    assert list(selection.tidy(pd.DataFrame([real, fake])).seed) == [0]
    assert list(selection.tidy(pd.DataFrame([fake])).seed) == [1]


def test_the_file_is_the_same_every_time_and_reads_back(tmp_path):
    records = made.records(optimizers=("SGD", "M(0.9)"))
    runs = selection.tidy(records.runs)
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path, order in zip(paths, (runs, runs.sample(frac=1, random_state=0)), strict=True):
        choices = selection.choose(
            selection.tuning_points(order, records.curves, ACCURACY), ACCURACY
        )
        selection.write_choices(choices, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    rates = selection.chosen_rates(selection.read_choices(paths[0]))
    assert rates[TASK, "SGD"] == {"learning_rate": 0.03}
    assert set(rates[TASK, "M(0.9)"]) == {"learning_rate", "law_learning_rate"}


def test_no_file_is_no_choices(tmp_path):
    assert selection.chosen_rates(selection.read_choices(tmp_path / "none.csv")) == {}


def test_nothing_is_chosen_where_every_point_diverged():
    from rllc.suite.metrics import CLASSIFICATION

    points = pd.DataFrame(
        {
            "task": ["a", "a", "b"],
            "optimizer": "SGD",
            "hyper": ['{"learning_rate":1.0}', '{"learning_rate":2.0}', '{"learning_rate":1.0}'],
            "learning_rate": [1.0, 2.0, 1.0],
            "steps": 10,
            "value": [-np.inf, -np.inf, 0.5],
            "seeds": 1,
            "diverged": [1, 1, 0],
        }
    )
    assert list(selection.choose(points, CLASSIFICATION[0]).task) == ["b"]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "task,optimizer,hyper\na,b,not json\n"])
def test_damaged_choices_are_one_line(tmp_path, text):
    path = tmp_path / "choices.csv"
    path.write_text(text)
    with pytest.raises(RecordsError, match=r"is damaged: .*make tables"):
        selection.read_choices(path)


def test_choices_that_were_changed_since_are_refused_whatever_they_say(tmp_path):
    path = tmp_path / "choices.csv"
    runs, curves = tuned({(0.1, 0.01, 100): [0.5], (0.3, 0.01, 100): [0.1]})
    selection.write_choices(
        selection.choose(selection.tuning_points(runs, curves, LOSS), LOSS), path
    )
    whole = path.read_text()
    assert selection.read_choices(path).learning_rate.tolist() == [0.3]
    path.write_text(whole.replace("0.3", "0.7"))
    with pytest.raises(RecordsError, match=r"checksum is not the one in choices.csv.sha256"):
        selection.read_choices(path)
    (tmp_path / "choices.csv.sha256").unlink()  # a person who means it
    assert selection.read_choices(path).learning_rate.tolist() == [0.7]


def test_the_committed_choices_have_their_checksum():
    path = Path(__file__).parents[3] / "results" / "tuning" / "choices.csv"
    assert path.with_name("choices.csv.sha256").exists()
    assert len(selection.read_choices(path))
