"""Statistics on arrays whose answers can be done in the head."""

import itertools

import numpy as np
import pytest
from scipy import stats

from rllc.suite.score import statistics as st


def rng():
    return np.random.default_rng(0)


def test_mean_interval_of_few_values_is_students():
    # mean 2, deviation 1, n = 3: half width t(0.975, 2) / sqrt(3) = 4.3027 / 1.7321
    interval = st.mean_interval([1.0, 2.0, 3.0], rng())
    assert interval == pytest.approx((2, 2 - 2.4841, 2 + 2.4841, 3), abs=1e-4)


def test_mean_interval_of_many_values_is_the_bootstrap():
    values = [0.0, 1.0] * 50  # means of 100 coins: 0.5 ± 1.96 * 0.05
    interval = st.mean_interval(values, rng())
    assert interval == pytest.approx((0.5, 0.402, 0.598, 100), abs=0.011)  # steps of 0.01


def test_mean_interval_without_spread_values_or_company():
    assert st.mean_interval([2.0] * 8, rng()) == (2, 2, 2, 8)
    assert st.mean_interval([2.0, np.nan], rng())[::3] == (2, 1)
    assert np.isnan(st.mean_interval([2.0], rng()).low)
    assert not st.mean_interval([2.0], rng()).excludes(5.0)
    assert st.mean_interval([], rng()).n == 0


def test_intervals_depend_on_the_generator_alone():
    values = rng().normal(size=10)
    assert st.mean_interval(values, rng()) == st.mean_interval(values, rng())


def test_bootstrap_ends_are_widened_for_few_values():
    # Hesterberg (2015), table 1: 95 % of n = 10 takes 0.85 % at each end
    assert st.tail(10, 9) == pytest.approx(0.0085, abs=1e-4)
    assert st.tail(10**6, 10**6) == pytest.approx(0.025, abs=1e-5)
    covered = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        interval = st.mean_interval(draw.normal(size=8), draw)
        covered += interval.low <= 0 <= interval.high
    assert covered / 300 > 0.91  # plain percentiles: 0.88


def test_paired_difference_uses_the_pairing():
    base = np.array([0.0, 10.0, 20.0, 30.0])
    better = base + np.array([1.0, 1.1, 0.9, 1.0])
    steady = st.paired(better, base, rng())
    assert steady.difference.estimate == pytest.approx(1)
    assert steady.difference.low > 0.8  # unpaired deviations of 13 would hide it
    expected = stats.ttest_rel(better, base).pvalue
    assert steady.p_value == pytest.approx(expected)


def test_paired_without_spread():
    same, shifted = (
        st.paired([1.0, 2.0], [1.0, 2.0], rng()),
        st.paired([2.0, 3.0], [1.0, 2.0], rng()),
    )
    assert (same.p_value, shifted.p_value) == (1.0, 0.0)
    assert np.isnan(st.paired([1.0], [2.0], rng()).p_value)
    missing = st.paired([1.0, np.nan, 3.0], [0.0, 0.0, np.nan], rng())
    assert missing.difference.n == 1


def test_holm_by_hand():
    # sorted 0.01, 0.03, 0.04: times 3, 2, 1 = 0.03, 0.06, 0.04, made increasing
    assert st.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    adjusted = st.holm([0.5, np.nan, 0.9])
    assert adjusted[[0, 2]] == pytest.approx([1.0, 1.0])  # 2 * 0.5; the NaN does not count
    assert np.isnan(adjusted[1])
    assert st.holm([]).shape == (0,)


def test_pooled_deviation():
    assert st.pooled_std([3.0, 4.0], [2, 2]) == pytest.approx(np.sqrt(12.5))
    assert st.pooled_std([3.0, 100.0], [3, 1]) == pytest.approx(3)  # one value has no deviation
    assert np.isnan(st.pooled_std([np.nan], [1]))


def test_welch_knows_the_other_sides_noise_too():
    values, other = np.array([1.0, 2.0, 3.0, 6.0]), np.array([2.0, 2.5, 4.0])
    expected = stats.ttest_ind(values, other, equal_var=False).pvalue
    summary = [x for side in (values, other) for x in (side.mean(), side.std(ddof=1), len(side))]
    assert st.welch(*summary) == pytest.approx(expected)
    sure, unsure = st.welch(98.0, 0.02, 10, 98.1, [0.01, 0.2], 3)
    assert sure < 0.05 < unsure
    assert np.isnan(st.welch(98.0, np.nan, 1, 98.1, 0.1, 3))


def test_interquartile_mean_drops_a_quarter_at_each_end():
    assert st.interquartile_mean([0, 1, 2, 3, 100, 5, 6, -100]) == pytest.approx(
        (1 + 2 + 3 + 5) / 4
    )
    assert st.interquartile_mean([[1.0, np.nan], [3.0, 2.0]]) == 2
    assert np.isnan(st.interquartile_mean([np.nan]))


def test_stratified_interval_keeps_tasks_apart():
    # Two tasks without spread: resampling within tasks changes nothing, across tasks it would.
    interval = st.stratified_interquartile_mean([[0.0] * 4, [1.0] * 4], rng())
    assert interval == (0.5, 0.5, 0.5, 8)
    one_seed = st.stratified_interquartile_mean([[0.0], [1.0]], rng())
    assert one_seed.estimate == 0.5
    assert np.isnan(one_seed.low)
    assert st.stratified_interquartile_mean([[np.nan]], rng()).n == 0


def test_tasks_count_the_same_however_many_seeds_they_have():
    # 10 seeds at 0, 3 at 1: unbalanced the middle half would be all zeros
    ten, three = np.zeros(10), np.array([1.0] * 3 + [np.nan] * 7)
    interval = st.stratified_interquartile_mean([ten, three], rng())
    assert interval == (0.5, 0.5, 0.5, 13)


def test_stratified_interval_covers_the_noise_of_seeds():
    scores = rng().normal(size=(4, 10))
    interval = st.stratified_interquartile_mean(scores, rng())
    assert interval.low < interval.estimate < interval.high
    assert interval.high - interval.low == pytest.approx(4 * 1.1 / np.sqrt(40), rel=0.5)


def test_too_few_seeds_have_no_interval_of_the_interquartile_mean():
    pair = st.stratified_interquartile_mean([[0.0, 1.0, 2.0], [0.0, 1.0, 3.0]], rng())
    assert np.isfinite(pair.estimate)
    assert np.isnan([pair.low, pair.high]).all()
    alone = st.stratified_interquartile_mean([[1.0, 2.0, 3.0]], rng())
    assert alone == st.mean_interval([1.0, 2.0, 3.0], rng())  # the middle half is all three
    seven = st.stratified_interquartile_mean(rng().normal(size=(7, 3)), rng())
    assert seven.low < seven.estimate < seven.high


def test_ratio_of_spreads():
    draw = rng()
    values = draw.normal(size=(4, 6, 10))
    values[:, :2] *= 3.0
    ours = np.arange(6) < 2
    found = st.spread_ratio(values, ours)
    assert found.low < 3.0 < found.high
    assert found.n == 4
    assert st.spread_ratio(values, ~ours).estimate == pytest.approx(1 / found.estimate)
    rows = [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 0.0, np.nan]]
    assert st.spread_ratio([rows[:2]], [False, True]).estimate == pytest.approx(2.0)
    # pooled with a row of two equal values: √((2 · 4 + 1 · 0) / 3)
    assert st.spread_ratio([rows], [False, True, True]).estimate == pytest.approx(np.sqrt(8 / 3))


def test_shared_seeds_move_both_spreads():
    """Rows that repeat each other tell no more than one row: the interval stays as wide."""
    one, other = rng().normal(size=(2, 1, 1, 10))
    pair = np.concatenate([one, other], axis=1)
    many = np.concatenate([np.repeat(one, 8, axis=1), np.repeat(other, 3, axis=1)], axis=1)
    alone, repeated = st.spread_ratio(pair, [True, False]), st.spread_ratio(many, np.arange(11) < 8)
    assert repeated == pytest.approx(alone)


def test_a_task_with_more_seeds_has_no_more_weight_in_a_profile():
    few, many = [1.0], [5.0] * 9
    assert st.balanced_profile([few, many], [0, 2, 6]).tolist() == [1, 0.5, 0]
    assert st.balanced_profile([few, many], [2], higher=False).tolist() == [0.5]
    with pytest.raises(ValueError, match="needs a task"):
        st.balanced_profile([], [0])


def test_performance_profile():
    scores = [[1, 2, 3, 4], [4, 4, np.nan, 4]]
    assert st.performance_profile(scores, [0, 2.5, 4]).tolist() == [[1, 0.5, 0.25], [0.75] * 3]
    steps = [[10, np.inf], [20, 30]]
    assert st.performance_profile(steps, [15, 30, 1e9], higher=False).tolist() == [
        [0.5, 0.5, 0.5],  # the miss is never reached
        [0, 1, 1],
    ]


def test_steps_to_target_takes_the_first_and_misses_are_infinite():
    accuracy = [[0.1, 0.9, 0.5], [0.1, 0.2, 0.9], [0.1, 0.2, 0.3], [np.nan, np.nan, 0.95]]
    assert st.steps_to_target([0, 250, 500], accuracy, 0.9).tolist() == [250, 500, np.inf, 500]


def test_sensitivity_counts_the_grid_near_its_best():
    assert st.sensitivity([1.0, 1.01, 1.02, np.inf]) == 0.5
    assert st.sensitivity([[2.0, 2.0], [2.0, 3.0]], tolerance=0.5) == 1.0
    assert st.sensitivity([np.inf, np.inf]) == 0.0


def test_expected_best_against_all_draws():
    values = np.array([3.0, 1.0, 2.0, 7.0, 5.0])
    for lower, best in ((True, min), (False, max)):
        closed = st.expected_best(values, lower)
        for n in range(1, 6):
            every = [best(draw) for draw in itertools.combinations(values, n)]
            assert closed[n - 1] == pytest.approx(np.mean(every))


def test_expected_best_starts_at_the_mean_and_ends_at_the_best():
    curve = st.expected_best([1.0, 2.0, 3.0])
    assert curve == pytest.approx([2, 4 / 3, 1])


def test_divergence_rate():
    assert st.divergence_rate([True, False, False, False]) == 0.25
    assert np.isnan(st.divergence_rate([]))


def test_intervals_of_columns_are_students_and_leave_gaps_out():
    values = np.array([[1.0, 2.0, np.nan], [3.0, 2.0, 5.0], [5.0, np.inf, np.nan]])
    mean, low, high = st.t_intervals(values)
    np.testing.assert_allclose(mean, [3, 2, 5])
    half = 4.302652729696142 * 2 / np.sqrt(3)  # t of two degrees of freedom, deviation 2
    np.testing.assert_allclose([low[0], high[0]], [3 - half, 3 + half])
    np.testing.assert_allclose([low[1], high[1]], [2, 2])
    assert np.isnan([low[2], high[2]]).all()


@pytest.mark.parametrize("width", [1, 3, 4, 9, 30])
def test_the_middle_mean_of_many_rows_is_scipys(width):
    rows = np.random.default_rng(width).normal(size=(50, width))
    expected = stats.trim_mean(rows, 0.25, axis=1)
    np.testing.assert_allclose(st._middle_mean(rows), expected, rtol=1e-12)
