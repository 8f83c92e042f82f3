"""The paper's numbers: complete, consistent with themselves, and the counts known of them."""

import numpy as np

from rllc.replication import paper
from rllc.suite.study import in_order


def test_every_cell_of_both_tables():
    cells = paper.cells()
    assert len(cells) == 77
    assert set(cells.optimizer) == set(paper.OPTIMIZERS)
    assert set(cells.task) == set(paper.TASKS)
    assert not cells.isna().any().any()


def test_accuracies_are_means_over_three_seeds_of_79_batches():
    """Every accuracy is an integer over 3·79·128, to the four printed decimals."""
    counts = paper.cells().test_accuracy_mean / 100 * 3 * 79 * 128
    step = 100 / (3 * 79 * 128)  # 0.0033 points, far above the rounding of 0.00005
    assert (np.abs(counts - counts.round()) * step < 1e-4).all()


def test_thirty_green_cells_in_accuracy_and_23_in_loss():
    assert len(paper.green_cells()) == 30
    assert len(paper.green_cells("test_loss_mean")) == 23
    assert (paper.green_cells().gain > 0).all()
    assert paper.published_best()["cifar10_resnet20"] == 81.4808


def test_labels():
    assert paper.pretty("M(0.9)+M(-0.9)+CM(0.3+0.2i)") == "M(0.9)⊕M(−0.9)⊕CM(0.3+0.2i)"
    assert paper.latex("M(0.9)+M10(0.6)") == r"$M(0.9) \oplus M_{10}(0.6)$"
    assert paper.pretty("schedule_free") == "schedule_free"
    assert paper.latex("schedule_free") == r"schedule\_free"
    assert str(paper.title("somebody_elses")) == "somebody_elses"
    assert in_order(["b", "Adam", "a", "SGD"], paper.OPTIMIZERS) == ["SGD", "Adam", "a", "b"]
