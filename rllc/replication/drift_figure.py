"""The figure of `docs/laws.md`: how noise moves the law, by theory and by simulation."""

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rllc
from rllc.replication import noisy_quadratic as theory
from rllc.suite.plotting import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RC, VERMILION

RATIOS = {10.0: BLUE, 1.0: GREEN, 0.1: ORANGE, 0.01: PURPLE}
FEW = slice(3, None, 4)  # of the steps kept, those drawn
UPDATES = {"additive": VERMILION, "multiplicative": BLUE}


class Valley(NamedTuple):
    """A noisy quadratic with a flat, noiseless direction, and how it is trained.

    Attributes:
      steep: number of directions of curvature and noise 1.
      flatness: curvature of the flat direction.
      learning_rate: c₁.
      law_learning_rate: c₂.
      steps: of a run.
      every: steps between two that are kept.
      seeds: runs.
    """

    steep: int = 500
    flatness: float = 0.006
    learning_rate: float = 0.3
    law_learning_rate: float = 0.01
    steps: int = 4000
    every: int = 100
    seeds: int = 8


VALLEY = Valley()


def valley(v: Valley, update: str) -> tuple[np.ndarray, theory.Simulated]:
    """Runs of M(0) in a valley, at rest in the steep directions and at 1 in the flat one.

    Returns:
      The steps kept, shape (kept,), and the runs; the flat direction is the last.
    """
    eta = v.learning_rate  # from the law 1
    spread = np.sqrt(eta / (2 - eta))  # σ² η / (h (2 − η h))
    start = np.random.default_rng(1).normal(size=(v.seeds, v.steep + 1)) * spread
    start[:, -1] = 1.0
    runs = theory.simulate(
        lambda law: rllc.lm_rllc(
            "M(0.0)", v.learning_rate, v.law_learning_rate, law, law_update=update
        ),
        np.ones(v.seeds), np.append(np.ones(v.steep), v.flatness),
        np.append(np.ones(v.steep), 0.0), start, v.steps // v.every, v.every,
    )  # fmt: skip
    return v.every * np.arange(1, v.steps // v.every + 1), runs


def drift_figure(v: Valley = VALLEY) -> Figure:
    """Corrections by step size and noise; then law and progress in a valley.

    Args:
      v: of the last two panels.
    """
    with mpl.rc_context(RC):
        figure = Figure(figsize=(11.0, 3.8), layout="constrained")
        corrections, law, left = figure.subplots(1, 3)
        _corrections(corrections)
        slope = v.learning_rate / 2
        for update, colour in UPDATES.items():
            steps, runs = valley(v, update)
            times, rest = np.append(0, steps), (v.law_learning_rate, slope, update)
            law.plot(times, theory.law_path(times, *rest), color=colour, label=update)
            _points(law, steps[FEW], runs.law[:, FEW], colour)
            expected = theory.distance_left(times, *rest, v.flatness)
            left.plot(times, expected, color=colour, label=update)
            _points(left, steps[FEW], runs.x[:, FEW, -1], colour)
        _finish(law, left, v)
        words = "lines: theory; points: simulation, mean and two standard errors"
        figure.supxlabel(words, fontsize=8, color=GREY)
    return figure


def _corrections(axes: Axes) -> None:
    """E δ against the step size at several noise levels, and where x has settled."""
    sizes, shown = np.linspace(0, 1.5, 61), np.array([0.1, 0.4, 0.7, 1.0, 1.3])
    at_rest = shown / (2 - shown)
    ratios = np.concatenate([np.full(len(shown), r) for r in RATIOS] + [at_rest])
    found = theory.simulated_corrections(ratios, np.tile(shown, len(RATIOS) + 1), seeds=100)
    for i, (ratio, colour) in enumerate([*RATIOS.items(), (None, BLACK)]):
        values = -sizes / 2 if ratio is None else theory.correction_away(ratio, sizes)
        label = r"at rest: $-\eta h/2$" if ratio is None else f"r = {ratio:g}"
        style = "--" if ratio is None else "-"
        axes.plot(sizes, values, color=colour, label=label, linestyle=style)
        _points(axes, shown, found[i * len(shown) : (i + 1) * len(shown)].T, colour)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel(r"step size $\eta h = c_1 L h$")
    axes.set_ylabel("expected correction of the law")
    axes.set_title("(a) M(0): signal over noise r")
    axes.legend(fontsize=8)


def _points(axes: Axes, x: np.ndarray, runs: np.ndarray, colour: str) -> None:
    """Mean and two standard errors over the first axis."""
    error = 2 * runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
    axes.errorbar(
        x, runs.mean(axis=0), error, color=colour, fmt="o", markersize=3, elinewidth=0.8
    )  # fmt: skip


def _finish(law: Axes, left: Axes, v: Valley) -> None:
    """Scales and labels of the two panels over steps, and the limits of the additive law."""
    law.axhline(v.law_learning_rate, color=GREY, linestyle=":", label="$c_2$")
    limit = np.exp(-2 * v.flatness / v.law_learning_rate)
    left.axhline(limit, color=GREY, linestyle=":", label=r"$\exp(-2h_s / c_2\bar h)$")
    steps = v.every * np.arange(v.steps // v.every + 1)
    fixed = np.exp(-v.learning_rate * v.flatness * steps)
    left.plot(steps, fixed, color=BLACK, linestyle="--", label="fixed law")
    for axes, title, label in (
        (law, "(b) law in a valley", "law L"),
        (left, "(c) distance left along its floor", "distance"),
    ):
        axes.set_yscale("log")
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.legend(fontsize=8, loc="lower left")
    law.set_ylim(2e-3, 1.3)
    left.set_ylim(1e-2, 1.3)
