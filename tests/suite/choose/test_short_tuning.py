"""What choosing rates before the end loses: grids whose answer is known by hand."""

import numpy as np
import pandas as pd
import pytest

from rllc.replication import early_choice, paper
from rllc.replication.paper import ACCURACY, STUDY
from rllc.suite.choose import selection, short_tuning
from rllc.suite.show import analysis
from tests.suite import synthetic_records as made

STEPS = [0, 500, 1_000, 10_000]
FLAT = [0.1, 0.2, 0.2, 0.2]


def grid(*leading, seeds=(100,), optimizer="SGD", family="baseline"):
    """Runs and curves of a whole grid: the given accuracies at `STEPS`, then points that stay low.

    Each of `leading` holds one curve per seed.
    """
    points = [*leading, *[[FLAT] * len(seeds)] * (paper.GRID_POINTS[family] - len(leading))]
    runs, curves = [], []
    for i, by_seed in enumerate(points):
        for seed, accuracy in zip(seeds, by_seed, strict=True):
            run = f"{optimizer}-{i}-{seed}"
            row = {"run": run, "task": "mnist_mlp", "optimizer": optimizer, "family": family}
            rest = {"role": "tune", "seed": seed, "steps": 10_000, "status": "finished"}
            rest |= {"hyper": made.hyper(learning_rate=10.0**-i), "learning_rate": 10.0**-i}
            runs.append(row | rest | {"diverged_at": np.nan})
            curves.append(
                pd.DataFrame({"run": run, "step": STEPS, ACCURACY.column("validation"): accuracy})
            )
    return pd.DataFrame(runs), pd.concat(curves)


def lost(runs, curves):
    return short_tuning.table(STUDY, runs, curves).set_index("steps")


QUICK, MIDDLING, SLOW = [0.1, 0.5, 0.55, 0.6], [0.1, 0.45, 0.6, 0.7], [0.1, 0.3, 0.4, 0.9]


def test_the_leader_of_each_step_against_the_best_at_the_end():
    table = lost(*grid([QUICK], [MIDDLING], [SLOW]))
    assert list(table.index) == [500, 1_000, 10_000]  # nothing is chosen before training
    assert list(table.lost) == pytest.approx([30, 20, 0])
    assert list(table.lost_of_kept) == pytest.approx([0, 0, 0])
    assert set(table.grid_points) == {15}
    ahead = [0.1, 0.4, 0.5, 0.5]
    table = lost(*grid([QUICK], [MIDDLING], [ahead], [SLOW]))  # three others lead at first
    assert list(table.lost_of_kept) == pytest.approx([20, 20, 0])


def test_a_point_that_falls_back_keeps_its_best_and_one_that_diverges_loses_all():
    back = [0.1, 0.8, 0.3, 0.3]
    table = lost(*grid([back], [SLOW]))
    assert list(table.lost) == pytest.approx([10, 10, 0])
    runs, curves = grid([back], [SLOW])
    runs.loc[0, "status"] = "diverged"
    runs["diverged_at"] = np.where(runs.index == 0, 5_000, np.nan)
    assert list(lost(runs, curves).lost) == pytest.approx([80, 80, 0])
    runs["diverged_at"] = np.where(runs.index == 0, 700, np.nan)  # known at step 1,000
    assert list(lost(runs, curves).lost) == pytest.approx([80, 0, 0])


def test_seeds_are_averaged_before_the_choice():
    quick = [QUICK, [0.1, 0.1, 0.1, 0.2]]  # 0.3 after 500 steps, 0.4 at the end
    even = [[0.1, 0.4, 0.4, 0.5]] * 2
    table = lost(*grid(quick, even, [SLOW, SLOW], seeds=(100, 101)))
    assert set(table.seeds) == {2}
    assert list(table.lost) == pytest.approx([40, 0, 0])  # even leads, then slow (a tie, both 0.4)


def test_further_seeds_of_a_few_points_do_not_count():
    runs, curves = grid([QUICK], [MIDDLING], [SLOW])
    again = runs.iloc[:1].assign(seed=101, run="again")
    more = pd.DataFrame({"run": "again", "step": STEPS, ACCURACY.column("validation"): 1.0})
    table = lost(pd.concat([runs, again]), pd.concat([curves, more]))
    assert list(table.lost) == pytest.approx([30, 20, 0])


@pytest.mark.parametrize("change", ["points", "steps", "role"])
def test_only_whole_grids_of_whole_runs_tell(change):
    runs, curves = grid([QUICK], [MIDDLING], [SLOW])
    short = {
        "points": runs.iloc[1:],
        "steps": runs.assign(steps=3_000),
        "role": runs.assign(role="final"),
    }
    table = short_tuning.table(STUDY, short[change], curves)
    assert table.empty
    assert list(table.columns) == short_tuning.EARLY.names
    assert early_choice.sentence(table) == ""


def test_the_sentence_has_both_families():
    parts = [
        grid([QUICK], [MIDDLING], [SLOW]),
        grid([QUICK], [SLOW], optimizer="M(0.9)", family="rllc"),
    ]
    table = short_tuning.table(STUDY, *map(pd.concat, zip(*parts, strict=True)))
    assert early_choice.sentence(table) == (
        "Rates chosen on the whole grid after 1,000 of 10,000 steps would have lost, of validation "
        "accuracy and in the mean over 2 grids (MNIST MLP), 20.00 points for baselines (at most "
        "20.00; best 3 kept and trained to the end: 0.00) and 30.00 points for RLLC (at most "
        "30.00; best 3 kept and trained to the end: 0.00)."
    )
    later = table.assign(steps=table.steps.replace({1_000: 3_000, 500: 1_000}))
    assert early_choice.sentence(later).endswith(
        "to the end: 0.00). After 3,000 steps it would have been 20.00 points for baselines (best "
        "3 kept: 0.00, at most 0.00) and 30.00 points for RLLC (best 3 kept: 0.00, at most 0.00)."
    )


def test_law_rates_chosen_early_are_compared_with_those_of_the_end():
    parts = []
    for name, laws in (("M(0.9)", [0.03, 0.003]), ("M2(0.6)", [0.003, 0.01])):
        runs, curves = grid([QUICK], [SLOW], optimizer=name, family="rllc")
        rates = zip(runs.learning_rate, [*laws, *[0.01] * 16], strict=True)
        runs["hyper"] = [made.hyper(learning_rate=a, law_learning_rate=b) for a, b in rates]
        parts.append((selection.with_hyper(runs), curves))
    parts.append(grid([QUICK], [SLOW]))
    table = short_tuning.table(STUDY, *map(pd.concat, zip(*parts, strict=True)))
    first = table[(table.optimizer == "M(0.9)") & (table.steps == 500)].iloc[0]
    assert first.hyper == made.hyper(learning_rate=1, law_learning_rate=0.03)
    counts = "2 RLLC grids, the law rate chosen early was above the one chosen at the end in"
    assert early_choice.sentence(table).endswith(f" Of {counts} 1 and below it in 1.")
    fastest = made.hyper(learning_rate=1, law_learning_rate=0.1)
    fast = table.assign(hyper=table.hyper.mask(table.steps == 1_000, fastest))
    text = f" Short runs favour a fast law: of {counts} 2 and below it in 0."
    assert early_choice.sentence(fast[fast.family == "rllc"]).endswith(text)


def test_the_figure_says_how_many_optimizers_and_seeds():
    rates = np.geomspace(1e-5, 1, 15)
    pairs = [made.run("mnist_mlp", "SGD", 100, learning_rate=rate) for rate in rates]
    found = analysis.analyse(STUDY, made.gather(pairs))
    drawn = short_tuning.figure(STUDY, found.early)
    text = "\n".join(t.get_text() for t in drawn.findobj(lambda x: hasattr(x, "get_text")))
    assert "baselines n = 1" in text
    assert "whole grids of 1 seed each" in text
