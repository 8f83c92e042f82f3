"""What it costs to choose rates before training ends, read off the curves of whole grids."""

from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rllc.suite.choose.selection import CELL, hyper_names, tuning_runs
from rllc.suite.markdown import span
from rllc.suite.metrics import Metric
from rllc.suite.plotting import BLUE, GREEN, GREY, RC, VERMILION, legend_below, task_figure
from rllc.suite.study import Study
from rllc.suite.table import Table, csv_only

KEPT = 3  # points of the grid that the milder rule trains to the end
EARLY = Table(csv_only(
    *CELL, "family", "grid_points", "seeds", "steps", "hyper", "lost", "lost_of_kept",
))  # fmt: skip
COLOURS = (GREY, BLUE, VERMILION, GREEN)
TICKS = (250, 500, 1_000, 2_000, 5_000, 10_000)


def table(study: Study, runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """What choosing rates early loses of the leading metric on validation data, by cell and step.

    Only whole grids, trained for the study's steps, over the seeds that trained every point. A run
    counts with the value of a guess from where it diverged. Losses are measured on the data that
    choose, so they overstate a little.

    Args:
      study: whose protocol and metrics.
      runs: tidy runs, of one variant per cell; ``diverged_at`` is a step, or missing.
      curves: evaluations.

    Returns:
      `EARLY`: the rates of the best point after ``steps`` steps; ``lost`` is what it is worse (as
      shown: accuracies in points) than the best at the end, each at its own best step;
      ``lost_of_kept`` the same for the best of the `KEPT` points that lead after ``steps`` steps.
    """
    tuning = tuning_runs(runs)
    tuning = tuning[tuning.steps == study.steps]
    curves = curves[curves.run.isin(set(tuning.run))]
    parts = [
        _cell(study.leading(cell[0]), members, curves).assign(**dict(zip(CELL, cell, strict=True)))
        for cell, members in tuning.groupby(CELL, sort=True)
        if _whole(study, members)
    ]
    return pd.concat(parts)[EARLY.names] if parts else EARLY.empty()


def _whole(study: Study, runs: pd.DataFrame) -> bool:
    most = max(study.grid_points.values(), default=2)
    wanted: int = study.grid_points.get(runs.family.iloc[0], most)
    points: int = runs.groupby("seed").size().max()
    return points >= wanted


def _cell(metric: Metric, runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    by_seed = runs.groupby("seed").size()
    seeds = by_seed.index[by_seed == by_seed.max()]
    runs = runs[runs.seed.isin(seeds)].sort_values(hyper_names(runs), kind="stable")
    wide = curves[curves.run.isin(set(runs.run))].pivot(
        index="run", columns="step", values=metric.column("validation")
    )
    wide = wide.loc[runs.run, [step for step in wide.columns if step > 0]]
    guess = metric.sign * metric.guess_or_worst(metric.scale * wide.to_numpy(float))
    values = (metric.sign * metric.scale * wide.astype(float)).fillna(min(0.0, guess)).to_numpy()
    best = np.maximum.accumulate(values, axis=1)
    over = runs.diverged_at.astype(float).to_numpy()[:, None] <= wide.columns.to_numpy()
    best = np.where(over, guess, best)
    end = np.where(runs.status == "diverged", guess, best[:, -1])
    point, hypers = pd.factorize(runs.hyper)
    so_far, at_end = (pd.DataFrame(x).groupby(point).mean().to_numpy() for x in (best, end))
    leaders = np.argsort(-so_far, axis=0, kind="stable")
    lost = at_end.max() - at_end[leaders, 0]
    return pd.DataFrame({"hyper": hypers[leaders[0]]}).assign(
        family=runs.family.iloc[0], grid_points=len(at_end), seeds=len(seeds),
        steps=wide.columns, lost=lost[0], lost_of_kept=lost[:KEPT].min(axis=0),
    )  # fmt: skip


def figure(study: Study, lost: pd.DataFrame) -> Figure:
    """What is lost against the step at which rates are chosen, a panel per task.

    Args:
      study: whose families; means are over their optimizers.
      lost: from `table`, with at least one optimizer of these.
    """
    lost = lost[lost.family.isin(study.families)]
    with mpl.rc_context(RC):
        drawn, panels = task_figure(study, study.task_order(lost.task), room=1.0)
        for task, panel in panels.items():
            _panel(study, panel, lost[lost.task == task], study.leading(task))
        counts = lost.groupby("family").optimizer.nunique()
        n = ", ".join(f"{study.families[name]} n = {count}" for name, count in counts.items())
        note = f"mean over optimizers ({n}), whole grids of {span(lost.seeds)} seed each; no band"
        legend_below(study, drawn, panels.values(), note, columns=2)
    return drawn


def _panel(study: Study, axes: Axes, lost: pd.DataFrame, metric: Metric) -> None:
    for (family, label), colour in zip(study.families.items(), cycle(COLOURS), strict=False):
        means = lost[lost.family == family].groupby("steps")[["lost", "lost_of_kept"]].mean()
        for column, dashes, words in (
            ("lost", "-", "the best point"),
            ("lost_of_kept", "--", f"the best {KEPT}, trained to the end"),
        ):
            axes.plot(
                means.index, means[column], color=colour, linestyle=dashes,
                label=f"{label}: {words}",
            )  # fmt: skip
    axes.set_xscale("log")
    if ticks := [step for step in TICKS if lost.steps.min() <= step <= lost.steps.max()]:
        axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step at which rates are chosen")
    unit = " (points)" if metric.unit == "%" else ""
    axes.set_ylabel(f"validation {metric.in_words} lost{unit}")
