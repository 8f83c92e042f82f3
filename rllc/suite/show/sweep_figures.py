"""Figures of tuning and ranking: sensitivity to the rates, tuning budget, performance profiles."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, MaxNLocator, NullLocator

from rllc.suite.choose.selection import FIRST, hyper_names
from rllc.suite.markdown import counted, span
from rllc.suite.metrics import Metric
from rllc.suite.plotting import (
    BLACK,
    RC,
    VERMILION,
    footnote,
    grid_figure,
    legend_below,
    not_measured,
    style,
    task_figure,
)
from rllc.suite.score import tuning_analysis
from rllc.suite.score.ranking import Field
from rllc.suite.score.statistics import balanced_interquartile_mean, balanced_profile
from rllc.suite.study import Study

PERCENT = [0, 1, 2, 5, 10, 20, 50, 100]  # how far from the optimizer's own best
POINTS = [0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]  # the same of a share
FAINT = "#C8C8C8"
HIGHLIGHTED = 3  # optimizers in colour beside the baselines, where more would hide each other


def tabled(study: Study, names: Iterable[str]) -> list[str]:
    """The optimizers that share a panel: those of the study, or all if there are none.

    Two dozen lines hide each other; the tables have the others, too.
    """
    names = study.row_order(names)
    return [name for name in names if name in study.optimizers] or names


def sensitivity_figure(
    study: Study, points: pd.DataFrame, choices: pd.DataFrame, task: str
) -> Figure:
    """Heat maps over both rates of the validation value that chooses, one panel per optimizer.

    Args:
      study: whose names.
      points: from `tuning_analysis.chosen_by`, of the optimizers to show.
      choices: from `selection.choose`; the chosen point is framed.
      task: name.
    """
    metric = study.leading(task)
    points = tuning_analysis.widest(points)
    points = points[points.task == task]
    names = study.row_order(points.optimizer)
    columns = min(4, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    with mpl.rc_context(RC):
        height = 1.8 * rows + 1.2
        figure, axes = grid_figure(rows, columns, 2.7 * columns + 0.3, height)
        levels = POINTS if metric.unit == "%" else PERCENT
        norm = BoundaryNorm(levels, 256, extend="max")
        image = None
        for name, panel in zip(names, axes.flat, strict=False):
            chosen = choices[(choices.task == task) & (choices.optimizer == name)]
            its = points[points.optimizer == name]
            image = _heat_map(panel, its, chosen, norm, metric, study.hyper_titles)
            panel.set_title(study.latex(name), fontsize=9)
        for panel in axes.flat[len(names) :]:
            panel.set_axis_off()
        if image is None:
            not_measured(axes[0, 0])
        else:
            unit = "points" if metric.unit == "%" else "%"
            label = f"validation {metric.in_words}: worse than the optimizer's own best ({unit})"
            figure.colorbar(
                image, ax=axes, label=label, ticks=levels, format="%g", location="bottom",
                shrink=0.5, aspect=40, fraction=0.5 / height, pad=0.2 / height,
            )  # fmt: skip
        figure.suptitle(f"Sensitivity to the rates, {study.title(task)}", fontsize=11)
        rule = f"validation {metric.in_words}"
        seeds = counted(span(points.seeds), "tuning seed")
        note = f"n = {seeds} per point, {span(points.steps)} steps; frame: chosen by {rule}"
        ends = choices.steps[(choices.task == task) & choices.optimizer.isin(names)]
        if span(ends) != span(points.steps):
            note += f" in {span(ends)} steps"
        footnote(figure, f"{note}; ×: diverged")
    return figure


def _heat_map(
    axes: Axes,
    points: pd.DataFrame,
    chosen: pd.DataFrame,
    norm: BoundaryNorm,
    metric: Metric,
    titles: Mapping[str, str],
) -> AxesImage:
    """Draws one optimizer's grid: rates to the right, what else is tuned upwards.

    Of what is tuned beside these two the best is shown.
    """
    others = [name for name in hyper_names(points) if name != FIRST]
    upwards = others[0] if others else "alone"  # one row for optimizers that tune the rate alone
    points = points.assign(alone=-1.0) if not others else points
    points = points.assign(excess=tuning_analysis.below_best(points.value, metric))
    best = points.groupby([upwards, FIRST], as_index=False).excess.min()
    grid = best.pivot(index=upwards, columns=FIRST, values="excess")
    excess = grid.to_numpy(float)
    shown = np.where(np.isfinite(excess), excess, np.nan)
    image = axes.imshow(shown, norm=norm, cmap="cividis_r", aspect="auto", origin="lower")
    for row, column in np.argwhere(np.isinf(excess)):
        axes.text(column, row, "×", ha="center", va="center", color=VERMILION, fontsize=8)
    label = titles.get(upwards, upwards)
    _ticks(axes, grid, f"{label} (best {', '.join(others[1:])})" if others[1:] else label)
    for _, row in chosen.assign(alone=-1.0).iterrows():
        place = [grid.columns.get_indexer([row["learning_rate"]], "nearest")[0]]
        place.append(grid.index.get_indexer([row[upwards]], "nearest")[0])
        corner = (place[0] - 0.5, place[1] - 0.5)
        frame = mpl.patches.Rectangle(
            corner, 1, 1, fill=False, edgecolor=VERMILION, linewidth=2, clip_on=False
        )
        axes.add_patch(frame)
    axes.grid(False)
    return image


def _short(value: float) -> str:
    """0.001 and up as they are, smaller numbers as 3e-4.

    >>> _short(0.003), _short(0.0003), _short(1e-12)
    ('0.003', '3e-4', '1e-12')
    """
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:g}"
    digits, exponent = f"{value:e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def _ticks(axes: Axes, grid: pd.DataFrame, label: str) -> None:
    many = len(grid.columns) > 8
    places = range(0, len(grid.columns), 2 if many else 1)
    _label(axes.xaxis, list(places), [_short(grid.columns[i]) for i in places])
    if many:
        axes.tick_params(axis="x", rotation=60)
    axes.set_xlabel("learning rate", fontsize=8)
    if grid.index[0] < 0:
        axes.set_yticks([])
        return
    _label(axes.yaxis, list(range(len(grid.index))), [_short(x) for x in grid.index])
    axes.set_ylabel(label.replace("_", " "), fontsize=8)


def _label(axis: Axis, places: list[int], labels: list[str]) -> None:
    """As `set_ticks` would, but ticks are only made where the figure is drawn."""
    axis.set_major_locator(FixedLocator(places))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_tick_params(labelsize=7)


def budget_figure(study: Study, budget: pd.DataFrame) -> Figure:
    """Expected best validation loss against the number of random trials, one panel per task.

    Args:
      study: whose names.
      budget: from `tuning_analysis.budget_table`.
    """
    tasks = study.task_order(budget.task) or [study.tasks[0]]
    with mpl.rc_context(RC):
        figure, panels = task_figure(study, tasks, room=1.2)
        for task, panel in panels.items():
            here = budget[budget.task == task]
            shown = here[here.optimizer.isin(tabled(study, here.optimizer))]
            _budget_panel(study, panel, shown, tuning_analysis.loss_name(study, [task]))
        loss = tuning_analysis.loss_name(study, tasks)
        note = f"expected lowest validation {loss} of n different grid points drawn at random"
        if short := _shorter_trials(study, budget):
            note = f"{note}; {short}"
        legend_below(study, figure, panels.values(), note, columns=3 if len(tasks) < 3 else 4)
    return figure


def _shorter_trials(study: Study, budget: pd.DataFrame) -> str:
    """Which tasks' trials are shorter than the longest, in words."""
    steps = budget.groupby("task").steps.max()
    return ", ".join(
        f"{study.title(task)} after {steps[task]:,} steps"
        for task in study.task_order(budget.task)
        if steps[task] < steps.max()
    )


def _budget_panel(study: Study, axes: Axes, budget: pd.DataFrame, loss: str) -> None:
    if budget.empty:
        not_measured(axes)
        return
    names = study.row_order(budget.optimizer)
    for name in names:
        curve = budget[budget.optimizer == name]
        colour, dashes = style(study, name, names)
        axes.plot(
            curve.trials, curve.expected_best, color=colour, linestyle=dashes,
            label=study.latex(name), marker=".", markersize=3,
        )  # fmt: skip
    lowest = budget.expected_best.min()
    if lowest > 0:
        axes.set_yscale("log")
        axes.set_ylim(0.95 * lowest, min(1.05 * budget.expected_best.max(), 4 * lowest))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trials")
    axes.set_ylabel(f"validation {loss}")


def profile_figure(study: Study, field: Field, targets: pd.DataFrame) -> Figure:
    """Performance profiles: by score, and by steps to the best baseline's final value.

    They are means over tasks of the fraction of runs, so that more seeds are not more weight.

    Args:
      study: whose names.
      field: from `ranking.field`; runs of tasks an optimizer lacks are left out, and so are
        optimizers that are not `tabled`.
      targets: from `tuning_analysis.target_steps`; a miss never counts as reached.
    """
    with mpl.rc_context(RC):
        figure, axes = grid_figure(1, 2, 10.0, 4.6)
        coloured = highlighted(study, field)
        _score_profile(study, axes[0, 0], field, coloured)
        _step_profile(study, axes[0, 1], field, targets, coloured)
        tasks = study.titles(field.tasks) or "none yet"
        note = f"tasks: {tasks}; n = up to {field.score.shape[2]} seeds each; no band"
        if set(tabled(study, field.optimizers)) - set(coloured):
            note += f"\ngrey: others than baselines and the {HIGHLIGHTED} of highest score"
        legend_below(study, figure, axes.flat, note, columns=4)
    return figure


def highlighted(study: Study, field: Field) -> list[str]:
    """The optimizers drawn in colour: baselines, and the others of highest score.

    The score is the interquartile mean over runs, every task counting the same.
    """
    names = [name for name in tabled(study, field.optimizers) if name not in study.baselines]
    means = {name: _mean_score(field.score[field.optimizers.index(name)]) for name in names}
    best = sorted(names, key=lambda name: -means[name])[:HIGHLIGHTED]
    return [*study.baselines, *study.row_order(best)]


def _mean_score(score: np.ndarray) -> float:
    """Of scores (t, s), NaN where there is no run; -inf where a task lacks them."""
    if not np.isfinite(score).any(axis=1).all():
        return -np.inf
    return balanced_interquartile_mean(score)


def _line(study: Study, name: str, field: Field, coloured: Sequence[str]) -> dict[str, Any]:
    """How a profile is drawn: faint where it is no `highlighted` one."""
    if name not in coloured:
        return {"color": FAINT, "linewidth": 1.0, "zorder": 1.5}
    colour, dashes = style(study, name, field.optimizers)
    return {"color": colour, "linestyle": dashes, "label": study.latex(name)}


def _score_profile(study: Study, axes: Axes, field: Field, coloured: Sequence[str]) -> None:
    axes.set_title("Score")
    drawn = field.score[np.isin(field.optimizers, tabled(study, field.optimizers))]
    finite = drawn[np.isfinite(drawn)]
    if not finite.size:
        not_measured(axes)
        return
    levels = np.linspace(max(finite.min(), -40.0), finite.max(), 1000)
    for o, name in enumerate(field.optimizers):
        tasks = [row[np.isfinite(row)] for row in field.score[o] if np.isfinite(row).any()]
        if tasks and name in tabled(study, field.optimizers):
            share = balanced_profile(tasks, levels)
            axes.plot(levels, share, **_line(study, name, field, coloured))
    axes.axvline(0, color=BLACK, linewidth=0.6)
    best = "the best baseline" if study.baselines else "the best"
    axes.set_xlabel(f"{study.saved(field.tasks)} than {best}, at least (%)")
    axes.set_ylabel("fraction of runs, every task counting the same")


def _step_profile(
    study: Study, axes: Axes, field: Field, targets: pd.DataFrame, coloured: Sequence[str]
) -> None:
    leading = {study.leading(task).in_words: None for task in study.task_order(targets.task)}
    best = "the best baseline" if study.baselines else "the best"
    axes.set_title(f"Steps to {best}'s final {' or '.join(leading) or 'value'}")
    if targets.empty:
        not_measured(axes)
        return
    levels = np.linspace(0, 1, 1001)
    names = tabled(study, targets.optimizer)
    for name in names:
        here = targets[targets.optimizer == name]
        tasks = [(rows.reached / rows.steps).to_numpy() for _, rows in here.groupby("task")]
        share = balanced_profile(tasks, levels, higher=False)
        axes.plot(levels, share, **_line(study, name, field, coloured))
    axes.set_xlabel("fraction of the training steps")
    axes.set_ylabel("fraction of runs that reached it")
