"""The map of noisy quadratics: what chooses, what counts, verdicts, and the same bytes again."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rllc.replication import quadratic_figures, quadratic_page, quadratics
from rllc.replication import quadratic_training as training
from rllc.replication.quadratics import ADAM, MIXED, MOMENTUM, SINGLE
from rllc.suite import drawing, schedules
from rllc.suite.plan import configuration
from rllc.suite.plan.configuration import Conf
from rllc.suite.records import RecordsError

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results" / "quadratics"
SEEDS = range(6)


def rows(optimizer, excess, role="final", rate=0.1, law=None, **more):
    """A run per value of `excess`, seeds counting up."""
    return pd.DataFrame({
        "role": role, "optimizer": optimizer, "condition": 10.0, "noise": 0.1,
        "seed": range(len(excess)), "learning_rate": rate, "excess": excess,
        "diverged": ~np.isfinite(np.asarray(excess, float)), "law_1": law,
    }).assign(**more).reindex(columns=quadratics.RUNS)  # fmt: skip


def joined(*parts):
    whole = pd.concat(parts, ignore_index=True)
    return whole.astype({"law_1": float, "law_2": float, "factor": float, "diverged": bool})


def around(level):
    """Values of a geometric mean, a few percent apart."""
    return level * np.exp(0.02 * np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]))


def test_the_point_with_the_lowest_mean_is_chosen_and_divergence_loses():
    runs = joined(
        rows(MOMENTUM, [1e-3, 3e-3], "tune", 0.1),
        rows(MOMENTUM, [1e-9, np.inf], "tune", 1.0),
        rows(MOMENTUM, [1e-9, 1e-2], "tune", 0.3),
    )
    assert quadratics.chosen(runs).learning_rate.tolist() == [0.1]
    equal = joined(rows(MOMENTUM, [0.0], "tune", 0.3), rows(MOMENTUM, [0.0], "tune", 0.1))
    assert quadratics.chosen(equal).learning_rate.tolist() == [0.1]


def test_means_are_geometric_ratios_paired_and_laws_in_units_of_momentums_rate():
    momentum = around(1e-4)[[3, 0, 5, 1, 4, 2]]
    runs = joined(
        rows(MOMENTUM, momentum, rate=0.2),
        rows(SINGLE, momentum / 4, rate=0.1, law=3.0, law_learning_rate=0.01),
        rows(MOMENTUM, [1.0], "tune", 0.2), rows(MOMENTUM, [1.0], "tune", 0.4),
        rows(SINGLE, [1.0], "tune", 0.05), rows(SINGLE, [1.0], "tune", 0.1),
    )  # fmt: skip
    cells = quadratics.cells(runs).set_index("optimizer")
    ours = cells.loc[SINGLE]
    assert cells.excess[MOMENTUM] == pytest.approx(1e-4)
    assert ours.ratio == pytest.approx(0.25)
    assert ours.ratio_high - ours.ratio_low < 1e-9  # paired: the same factor for every seed
    assert (ours.verdict, cells.verdict[MOMENTUM]) == ("lower", "tie")
    assert ours.first_rate == pytest.approx(0.5)
    assert ours.end_rate == pytest.approx(1.5)
    assert (ours.edge, cells.edge[MOMENTUM]) == ("learning_rate", "learning_rate")


def test_solved_runs_are_ties_and_diverged_ones_count_with_the_start():
    runs = joined(
        rows(MOMENTUM, [1e-30] * 6), rows(ADAM, [0.0] * 6), rows(SINGLE, [1e-20] * 5 + [np.inf]),
        rows(MIXED, [np.nan] * 6), *(rows(name, [1.0], "tune") for name in quadratics.RIVALS),
    )  # fmt: skip
    cells = quadratics.cells(runs).set_index("optimizer")
    assert cells.verdict[ADAM] == "tie"
    assert cells.diverged[[SINGLE, MIXED]].tolist() == [1, 6]
    assert cells.excess[MIXED] == quadratics.START
    assert cells.excess[SINGLE] == pytest.approx(quadratics.SOLVED ** (5 / 6))
    assert cells.worst[SINGLE] == quadratics.START


def won(levels):
    runs = joined(*(rows(name, around(level)) for name, level in levels.items()))
    return quadratics.winners(runs).itertuples()


def test_the_best_is_held_against_the_second():
    levels = {MOMENTUM: 3e-4, ADAM: 9e-4, SINGLE: 1e-4, MIXED: 2e-4}
    (best,) = quadratics.winners(
        joined(*(rows(n, around(x)) for n, x in levels.items()))
    ).itertuples()
    assert (best.best, best.second, best.verdict) == (SINGLE, MIXED, "lower")
    assert best.ratio == pytest.approx(0.5)
    levels[MIXED] = 1.02e-4
    (best,) = quadratics.winners(
        joined(*(rows(n, around(x)) for n, x in levels.items()))
    ).itertuples()
    assert (best.best, best.verdict) == (SINGLE, "tie")  # 2 % apart, however surely


def test_a_wrong_file_is_one_line(tmp_path):
    with pytest.raises(RecordsError, match="cannot read"):
        quadratics.read(tmp_path / "none.csv")
    (tmp_path / "runs.csv").write_text("role,seed\ntune,0\n")
    with pytest.raises(RecordsError, match="no column optimizer"):
        quadratics.read(tmp_path / "runs.csv")


def test_committed_final_runs_are_at_what_their_tuning_runs_choose():
    runs = quadratics.read(COMMITTED / "runs.csv")
    keys = [*quadratics.CELL, "optimizer"]
    chosen = quadratics.chosen(runs[runs.role == "tune"]).set_index(keys)[quadratics.RATES]
    final = runs[runs.role == "final"]
    used = final.groupby(keys)[quadratics.RATES].agg(["min", "max"])
    for rate in quadratics.RATES:
        for end in ("min", "max"):
            pd.testing.assert_series_equal(
                used[rate][end], chosen[rate], check_names=False, check_like=True
            )
    assert not set(final.seed) & set(runs[runs.role == "tune"].seed)
    points = runs[runs.role == "tune"].groupby(keys).size()
    assert points.nunique() == 1  # equal budgets


@pytest.mark.slow
def test_the_guide_says_what_the_map_shows():
    """Each assertion is a sentence of docs/problems.md, in its order."""
    runs = quadratics.read(COMMITTED / "runs.csv")
    cells, off = quadratics.cells(runs), quadratics.off(runs)
    ours = cells[cells.optimizer.isin((SINGLE, MIXED))]
    assert ((ours.verdict == "tie").groupby(ours.optimizer).mean() > 0.6).all()
    lower = ours[ours.verdict == "lower"]
    assert lower.optimizer.nunique() == 2
    assert (lower.condition >= 100).all()
    assert lower.noise.between(0.01, 0.1).all()
    single = lower[lower.optimizer == SINGLE]
    assert (single.first_rate > 1).all()
    assert (single.end_rate < 1).all()
    decayed = quadratics.against(runs, quadratics.DECAYED)
    decayed = decayed[decayed.optimizer != quadratics.ADAM_DECAYED]  # all others keep their rates
    assert not (decayed.verdict[decayed.noise > 0] == "lower").any()
    default = quadratics.at_default(runs).verdict.value_counts()
    assert "lower" not in default
    assert 0 < default["higher"] < default["tie"]
    higher = ours[ours.verdict == "higher"]
    assert ((higher.condition <= 10) | ((higher.noise == 0) & (higher.condition == 1e4))).all()

    assert (off.end_rate[off.factor == 0.01] < 0.1).all()
    right = off[(off.factor == 0.1) & (off.end_rate > 0.5)]
    assert 0 < len(right) < 25
    assert set(right.law_learning_rate) == {0.03}
    high = off[off.factor == 10]
    assert (high.end_rate[high.noise >= 1] > 9).all()
    fell = high[(high.noise == 0.01) & (high.condition >= 1000) & (high.law_learning_rate > 0.003)]
    assert (fell.end_rate < 1.1).all()
    assert (fell.end_rate < 0.5).sum() >= 3
    assert set(off.noise[off.diverged > 0]) == {0}
    assert set(off.factor[off.diverged > 0]) == {10}
    lost = runs[(runs.role == "off") & runs.diverged & (runs.condition == 1)]
    assert len(lost)
    assert (lost.law_1 < 0).all()


@pytest.mark.slow
def test_everything_is_made_again_byte_for_byte(tmp_path):
    quadratic_page.write(COMMITTED / "runs.csv", tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {path.name for path in COMMITTED.iterdir()} - {"runs.csv"}
    for name, content in made.items():
        assert content == (COMMITTED / name).read_bytes(), name
    for link in re.findall(r"\]\(([^)]+)\)", made["README.md"].decode()):
        assert (COMMITTED / link).exists()


@pytest.mark.slow
def test_a_small_map_trains_and_every_row_has_its_runs():
    size = training.Size((1.0, 100.0), (0.1,), 12, (100, 101), (0, 1, 2))
    few = [
        entry._replace(grid=entry.grid[::9])
        for entry in training.entries()
        if entry.label in (MOMENTUM, SINGLE)
    ]
    told = []
    runs = training.train(
        Conf(ROOT / "conf"), size, few, lambda what, count, steps: told.append(steps)
    )
    counts = runs.groupby(["role", "optimizer"]).size()
    for entry in few:
        assert counts["tune", entry.label] == 2 * len(entry.grid) * 2
        assert counts["final", entry.label] == 2 * 3
    assert counts["off", SINGLE] == 2 * len(quadratics.FACTORS) * len(quadratics.LAW_RATES) * 3
    assert sum(told) == 12 * (2 * len(few) + 1)
    off = runs[runs.role == "off"]
    assert set(off.factor) == set(quadratics.FACTORS)
    chosen = quadratics.chosen(runs[(runs.role == "tune") & (runs.optimizer == MOMENTUM)])
    rate = off.merge(chosen[["condition", "learning_rate"]], on="condition").learning_rate_y
    np.testing.assert_allclose(off.learning_rate, off.factor * rate.to_numpy())
    assert (runs.law_1.notna() == (runs.optimizer == SINGLE)).all()
    assert (runs.excess[runs.role == "final"] < 1.5).all()


@pytest.mark.parametrize("name", [quadratics.DECAYED, quadratics.ADAM_DECAYED])
def test_a_decayed_rate_falls_to_zero_in_a_straight_line(name):
    (row,) = (row for row in training.entries() if row.label == name)
    words = [f"optimizer={row.config}", "protocol.steps=4", *row.words]
    optimizer = configuration.run_of(
        configuration.compose(Conf(ROOT / "conf"), words), {}
    ).optimizer
    schedule = schedules.read(optimizer["schedules"]["learning_rate"], "here")
    factors = [float(schedule.factor(np.int32(step))) for step in range(5)]
    np.testing.assert_allclose(factors, [1.0, 0.75, 0.5, 0.25, 0.0], atol=1e-7)


def test_grids_are_of_equal_size():
    assert len({len(entry.grid) for entry in training.entries()}) == 1
    assert [entry.label for entry in training.entries()] == list(quadratics.ORDER)


@pytest.mark.slow
def test_a_figure_does_not_depend_on_those_before_it():
    """Of a colour scale that they share it would, and could not be recognised."""
    off = quadratics.off(quadratics.read(COMMITTED / "runs.csv"))
    before = [quadratic_figures.law_figure(off) for _ in range(3)]
    assert len({drawing.shown(figure) for figure in before}) == 1
