"""Estimates over tasks against statsmodels and scikit-posthocs, and by hand."""

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from rllc.suite.score import meta_analysis, over_tasks
from rllc.suite.score.ranking import Field


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("seed", [0, 3, 4])  # from others its iteration falls to τ² = 0 and stays
def test_random_effects_are_those_of_statsmodels(seed):
    draw = np.random.default_rng(seed)
    effects, errors = draw.normal(1, 3, 7), draw.uniform(0.3, 1.5, 7)
    ours = meta_analysis.random_effects(effects, errors)
    theirs = combine_effects(effects, errors**2, method_re="iterated", use_t=True, atol=1e-14)
    assert ours.between**2 == pytest.approx(theirs.tau2, rel=1e-6)
    assert ours.mean.estimate == pytest.approx(theirs.mean_effect_re, rel=1e-6)
    half = stats.t.ppf(0.975, 6) * theirs.sd_eff_w_re_hksj
    # With τ² of Paule and Mandel the factor of Hartung and Knapp is 1 wherever τ² > 0.
    assert theirs.tau2 > 0
    assert ours.mean.high - ours.mean.estimate == pytest.approx(half, rel=1e-5)


def test_tasks_that_agree_too_well_do_not_narrow_the_interval():
    ours = meta_analysis.random_effects([1.0, 1.0, 1.0, 1.0], [2.0] * 4)
    # τ = 0; the mean of four with error 2 has error 1; t(0.975, 3) = 3.1824, t(0.975, 2) = 4.3027
    assert (ours.between, ours.mean.estimate) == (0.0, 1.0)
    assert ours.mean.high == pytest.approx(1 + 3.1824, abs=1e-4)
    assert ours.following == pytest.approx((1 - 4.3027, 1 + 4.3027), abs=1e-4)


def test_between_tasks_by_hand():
    # Equal errors 1 and effects 0, 4, 8 with variance 16: τ² = 16 - 1
    ours = meta_analysis.random_effects([0.0, 4.0, 8.0], [1.0] * 3)
    assert ours.between == pytest.approx(np.sqrt(15))
    assert ours.mean[:2] == pytest.approx((4.0, 4 - 4.30265 * 4 / np.sqrt(3)), abs=1e-4)


def test_one_or_two_tasks():
    alone = meta_analysis.random_effects([1.0], [1.0])
    assert alone.mean.estimate == 1.0
    assert np.isnan([alone.mean.low, alone.between, *alone.following]).all()
    pair = meta_analysis.random_effects([1.0, 3.0], [1.0, 1.0])
    assert pair.mean.low < 2 < pair.mean.high
    assert np.isnan(pair.following).all()


def test_random_effects_cover():
    """True effects N(2, 1), errors 0.5, six tasks: 95 % intervals hold 2, 95 % the next effect."""
    hits, ahead = [], []
    for seed in range(400):
        draw = np.random.default_rng(seed)
        true = draw.normal(2, 1, 7)
        ours = meta_analysis.random_effects(true[:6] + draw.normal(0, 0.5, 6), [0.5] * 6)
        hits.append(ours.mean.low <= 2 <= ours.mean.high)
        ahead.append(ours.following[0] <= true[6] <= ours.following[1])
    assert 0.93 < np.mean(hits) < 0.98
    assert 0.92 < np.mean(ahead) < 0.98


def test_friedman_and_nemenyi_are_those_of_scikit_posthocs():
    means = rng().normal(size=(5, 12)) + np.arange(5)[:, None] * 0.7
    ours = meta_analysis.friedman(means)
    assert ours.p_value == pytest.approx(stats.friedmanchisquare(*means).pvalue)
    theirs = scikit_posthocs.posthoc_nemenyi_friedman(means.T).to_numpy()
    apart = np.abs(ours.mean_ranks[:, None] - ours.mean_ranks) > ours.critical
    np.testing.assert_array_equal(apart, theirs < 0.05)
    assert apart.any()
    assert not apart.all()
    assert ours.mean_ranks[-1] == ours.mean_ranks.min()  # the highest mean ranks first


def test_critical_difference_of_demsars_table():
    # Demšar (2006), table 5: q = 2.728 for 5 classifiers; on 30 data sets
    means = rng().normal(size=(5, 30))
    expected = 2.728 * np.sqrt(5 * 6 / (6 * 30))
    assert meta_analysis.friedman(means).critical == pytest.approx(expected, abs=1e-3)


def test_friedman_refuses_what_it_cannot_test():
    with pytest.raises(ValueError, match=r"2 optimizers on 3 tasks; .* needs 3 on 2"):
        meta_analysis.friedman(np.zeros((2, 3)))


def test_improvement_by_hand():
    # task 1: of 3 × 3 pairs 2 wins and 2 ties, 3 / 9; task 2: all nine
    ours = np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    theirs = np.array([[2.0, 3.0, 9.0], [1.0, 2.0, 3.0]])
    found = meta_analysis.improvement(ours, theirs, rng())
    assert found.estimate == pytest.approx((2 / 9 + 1) / 2)
    assert found.low < found.estimate < found.high
    assert found.n == 2


@pytest.mark.slow
def test_improvement_agrees_with_mann_whitney_and_covers_few_runs():
    ours, theirs = rng().normal(0.5, 1, (1, 40)), rng().normal(0, 1, (1, 50))[:, ::-1]
    u = stats.mannwhitneyu(ours[0], theirs[0]).statistic
    assert meta_analysis.improvement(ours, theirs, rng()).estimate == pytest.approx(u / 2000)
    few = meta_analysis.improvement([[1.0, 2.0, np.nan]], [[0.0, 0.0, 0.0]], rng())
    assert few.estimate == 1.0
    assert np.isnan(few.low)
    assert meta_analysis.improvement([[np.nan]], [[1.0]], rng()).n == 0


def made_up():
    """Two tasks, accuracies of percent; B is the best of the first, A of the second."""
    value = np.array(
        [
            [[78.0, 80.0, 82.0], [90.0, 90.0, 90.0]],
            [[79.0, 80.0, 84.0], [88.0, 89.0, 90.0]],
            [[84.0, 85.0, 86.0], [np.nan] * 3],
        ]
    )
    perfect = np.array([100.0, 100.0])
    return Field(["A", "B", "C"], ["one", "two"], value, value, ["B", "A"], perfect)


def test_effects_by_hand():
    found = over_tasks.effects(made_up(), ["one", "two"]).set_index(["task", "optimizer"])
    # B errs in 19 of 100; A in 20, C in 15
    assert found.effect["one", "A"] == pytest.approx(-100 / 19)
    assert found.effect["one", "C"] == pytest.approx(100 * 4 / 19)
    assert found.effect["one", "B"] == found.effect["two", "A"] == 0
    assert ("two", "C") not in found.index
    spread = np.sqrt((4 + 7 + 1) / 3)  # variances 4, 7, 1 of three runs each
    assert found.error["one", "C"] == pytest.approx(100 / 19 * spread * np.sqrt(2 / 3))
    ends = np.array([found.low["one", "C"], found.high["one", "C"]])
    half = stats.t.ppf(0.975, 6) * found.error["one", "C"]
    np.testing.assert_allclose(ends, 100 * 4 / 19 + half * np.array([-1, 1]))


def test_table_holds_those_measured_on_all_tasks_best_first():
    table = over_tasks.estimates(made_up(), ["one", "two"])
    assert list(table.optimizer) == ["A", "B"]
    assert list(table.tasks) == [2, 2]
    whole = over_tasks.estimates(made_up(), ["one"])
    assert list(whole.optimizer) == ["C", "B", "A"]
    assert list(whole.mean_rank) == [1, 2, 3]
    assert whole.improvement[0] == 1.0 - (0.5 + 0) / 9  # C's 84 ties with B's 84


def test_a_diverged_run_widens_only_its_own_comparison():
    field = made_up()
    field.value[2, 0] = [10.0, 85.0, 86.0]
    found = over_tasks.effects(field._replace(lost=frozenset({("C", "one")})), ["one"])
    errors = found.set_index("optimizer").error * 19 / 100
    assert errors["A"] == pytest.approx(np.sqrt((4 + 7) / 2 * 2 / 3))
    own = np.sqrt((7 + np.var([10.0, 85.0, 86.0], ddof=1)) / 2 * 2 / 3)
    assert errors["C"] == pytest.approx(own)
