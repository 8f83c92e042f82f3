"""The forest plot, the profiles, the maps and the captions of the figures."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from rllc.replication import captions as of_the_paper
from rllc.replication.paper import STUDY
from rllc.suite.metrics import Metric
from rllc.suite.plotting import BLACK, BLUE, GREY, VERMILION
from rllc.suite.score import tuning_analysis
from rllc.suite.score.ranking import Field
from rllc.suite.show import captions, forest, sweep_figures
from tests.suite import synthetic_records as made


def against(**rows):
    """Differences on MNIST MLP by optimizer: (low, difference, high)."""
    return pd.DataFrame(
        [
            {"task": "mnist_mlp", "optimizer": name, "baseline": "Adam", "n": 3, "low": low,
             "difference": middle, "high": high, "reading": "validated", "metric": "test_accuracy"}
            for name, (low, middle, high) in rows.items()
        ]
    )  # fmt: skip


def drawn(table):
    """Labels, markers' places and colours of the only panel, from below."""
    (axes,) = (axes for axes in forest.forest_figure(STUDY, table).axes if axes.get_title())
    labels = [label.get_text() for label in axes.get_yticklabels()]
    dots = [line for line in axes.lines if line.get_marker() not in ("None", None)]
    return axes, labels, dots


def test_a_forest_is_sorted_and_coloured_by_what_intervals_say():
    table = against(Lion=(-3, -2, -1), SGD2=(-1, 0.5, 2), **{"M(0.9)": (1, 2, 3)})
    axes, labels, dots = drawn(table)
    assert [label.split(",")[0] for label in labels] == ["Lion", "SGD2", "$M(0.9)$"]
    assert [dot.get_color() for dot in dots] == [VERMILION, GREY, BLUE]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [-2, 0.5, 2]
    assert axes.get_title() == "MNIST MLP: against Adam"
    names = {label.get_text().split(",")[0]: label.get_color() for label in axes.get_yticklabels()}
    assert (names["Lion"], names["$M(0.9)$"]) == (GREY, BLACK)  # of the study, or not


def test_a_hopeless_interval_is_cut_and_marked():
    table = against(a=(-1, 0, 1), b=(-1, 0, 1), c=(-900, -30, 800))
    axes, labels, _ = drawn(table)
    assert [label for label in labels if "…" in label] == ["c …, n = 3"]
    assert axes.get_xlim()[0] > -2 * forest.FAR


def test_other_readings_and_metrics_are_left_out():
    table = against(a=(1, 2, 3))
    more = pd.concat([table, table.assign(reading="last"), table.assign(metric="test_loss")])
    assert len(forest.compared(STUDY, more)) == 1


def test_the_rest_of_many_profiles_is_faint():
    names = [*STUDY.baselines, *STUDY.optimizers[3:8]]
    score = np.zeros((len(names), 1, 3))
    for place in range(3, len(names)):
        score[place] = place  # the last are best
    score[-1, 0] = np.nan  # but for one without runs
    field = Field(names, ["mnist_mlp"], score, score, best=["Adam"], perfect=np.zeros(1))
    coloured = sweep_figures.highlighted(STUDY, field)
    assert coloured == [*STUDY.baselines, *names[4:7]]
    assert "label" not in sweep_figures._line(STUDY, names[3], field, coloured)
    assert sweep_figures._line(STUDY, names[4], field, coloured)["label"] == STUDY.latex(names[4])


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        (Metric("accuracy", "max", "%", scale=100.0), [0.9, 0.95, -np.inf], [5.0, 0.0, np.inf]),
        (Metric("mse", "min"), [2.0, 3.0, np.inf], [0.0, 50.0, np.inf]),
        (Metric("mse", "min"), [np.inf], [np.inf]),
    ],
)
def test_how_far_from_the_best_by_hand(metric, values, expected):
    assert tuning_analysis.below_best(values, metric) == pytest.approx(expected)


def test_a_frame_is_on_the_best_of_the_value_that_chooses():
    """The point of the lowest loss is another one than that of the highest accuracy."""
    found = made.records(["mnist_mlp"], ["SGD", "Momentum SGD", "Adam"], range(3), (100,))
    at_01 = found.runs.run[found.runs.hyper.str.contains("0.01")]
    curves = found.curves.copy()
    curves.loc[curves.run.isin(set(at_01)), "validation_loss"] /= 100.0
    a = made.analysed(found._replace(curves=curves))
    points = tuning_analysis.chosen_by(a.study, a.runs, a.records.curves)
    assert set(a.choices.learning_rate) == {made.BEST_RATE}
    assert set(a.points.loc[a.points.groupby("optimizer").value.idxmin()].learning_rate) == {0.01}
    figure = sweep_figures.sensitivity_figure(a.study, points, a.choices, "mnist_mlp")
    for axes in (axes for axes in figure.axes if axes.images):
        (frame,) = (p for p in axes.patches if isinstance(p, mpl.patches.Rectangle))
        shown = np.asarray(axes.images[0].get_array(), float)
        place = round(frame.get_x() + 0.5), round(frame.get_y() + 0.5)
        assert shown[place[1], place[0]] == 0.0


def test_every_figure_has_a_caption_and_is_on_the_index():
    names = ["figure1", "figure2_mnist_conv", "figure2_first_mnist_mlp", "forest",
             "law_rates_cifar10_conv", "sensitivity_mnist_mlp_others"]  # fmt: skip
    page = captions.index(names, of_the_paper.caption)
    for name in names:
        assert f"]({name}.png)" in page
        assert f"]({name}.pdf)" in page
    assert "Tuning grids on MNIST MLP (others)" in page
    assert "on MNIST MLP, where the law begins" in page
    with pytest.raises(KeyError, match="figure9 has no caption"):
        of_the_paper.caption("figure9")


def test_a_task_that_the_study_does_not_name_keeps_its_name():
    assert captions.caption(STUDY, "sensitivity_rain").startswith("Tuning grids on rain:")
