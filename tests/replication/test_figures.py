"""Figures: drawn without warnings, the same bytes twice, honest about what is missing."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from rllc.replication import aggregation, analysis, captions, figures, law_figures, paper
from rllc.replication.paper import STUDY
from rllc.suite import plotting
from rllc.suite.show import figures as suite_figures
from rllc.suite.show import sweep_figures
from rllc.suite.show.analysis import Analysis
from tests.suite import synthetic_records as made


@pytest.fixture(scope="module")
def known() -> Analysis:
    timings = [
        {"network": "mlp", "optimizer": name, "milliseconds_per_step": 1 + i / 10,
         "gflop_per_step": 0.1, "device": "cpu (made up)"}
        for i, name in enumerate(paper.OPTIMIZERS)
    ]  # fmt: skip
    names = ("SGD", "Momentum SGD", "Adam", "M(0.9)+M(0.0)", "M(0.9)+M(0.8)+M(0.7)", "Lion")
    records = made.records(("mnist_mlp", "cifar10_resnet20"), names, range(3), (100,))
    return made.analysed(records, timings=pd.DataFrame(timings))


def whole_of(found):
    """A replication whose measured part is `found`."""
    return analysis.analyse(found.records)._replace(measured=found)


def words(figure):
    """All text of a figure."""
    found = [text.get_text() for text in figure.findobj(lambda x: hasattr(x, "get_text"))]
    return "\n".join(found)


@pytest.mark.slow
def test_every_figure_is_drawn_twice_the_same(known, tmp_path):
    assert "profiles" not in aggregation.all_figures(
        whole_of(known)
    )  # all rates come from short grids
    drawn = aggregation.all_figures(
        whole_of(known._replace(made=known.made.assign(short_grid=False)))
    )
    assert {f"figure{i}" for i in range(1, 6)} <= set(drawn)
    assert {"sensitivity_mnist_mlp", "tuning_budget", "profiles"} <= set(drawn)
    assert all(captions.caption(name) for name in drawn)
    for name in ("figure1", "figure2", "sensitivity_mnist_mlp"):
        first = plotting.save(drawn[name](), tmp_path / "a" / name)
        again = plotting.save(drawn[name](), tmp_path / "b" / name)
        for one, other in zip(first, again, strict=True):
            assert one.read_bytes() == other.read_bytes(), one.name
            assert b"CreationDate" not in one.read_bytes()


@pytest.mark.slow
def test_panels_without_records_say_so(known):
    curves = suite_figures.curve_table(STUDY, known.final, known.records.curves, known.made)
    text = words(figures.figure4(curves))
    assert text.count(plotting.NOT_MEASURED) == 5  # one of six is measured
    assert plotting.NOT_MEASURED not in words(figures.figure1(curves))
    assert words(figures.figure3(known.timings)).count(plotting.NOT_MEASURED) == 2


@pytest.mark.slow
def test_the_number_of_seeds_and_the_band_are_stated(known):
    curves = suite_figures.curve_table(STUDY, known.final, known.records.curves, known.made)
    one = words(figures.figure1(curves))
    assert "n = 3 seeds" in one
    assert "± 1 standard deviation" in one
    assert "5 of 7 optimizers measured" in one
    assert "lowest to highest" in words(figures.figure5(curves))


def test_a_panel_of_one_seed_and_a_short_grid_says_so():
    pairs = [made.run("cifar10_resnet20", "SGD", 0)]
    pairs += [made.run("cifar10_resnet20", "SGD", 100, rate, steps=300) for rate in (0.03, 0.1)]
    found = made.analysed(made.gather(pairs))
    curves = suite_figures.curve_table(STUDY, found.final, found.records.curves, found.made)
    text = words(figures.figure1(curves))
    assert "n = 1 seed\n1 of 7 optimizers measured\nrates from a short grid" in text
    whole = curves.assign(short_grid=False)
    assert "short grid" not in words(figures.figure1(whole))


def test_a_diverged_run_is_noted_and_not_drawn():
    pairs = [made.run("mnist_mlp", "SGD", seed, floor=0.02, noise=0) for seed in range(2)]
    pairs.append(made.run("mnist_mlp", "SGD", 2, status="diverged"))
    pairs += [made.run("mnist_mlp", "Adam", seed, status="diverged") for seed in range(3)]
    found = made.analysed(made.gather(pairs))
    figure = figures.figure4(
        suite_figures.curve_table(STUDY, found.final, found.records.curves, found.made)
    )
    text = words(figure)
    assert "n = 2 seeds\n1 of 7 optimizers measured" in text
    assert "SGD: 1 diverged, not drawn" in text
    assert "Adam: 3 diverged, not drawn" in text
    lost = made.gather(pairs[-3:])
    only = made.analysed(lost)
    text = words(
        figures.figure4(suite_figures.curve_table(STUDY, only.final, lost.curves, only.made))
    )
    assert "Adam: 3 diverged, not drawn" in text
    (line,) = figure.axes[0].lines
    assert line.get_ydata()[-1] == pytest.approx(100 - 1.02 * 2, abs=0.01)


def test_figure5_bands_are_the_range_of_the_first_three_seeds():
    pairs = [
        made.run("mnist_mlp", "Adam", seed, floor=0.02 + 0.01 * seed, noise=0) for seed in range(5)
    ]
    records = made.gather(pairs)
    found = made.analysed(records)
    figure = figures.figure5(
        suite_figures.curve_table(STUDY, found.final, records.curves, found.made)
    )
    (band,) = figure.axes[0].collections
    at_end = band.get_paths()[0].vertices
    at_end = at_end[at_end[:, 0] == 10_000][:, 1]
    assert at_end.min() == pytest.approx(100 - 1.02 * 4, abs=0.01)
    assert at_end.max() == pytest.approx(100 - 1.02 * 2, abs=0.01)


@pytest.mark.slow
def test_figure2_marks_the_crossing_and_takes_a_task(known):
    text = words(law_figures.figure2(known.records, known.final))
    assert "MNIST MLP" in text
    assert "Nesterov crossing (ratio passes 0.9): median step 1,8" in text
    assert "3 of 3 seeds" in text
    for region in ("SGD", "Nesterov", "momentum"):
        assert region in text
    text = words(law_figures.figure2(known.records, known.final[known.final.seed == 0]))
    assert "n = 1 seed" in text
    assert "n = 1 seeds" not in text
    assert re.search(r"passes 0.9\): step 1,\d{3} \(1 of 1 seed\)", text)
    text = words(law_figures.figure2(known.records, known.final, "cifar10_resnet20"))
    assert "ResNet-20" in text
    nothing = words(law_figures.figure2(known.records, known.final, "cifar10_conv"))
    assert nothing.count(plotting.NOT_MEASURED) == 3


@pytest.mark.slow
def test_figure2_draws_no_direction_where_the_law_has_vanished(known):
    assert "no direction" not in words(law_figures.figure2(known.records, known.final))
    laws = known.records.laws(known.final.run)
    laws = laws.assign(law=laws.law * np.where(laws.step > 5_000, 0.01, 1.0))
    records = SimpleNamespace(laws=lambda runs: laws[laws.run.isin(runs)])
    figure = law_figures.figure2(records, known.final)
    assert "no direction where the law is below 5% of its largest" in words(figure)
    coefficients, direction = (
        next(axes for axes in figure.axes if word in axes.get_ylabel())
        for word in ("coefficient", "direction")
    )
    assert direction.get_xlim() == coefficients.get_xlim()
    drawn = [line for line in direction.lines if len(line.get_xdata()) > 2]
    assert len(drawn) == 4  # three seeds and their mean
    for line in drawn:
        assert (np.isnan(line.get_ydata()) == (line.get_xdata() > 5_000)).all()


@pytest.mark.slow
def test_laws_from_a_short_grid_say_so(known):
    assert "rates from a short grid" in words(aggregation.all_figures(whole_of(known))["figure2"]())
    whole = known._replace(made=known.made.assign(short_grid=False))
    assert "short grid" not in words(aggregation.all_figures(whole_of(whole))["figure2"]())


def test_the_steps_of_a_screen_and_of_the_choice_are_stated(known):
    figure = sweep_figures.sensitivity_figure
    (steps,) = known.choices.steps.unique()
    text = words(figure(STUDY, known.points, known.choices, "mnist_mlp"))
    assert (
        f"1 tuning seed per point, {steps} steps; frame: chosen by validation accuracy; ×" in text
    )
    longer = known.choices.assign(steps=20_000)
    text = words(figure(STUDY, known.points, longer, "mnist_mlp"))
    assert f", {steps} steps; frame: chosen by validation accuracy in 20000 steps; ×" in text


def test_tasks_with_shorter_trials_are_named():
    budget = pd.DataFrame(
        {
            "task": ["mnist_mlp", "mnist_conv"], "optimizer": "SGD", "steps": [10_000, 3_000],
            "trials": 1, "expected_best": 0.1,
        }
    )  # fmt: skip
    text = words(sweep_figures.budget_figure(STUDY, budget))
    assert "drawn at random; MNIST Conv after 3,000 steps" in text
    assert "10,000 steps" not in text
    assert "steps" not in words(sweep_figures.budget_figure(STUDY, budget[:1]))


@pytest.mark.slow
def test_no_records_draw_empty_figures():
    empty = made.analysed(made.nothing())
    for draw in aggregation.all_figures(whole_of(empty)).values():
        assert plotting.NOT_MEASURED in words(draw())


def test_colours_are_told_apart_without_colour():
    """No two optimizers of the paper share colour and line style."""
    styles = [plotting.style(STUDY, name) for name in paper.OPTIMIZERS]
    assert len(set(styles)) == len(styles)
    others = [f"neighbour {i}" for i in range(12)]
    assert len({plotting.style(STUDY, name, others) for name in others}) == 12


def test_the_window_shows_the_end_of_training():
    steps = np.arange(0, 10_001, 250)
    mean = pd.Series(98 - 88 * np.exp(-steps / 200), steps)
    low, high = suite_figures.limits([mean], note_lines=1)
    assert 90 < low < 98 < high < 99


def test_a_note_does_not_cover_a_line():
    """Three lines of 8 points, from 3 % of the panel's height upwards, end below every curve."""
    steps = np.arange(0, 10_001, 250)
    means = [pd.Series(end - 88 * np.exp(-steps / 200), steps) for end in (91.0, 85.0)]
    low, high = suite_figures.limits(means, note_lines=3)
    drawn, axes = plotting.grid_figure(2, 3, 10.0, 5.4)  # Figure 4 without its legend
    panel = axes[0, 0]
    panel.set_ylim(low, high)
    panel.set_xlabel("iteration")
    text = panel.text(0.98, 0.03, "a\nb\nc", transform=panel.transAxes, fontsize=8, va="bottom")
    plotting.FigureCanvasAgg(drawn).draw()
    top = panel.transData.inverted().transform(text.get_window_extent().max)[1]
    assert top < 85.0 < high
