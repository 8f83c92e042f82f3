"""Whether a screen may have dropped the best point: grids whose answer is known by hand."""

import numpy as np
import pandas as pd
import pytest

from rllc.replication.paper import ACCURACY, STUDY
from rllc.suite.choose import screens, selection
from rllc.suite.score import provenance
from rllc.suite.show import aggregation, analysis
from tests.suite import synthetic_records as made

TASK = "mnist_conv"


def runs_of(points, optimizer="M(0.9)", seed=100):
    """Runs of 3,000 and, where there is a second accuracy, of 10,000 steps.

    `points` maps (learning rate, law rate) to (accuracy after 3,000 steps, at the end or None).
    """
    rows, curves = [], []
    for (rate, law), accuracies in points.items():
        for steps, accuracy in zip((3_000, 10_000), accuracies, strict=True):
            if accuracy is None:
                continue
            row, curve = made.run(TASK, optimizer, seed, rate, law, steps=steps)
            rows.append(row | {"status": "diverged" if accuracy < 0 else "finished"})
            column = {ACCURACY.column("validation"): [0.1, accuracy]}
            curves.append(curve[curve.step.isin([0, steps])].assign(**column))
    return pd.DataFrame(rows), pd.concat(curves)


def checked(*parts):
    runs, curves = (pd.concat(x, ignore_index=True) for x in zip(*parts, strict=True))
    runs = selection.default_variants(selection.tidy(runs))
    choices = selection.choose(selection.tuning_points(runs, curves, ACCURACY), ACCURACY)
    return screens.table(screens.dropped(STUDY, runs, curves, choices))


def grid(dropped, kept=(0.80, 0.90), **others):
    """A kept point that gains 10 points (20 at the faster law), and the points of `dropped`."""
    return runs_of({(0.1, 0.003): kept, (0.1, 0.01): (0.60, 0.80)} | dropped, **others)


def test_a_dropped_point_is_held_against_the_most_that_its_law_rate_gained():
    row = checked(grid({(0.3, 0.003): (0.75, None), (0.3, 0.01): (0.65, None)})).iloc[0]
    assert (row.optimizer, row.points, row.kept) == ("M(0.9)", 4, 2)
    assert (row.steps, row.screen_steps) == (10_000, 3_000)
    assert row.dropped_hyper == made.hyper(learning_rate=0.3, law_learning_rate=0.003)
    assert [row.value, row.dropped_value] == pytest.approx([90, 75])
    assert [row.needed, row.gained] == pytest.approx([15, 10])
    assert not row.in_doubt
    row = checked(grid({(0.3, 0.003): (0.75, None), (0.3, 0.01): (0.71, None)})).iloc[0]
    assert row.dropped_hyper == made.hyper(learning_rate=0.3, law_learning_rate=0.01)
    assert [row.needed, row.gained] == pytest.approx([19, 20])
    assert row.in_doubt


@pytest.mark.slow
def test_gains_of_another_optimizer_with_a_law_count_and_those_without_do_not():
    mine = grid({(0.3, 0.003): (0.75, None)})
    slow = runs_of({(0.1, 0.003): (0.5, 0.7), (0.3, 0.003): (0.1, None)}, "M(0.9)+M(0.0)")
    assert checked(mine, slow).set_index("optimizer").in_doubt["M(0.9)"]
    for end, gained in ((0.55, 5), (0.80, 30)):
        baseline = runs_of({(0.1, np.nan): (0.5, end), (0.3, np.nan): (0.1, None)}, "SGD")
        unlike = grid({(0.3, 0.03): (0.65, None)})  # of its law rate nothing was kept
        table = checked(unlike, baseline).set_index("optimizer")
        assert list(table.gained[["M(0.9)", "SGD"]]) == pytest.approx([20, gained])


def test_a_law_rate_of_which_nothing_was_kept_is_held_against_the_most_of_any():
    row = checked(grid({(0.1, 0.03): (0.71, None)})).iloc[0]
    assert row.dropped_hyper == made.hyper(learning_rate=0.1, law_learning_rate=0.03)
    assert row.in_doubt
    assert [row.needed, row.gained] == pytest.approx([19, 20])


def test_whatever_is_tuned_beside_the_learning_rate_counts_as_the_law_rate_does():
    points = {(0.3, 0.003): (0.75, None), (0.3, 0.01): (0.71, None)}
    runs, curves = grid(points, optimizer="Mine")
    renamed = runs.assign(hyper=runs.hyper.str.replace("law_learning_rate", "b1"))
    table = checked((renamed, curves))
    row = table.iloc[0]
    assert row.dropped_hyper == made.hyper(learning_rate=0.3, b1=0.01)
    assert [row.needed, row.gained] == pytest.approx([19, 20])
    assert "any kept point of its task and b1 did" in screens.sentence(STUDY, table)


def test_gains_pair_runs_of_the_same_seed_once_each():
    mine = grid({(0.3, 0.003): (0.75, None)})
    more = runs_of({(0.1, 0.003): (None, 0.98)}, seed=101)  # of which there is no screen
    row = checked(mine, more).iloc[0]
    assert [row.value, row.gained] == pytest.approx([94, 10])
    first = runs_of({(0.1, 0.003): (0.11, None)})  # the same seed, recorded earlier
    first[0]["run"], first[1]["run"] = "first", "first"
    assert checked(first, mine).gained.iloc[0] == pytest.approx(10)


def test_lost_runs_neither_gain_nor_threaten():
    table = checked(
        grid({(0.3, 0.003): (-1, None), (0.03, 0.003): (-1, 0.85), (1, 0.003): (0.6, None)})
    )
    assert list(table.dropped_hyper) == [made.hyper(learning_rate=1, law_learning_rate=0.003)]
    assert table.gained.iloc[0] == pytest.approx(10)
    assert checked(grid({(0.3, 0.003): (-1, None)})).empty


def test_where_the_tuning_runs_are_elsewhere_nothing_is_known_of_a_screen():
    runs, curves = grid({(0.3, 0.003): (0.85, None)})
    runs = selection.default_variants(selection.tidy(runs))
    choices = selection.choose(selection.tuning_points(runs, curves, ACCURACY), ACCURACY)
    assert len(screens.dropped(STUDY, runs, curves, choices)) == 1
    assert screens.dropped(STUDY, runs.iloc[:0], curves, choices).empty


def test_whole_grids_have_no_row_and_no_sentence():
    table = checked(grid({}))
    assert list(table.columns) == screens.SCREENS.names
    assert table.empty
    assert screens.sentence(STUDY, table) == ""


def test_the_sentence_counts_and_names_those_in_doubt():
    safe, doubt = ({(0.3, 0.003): (x, None)} for x in (0.75, 0.85))
    assert screens.sentence(STUDY, checked(grid(safe))) == (
        "Of 1 screened grids 1 pass this check: no dropped point would draw level with the chosen "
        "one if after the screen it gained as much validation accuracy as any kept point of its "
        "task and law rate did."
    )
    table = checked(grid(safe), grid(doubt, optimizer="M2(0.6)"))
    assert screens.sentence(STUDY, table).startswith("Of 2 screened grids 1 pass this check: ")
    assert screens.sentence(STUDY, table).endswith(
        "; not so M₂(0.6) on MNIST Conv (5.0 points needed, 10.0 gained)."
    )
    assert screens.doubtful(table) == {(TASK, "M2(0.6)")}


@pytest.mark.slow
def test_a_screen_in_doubt_is_a_short_grid_to_every_table(tmp_path):
    pairs = [made.run(TASK, "M(0.9)", seed, 0.1, 0.003) for seed in range(3)]
    final = pd.DataFrame([row for row, _ in pairs]), pd.concat([curve for _, curve in pairs])
    for dropped, doubt in ((0.75, False), (0.85, True)):
        points = {(10.0**-i, law): (0.2, None) for i in range(6) for law in (0.003, 0.01, 0.03)}
        kept = {(0.1, 0.003): (0.8, 0.9), (0.1, 0.01): (0.6, 0.7), (0.01, 0.003): (0.6, 0.7)}
        points |= kept | {(1.0, 0.003): (dropped, None)}
        both = (pd.concat(x, ignore_index=True) for x in zip(final, runs_of(points), strict=True))
        a = analysis.analyse(STUDY, made.SyntheticRecords(*both))
        row = a.made.iloc[0]
        assert (row.short_grid, row.in_doubt) == (doubt, doubt)
        assert (row.grid == "whole grid for 3000 steps, its best points to the end") is not doubt
        aggregation.write_tables(a, tmp_path)
        written = pd.read_csv(tmp_path / "tables" / "screens.csv")
        assert list(written.columns) == screens.SCREENS.names
        assert list(written.in_doubt) == [doubt]
    assert provenance.SCREEN_KEPT == 3
