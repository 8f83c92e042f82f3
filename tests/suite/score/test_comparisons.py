"""Comparisons, ranking and sweeps on records whose order is known."""

import numpy as np
import pandas as pd
import pytest

from rllc.replication import paper
from rllc.replication.paper import STUDY
from rllc.suite.score import comparisons, ranking, tuning_analysis
from rllc.suite.show import aggregation, analysis
from tests.suite import synthetic_records as made

ERRORS = {"SGD": 0.10, "Momentum SGD": 0.08, "Adam": 0.06, "M(0.9)": 0.05, "M2(0.6)": 0.07}
TASKS = ("mnist_mlp", "mnist_conv")


@pytest.fixture(scope="module")
def known() -> analysis.Analysis:
    """Five optimizers on two tasks with the given errors, six seeds, small paired noise."""
    pairs = [
        made.run(task, name, seed, floor=error, noise=1e-4)
        for task in TASKS
        for name, error in ERRORS.items()
        for seed in (*range(6), 100)
    ]
    return analysis.analyse(STUDY, made.gather(pairs))


@pytest.mark.slow
def test_scores_are_optimizers_tasks_seeds_with_gaps(known):
    last = known.rows[known.rows.reading == "last"]
    last = last[~((last.optimizer == "SGD") & (last.seed == 2))]
    last = last.assign(status=np.where(last.seed == 1, "diverged", last.status))
    array = comparisons.scores(STUDY, last, ["SGD", "Adam"], list(TASKS))
    assert array.shape == (2, 2, 6)
    assert np.isnan(array[0, :, 2]).all()
    assert (array[:, :, 1] == 10.0).all()
    losses = comparisons.scores(STUDY, last, ["SGD"], ["mnist_mlp"], "test_loss")
    assert losses[0, 0, 1] == pytest.approx(np.log(10))


@pytest.mark.slow
def test_the_hardest_baseline_is_compared_with(known):
    last = known.summary[known.summary.reading == "last"]
    assert comparisons.best_baselines(STUDY, last) == dict.fromkeys(TASKS, "Adam")
    assert comparisons.best_baselines(STUDY, last, "test_loss") == dict.fromkeys(TASKS, "Adam")
    against = known.against[(known.against.reading == "last") & (known.against.task == TASKS[0])]
    rows = against.set_index(["metric", "optimizer"])
    better, worse = rows.loc["test_accuracy", "M(0.9)"], rows.loc["test_accuracy", "M2(0.6)"]
    assert (better.baseline, better.n) == ("Adam", 6)
    # errors end 2 % above their floor: 1.02 * (6 - 5) points, and 1.02 * (6 - 7)
    assert (better.difference, worse.difference) == pytest.approx((1.02, -1.02), abs=0.03)
    assert better.low > 0 > worse.high
    assert rows.loc["test_loss", "M(0.9)"].difference > 0  # positive is better here too
    assert (against.p_holm >= against.p_value).all()


@pytest.mark.slow
def test_neighbours_do_not_touch_the_papers_p_values():
    def against(*neighbours):
        errors = ERRORS | dict.fromkeys(neighbours, 0.05)
        pairs = [
            made.run(TASKS[0], name, s, floor=error, noise=0.02)
            for name, error in errors.items()
            for s in range(6)
        ]
        return analysis.analyse(STUDY, made.gather(pairs)).against

    alone, both = against(), against("N1", "N2", "N3")
    of_paper = both[both.optimizer.isin(paper.OPTIMIZERS)].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_paper, alone)
    assert (alone.p_holm > alone.p_value).any()
    assert (both.p_holm >= both.p_value).all()


def test_without_all_three_baselines_there_is_no_comparison():
    pairs = [made.run("mnist_mlp", name, s) for name in ("SGD", "M(0.9)") for s in range(3)]
    assert analysis.analyse(STUDY, made.gather(pairs)).against.empty


@pytest.mark.slow
def test_new_cells_leave_old_intervals_alone(known):
    more = [made.run("cifar10_mlp", name, s) for name in ERRORS for s in range(6)]
    records = known.records
    both = made.SyntheticRecords(
        pd.concat([records.runs, made.gather(more).runs], ignore_index=True),
        pd.concat([records.curves, made.gather(more).curves], ignore_index=True),
    )
    after = analysis.analyse(STUDY, both).against
    columns = ["difference", "low", "high"]
    kept = after[after.task.isin(TASKS)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[columns], known.against[columns])


def test_agreement_with_the_paper():
    cell = paper.cells().set_index(["optimizer", "task"]).loc["SGD", "mnist_mlp"]
    for offset, agrees in ((0.25, True), (0.35, False)):
        error = 1 - (cell.test_accuracy_mean + offset) / 100
        pairs = [made.run("mnist_mlp", "SGD", s, floor=error, noise=1e-5) for s in range(3)]
        cells = analysis.analyse(STUDY, made.gather(pairs)).cells.set_index("reading")
        best = cells.loc["best"]
        assert best.accuracy_difference == pytest.approx(offset, abs=0.02)
        assert (best.tolerance, best.agrees) == (pytest.approx(0.3), agrees)
        assert best.excludes_paper


@pytest.mark.parametrize("lost", [{"status": "diverged"}, {"floor": 0.9}])
def test_a_cell_with_a_lost_run_does_not_agree(lost):
    """The paper's accuracy twice; the third run diverges, or stays at chance."""
    cell = paper.cells().set_index(["optimizer", "task"]).loc["SGD", "mnist_mlp"]
    error = 1 - cell.test_accuracy_mean / 100
    pairs = [made.run("mnist_mlp", "SGD", s, floor=error, noise=1e-5) for s in range(2)]
    pairs.append(made.run("mnist_mlp", "SGD", 2, **{"floor": error, "noise": 1e-5} | lost))
    best = analysis.analyse(STUDY, made.gather(pairs)).cells.set_index("reading").loc["best"]
    assert best.diverged + best.at_chance == 1
    assert abs(best.accuracy_difference) <= best.tolerance
    assert not best.agrees


def test_a_wide_spread_widens_the_tolerance():
    pairs = [made.run("mnist_mlp", "SGD", s, floor=0.02 + 0.01 * s) for s in range(3)]
    best = analysis.analyse(STUDY, made.gather(pairs)).cells.set_index("reading").loc["best"]
    expected = np.sqrt((best.batch_accuracy_std**2 + 0.03**2) / 2)  # the paper's deviation: 0.03
    assert best.tolerance == pytest.approx(2 * expected)


def test_diverged_runs_do_not_weigh_in_the_tolerance():
    pairs = [made.run("mnist_mlp", "SGD", s, floor=0.02 + 0.01 * s) for s in range(2)]
    pairs.append(made.run("mnist_mlp", "SGD", 2, status="diverged"))
    best = analysis.analyse(STUDY, made.gather(pairs)).cells.set_index("reading").loc["best"]
    pooled = np.sqrt((1 * best.batch_accuracy_std**2 + 2 * 0.03**2) / 3)  # two runs and three
    assert best.tolerance == pytest.approx(2 * pooled)


def test_ranking_orders_by_errors_saved(known):
    (tasks,) = ranking.task_sets(STUDY, ranking.field(STUDY, known.rows, known.summary))
    table = ranking.ranking(STUDY, known.rows, known.summary, tasks, "last").set_index("optimizer")
    assert list(table.index) == ["M(0.9)", "Adam", "M2(0.6)", "Momentum SGD", "SGD"]
    assert list(table["rank"]) == [1, 2, 3, 4, 5]
    assert table.mean_rank.tolist() == [1, 2, 3, 4, 5]
    assert table.score.tolist() == pytest.approx(
        [100 / 6, 0, -100 / 6, -200 / 6, -400 / 6], abs=0.6
    )
    assert table.beats_best_baseline.tolist() == [2, 0, 0, 0, 0]
    assert table.score_low["M(0.9)"] <= table.score["M(0.9)"] <= table.score_high["M(0.9)"]


@pytest.mark.slow
def test_optimizers_that_lack_tasks_are_ranked_on_those_they_share():
    pairs = [made.run(t, name, s) for t in TASKS for name in paper.OPTIMIZERS for s in range(2)]
    pairs += [made.run("mnist_conv", "Neighbour", s, floor=0.001) for s in range(2)]
    known = analysis.analyse(STUDY, made.gather(pairs))
    sets = ranking.task_sets(STUDY, ranking.field(STUDY, known.rows, known.summary))
    assert sets == [list(TASKS), ["mnist_conv"]]
    whole, shared = (ranking.ranking(STUDY, known.rows, known.summary, tasks) for tasks in sets)
    assert "Neighbour" not in set(whole.optimizer)  # the best score, but on one task only
    assert list(whole["rank"]) == list(range(1, 12))
    assert shared.optimizer[0] == "Neighbour"
    assert (len(shared), set(shared.tasks)) == (12, {1})
    text = ranking.page(STUDY, list(zip(sets, (whole, shared), strict=True)))
    assert text.index("11 optimizers") < text.index("## MNIST Conv: 12 optimizers")


@pytest.mark.slow
def test_tasks_with_rates_from_short_grids_are_not_ranked_over(tmp_path):
    pairs = [made.run(t, name, s) for t in TASKS for name in paper.OPTIMIZERS for s in range(3)]
    pairs.append(made.run("mnist_conv", "M2(0.6)", 100, steps=300))
    found = analysis.analyse(STUDY, made.gather(pairs))
    aggregation.write_tables(found, tmp_path)
    text = (tmp_path / "tables" / "ranking.md").read_text()
    assert "Left out, since rates come from short grids: MNIST Conv." in text
    assert "## MNIST MLP: 11 optimizers" in text
    assert "## MNIST MLP, MNIST Conv" not in text


def test_a_ranking_without_runs_says_so():
    empty = analysis.analyse(STUDY, made.nothing())
    assert ranking.task_sets(STUDY, ranking.field(STUDY, empty.rows, empty.summary)) == []
    assert "Not yet measured" in ranking.page(STUDY, [])


def test_steps_to_the_best_baselines_final_accuracy(known):
    table = tuning_analysis.target_table(known.targets).set_index(["task", "optimizer"])
    row = table.loc["mnist_mlp", "M(0.9)"]
    assert (row.baseline, row.runs, row.reached_runs) == ("Adam", 6, 6)
    # error of M(0.9) falls below Adam's last 0.0612: exp(-t/800) < 0.0112/0.85, t > 3,464
    assert row.median_steps == 3500
    assert table.loc["mnist_mlp", "SGD"].reached_runs == 0
    assert table.loc["mnist_mlp", "SGD"].median_steps == np.inf


def test_sweep_tables_on_a_grid_by_hand():
    points = pd.DataFrame(
        {
            "task": "mnist_mlp", "optimizer": "SGD", "learning_rate": [0.1, 0.2, 0.3, 0.4],
            "steps": 10_000, "value": [1.0, 1.005, 1.04, np.inf],
            "seeds": 1, "diverged": [0, 0, 0, 1],
        }
    )  # fmt: skip
    statuses = ["finished", "finished", "finished", "diverged"]
    runs = points[["task", "optimizer"]].assign(role="tune", status=statuses)
    row = tuning_analysis.sensitivity_table(points, runs).iloc[0]
    assert (row.grid_points, row.within_1_percent, row.within_5_percent) == (4, 0.5, 0.75)
    assert row.diverged_share == 0.25
    budget = tuning_analysis.budget_table(STUDY, points)
    assert list(budget.trials) == [1, 2, 3, 4]
    mean = (1.0 + 1.005 + 1.04 + np.log(10)) / 4  # the diverged point counts as guessing
    assert budget.expected_best.iloc[[0, -1]].tolist() == pytest.approx([mean, 1.0])
    shorter = points.assign(task="cifar10_resnet20", steps=300)
    both, all_runs = pd.concat([points, shorter]), pd.concat([runs, runs])
    assert set(tuning_analysis.budget_table(STUDY, both).task) == {"mnist_mlp"}
    assert set(tuning_analysis.sensitivity_table(both, all_runs).task) == {"mnist_mlp"}
    assert set(tuning_analysis.budget_table(STUDY, shorter).task) == {"cifar10_resnet20"}


def test_of_a_screened_grid_the_sweep_tables_take_the_screen():
    rates = [0.1, 0.2, 0.3, 0.4]
    screen = pd.DataFrame(
        {
            "task": "mnist_conv", "optimizer": "SGD", "learning_rate": rates, "steps": 3_000,
            "value": [1.0, 1.1, 1.2, 1.3], "seeds": 1,
        }
    )  # fmt: skip
    kept = screen.iloc[:2].assign(steps=10_000, value=[0.5, 0.6])
    points = pd.concat([kept, screen])
    budget = tuning_analysis.budget_table(STUDY, points)
    assert set(budget.steps) == {3_000}
    assert budget.expected_best.to_numpy() == pytest.approx([1.15, 1.1 - 1 / 30, 1.025, 1.0])
    as_many = points[points.learning_rate < 0.25]  # as many of each length: the longer
    assert set(tuning_analysis.widest(as_many).steps) == {10_000}
    too_short = screen.assign(task="mnist_mlp", steps=2_999)
    assert set(tuning_analysis.widest(pd.concat([points, too_short])).task) == {"mnist_conv"}
