"""Words about claimed differences: answers done in the head, and scipy as an oracle."""

import numpy as np
import pytest
from scipy import stats

from rllc.suite.score import verdicts
from rllc.suite.score.verdicts import Effect, Spread

RNG = np.random.default_rng(0)


def test_pooled_over_two_cells_alone_it_is_students_test():
    x, y = RNG.normal(1, 1, 7), RNG.normal(0, 1, 5)
    effect = verdicts.unpaired(x, y, verdicts.pooled_spread([x, y]))
    theirs = stats.ttest_ind(x, y)
    assert effect.p_value == pytest.approx(theirs.pvalue)
    assert effect.freedom == theirs.df
    low, high = theirs.confidence_interval()
    np.testing.assert_allclose(effect.interval()[1:3], [low, high])


def test_more_cells_of_the_column_give_more_freedom_and_the_mean_variance():
    spread = verdicts.pooled_spread([[0, 2], [5, 5], [1, np.nan], [3, 4, 5]])
    assert spread == Spread(pytest.approx(1.0), 4)  # variances 2, 0, 1 with freedom 1, 1, 2
    effect = verdicts.unpaired([1, 1], [0, 0, np.nan], spread)
    assert effect == (1.0, pytest.approx(1.0), 4)


def test_in_pairs_is_the_paired_test():
    x, y = RNG.normal(1, 1, 6), RNG.normal(0, 1, 6)
    assert verdicts.in_pairs(x, y).p_value == pytest.approx(stats.ttest_rel(x, y).pvalue)
    some = verdicts.in_pairs([1, 2, np.nan], [0, 0, 0])
    assert some == (1.5, pytest.approx(0.5), 1)
    assert np.isnan(verdicts.in_pairs([1.0], [0.0]).p_value)


def test_equivalence_is_two_one_sided_tests():
    x = RNG.normal(0.02, 0.1, 12)
    effect = verdicts.in_pairs(x, np.zeros(12))
    for margin in (0.03, 0.05, 0.08, 0.12):
        above = stats.ttest_1samp(x, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(x, margin, alternative="less").pvalue
        assert verdicts.is_equivalent(effect, margin) == (max(above, below) < 0.05)


def test_power_is_what_a_simulation_finds():
    n, truth = 5, 1.5
    rng = np.random.default_rng(1)
    draws = rng.normal(truth, 1, (20_000, n)), rng.normal(0, 1, (20_000, n))
    found = (stats.ttest_ind(*draws, axis=1).pvalue < 0.05).mean()
    effect = Effect(0.0, np.sqrt(2 / n), 2 * n - 2)
    assert verdicts.power(truth, effect) == pytest.approx(found, abs=0.01)
    assert verdicts.power(0.0, effect) == pytest.approx(0.05)


def test_what_is_detectable_is_detected_as_often_as_it_says():
    effect = Effect(0.0, 0.3, 12)
    least = verdicts.detectable(effect)
    assert verdicts.power(least, effect) == pytest.approx(0.8)
    many = Effect(0.0, 0.3, 10_000)
    assert verdicts.detectable(many) == pytest.approx(0.3 * (1.960 + 0.842), rel=1e-3)
    assert np.isnan(verdicts.detectable(Effect(1.0, np.nan, 0)))


# With 10,000 degrees of freedom the 95 % interval is ± 1.96 errors, the 90 % one ± 1.645.
@pytest.mark.parametrize(
    ("estimate", "error", "word"),
    [
        (1.0, 0.1, "replicated"),
        (0.85, 0.1, "replicated"),  # up to 1.05
        (0.7, 0.1, "smaller than claimed"),  # up to 0.9
        (0.1, 0.2, "inconclusive"),
        (0.1, 0.1, "equivalent"),  # 90 %: -0.06 to 0.26
        (0.12, 0.1, "equivalent"),  # 90 %: up to 0.28, 95 %: up to 0.32
        (0.15, 0.1, "inconclusive"),  # 90 %: up to 0.31
        (-0.1, 0.1, "equivalent"),
        (-0.3, 0.1, "reversed"),
        (np.nan, np.nan, "inconclusive"),
    ],
)
def test_the_word_for_a_claim_of_one_with_margin_three_tenths(estimate, error, word):
    assert verdicts.verdict(Effect(estimate, error, 10_000), 1.0, 0.3) == word


def test_an_interval_that_begins_at_the_limit_does_not_pass_it():
    half = stats.t.ppf(0.975, 4)
    assert verdicts.verdict(Effect(float(half), 1.0, 4), 1.0, 0.3) == "inconclusive"
    assert verdicts.verdict(Effect(float(half) + 1e-9, 1.0, 4), 1.0, 0.3) == "replicated"
