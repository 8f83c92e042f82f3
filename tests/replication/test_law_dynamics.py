"""Measures of the learning law on laws written out by hand."""

import numpy as np
import pytest

from rllc.replication import law_dynamics


def test_directions_of_the_special_laws():
    laws = np.array([[0.0, 2.0], [1.8, 2.0], [3.0, 0.0]])  # SGD, Nesterov, momentum
    assert law_dynamics.angle(laws) == pytest.approx([0, law_dynamics.NESTEROV_ANGLE, 90])


def test_crossing_is_the_last_fall_through_the_ratio_interpolated():
    steps = np.array([0, 100, 200, 300, 400])

    def crossing(*ratios):
        law = np.stack([np.array(ratios), np.ones(5)], axis=-1)
        return law_dynamics.nesterov_crossing(steps, law[None])[0]

    assert crossing(1.0, 1.0, 1.0, 0.8, 0.5) == pytest.approx(250)  # halfway from 1.0 to 0.8
    assert crossing(1.0, 0.8, 1.0, 0.7, 0.5) == pytest.approx(200 + 100 / 3)
    assert np.isnan(crossing(0.5, 0.5, 0.5, 0.5, 0.5))  # never above
    assert np.isnan(crossing(1.0, 0.5, 0.5, 0.5, 1.0))  # ends above
    assert np.isnan(crossing(1.0, 1.0, 1.0, 1.0, 1.0))


def test_crossing_survives_a_second_coefficient_of_zero():
    law = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    found = law_dynamics.nesterov_crossing(np.array([0, 19]), law)
    assert found == pytest.approx([10])  # 1 - t/19 = 0.9 t/19


def test_a_vanished_law_has_no_crossing():
    steps = np.array([0, 100, 200, 300, 400])
    ratios = np.array([1.0, 0.8, 0.8, 1.0, 0.8])  # falls between 0 and 100, and at the end
    for size, step in ((0.1, 350), (0.01, 50)):  # of the law at the end: above 5 %, below
        law = np.stack([ratios, np.ones(5)], axis=-1) * np.array([1, 1, 1, size, size])[:, None]
        assert law_dynamics.nesterov_crossing(steps, law[None]) == pytest.approx([step])
    diverged = np.stack([ratios, np.ones(5)], axis=-1)
    diverged[3:] = np.nan
    assert np.isnan(law_dynamics.nesterov_crossing(steps, diverged[None]))


def test_dominance_compares_the_ends_without_the_start():
    law = np.zeros((2, 11, 2))
    law[0, :, 0] = np.linspace(1, 0, 11)
    law[0, :, 1] = np.linspace(0, 1, 11)
    law[:, 0] = [100, 0]  # the initial law does not count
    early, late = law_dynamics.dominance(law)
    assert early == pytest.approx([0.8, 0])
    assert late == pytest.approx([-1, 0])


def test_coupling():
    t = np.linspace(0, 1, 11)
    mirrored = np.stack([np.ones(11), 1 - 3 * t, 1 + 2 * t], axis=-1)
    together = np.stack([np.ones(11), 1 + t, 2 + t], axis=-1)
    constant = np.ones((11, 3))
    correlation, opposite = law_dynamics.coupling(np.stack([mirrored, together, constant]))
    assert correlation[:2] == pytest.approx([-1, 1])
    assert np.isnan(correlation[2])
    assert opposite.tolist() == [1, 0, 0]


@pytest.mark.parametrize(("crossings", "crosses"), [
    ([np.nan, 2_000.0, 2_100.0], True),
    ([np.nan, np.nan, 2_000.0], False),  # one seed of three
    ([100.0, 150.0, 2_000.0], False),  # the median is too early
    ([], False),
])  # fmt: skip
def test_most_seeds_have_to_cross_around_the_papers_step(crossings, crosses):
    assert law_dynamics.crosses_as_in_paper(np.array(crossings)) == crosses
