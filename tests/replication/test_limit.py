"""Appendix A.3's limit: spans converge as δ²; optimizers only under two conditions."""

import numpy as np
import pytest

from rllc.replication import limit

pytestmark = pytest.mark.slow
CLOSE = (1e-2, 1e-3)


def test_spans_converge_as_the_square_of_the_distance():
    angles = [limit.angle(delta) for delta in CLOSE]
    assert angles[0] / angles[1] == pytest.approx(100, rel=0.01)


def test_optimizers_converge_alike_without_relaxation_once_the_memory_has_full_rank():
    far, near = limit.distances(CLOSE, limit.WAYS["exact_waits"])
    assert far / near == pytest.approx(100, rel=0.05)


def test_two_steps_of_waiting_are_one_too_few():
    early = limit.WAYS["exact_waits"]._replace(wait=limit.UNITS - 1)
    assert min(limit.distances(CLOSE, early)) > 10 * min(
        limit.distances(CLOSE, limit.WAYS["exact_waits"])
    )


@pytest.mark.parametrize("way", ["exact", "relaxed", "float32"])
def test_otherwise_they_stay_apart(way):
    far, near = limit.distances(CLOSE, limit.WAYS[way])
    assert near > far / 3
    assert near > 1e-4


def test_the_figure_shows_every_way():
    found = limit.MEASURED.empty().reindex(range(2)).assign(**dict.fromkeys(limit.WAYS, 1.0))
    found = found.assign(delta=CLOSE, angle=[1e-4, 1e-6])
    (axes,) = limit.figure(found).axes
    drawn = [np.asarray(line.get_ydata(), float) for line in axes.lines]
    assert len(drawn) == 1 + len(limit.WAYS)
    np.testing.assert_allclose(drawn[0], found.angle)
