"""What it costs to choose rates before training ends, read off the curves of whole grids."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rllc.replication import paper
from rllc.suite import comparisons
from rllc.suite.markdown import span
from rllc.suite.plotting import BLUE, GREY, RC, legend_below, task_figure
from rllc.suite.selection import CELL, LAW_RATE, RULE, hyper_names, tuning_runs, with_hyper

KEPT = 3  # points of the grid that the milder rule trains to the end
SHORT, LONGER = 1_000, 3_000  # steps that `sentence` speaks of
COLUMNS = [*CELL, "family", "grid_points", "seeds", "steps", "hyper", "lost", "lost_of_kept"]
FAMILIES = {"baseline": ("baselines", GREY), "rllc": ("RLLC", BLUE)}


def table(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Validation accuracy lost by choosing rates early, one row per cell and evaluation.

    Only grids of the paper's size, trained for the paper's steps, over the seeds that trained
    every point. A run counts with the accuracy of guessing from where it diverged. Losses are
    measured on the data that choose, so they overstate a little.

    Args:
      runs: tidy runs, of one variant per cell; ``diverged_at`` is a step, or missing.
      curves: evaluations.

    Returns:
      `COLUMNS`: the rates of the best point after ``steps`` steps; ``lost`` is what it has less
      (accuracy points) than the best at the end, each at its own best step; ``lost_of_kept`` the
      same for the best of the `KEPT` points that lead after ``steps`` steps.
    """
    tuning = tuning_runs(runs)
    tuning = tuning[tuning.steps == paper.STEPS]
    parts = [
        _cell(members, curves).assign(**dict(zip(CELL, cell, strict=True)))
        for cell, members in tuning.groupby(CELL, sort=True)
        if _whole(members)
    ]
    return pd.concat(parts)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _whole(runs: pd.DataFrame) -> bool:
    wanted = paper.GRID_POINTS.get(runs.family.iloc[0], paper.GRID_POINTS["rllc"])
    return runs.groupby("seed").size().max() >= wanted


def _cell(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    by_seed = runs.groupby("seed").size()
    seeds = by_seed.index[by_seed == by_seed.max()]
    runs = runs[runs.seed.isin(seeds)].sort_values(hyper_names(runs), kind="stable")
    wide = curves[curves.run.isin(set(runs.run))].pivot(index="run", columns="step", values=RULE)
    wide = wide.loc[runs.run, [step for step in wide.columns if step > 0]]
    best = np.maximum.accumulate(100 * wide.fillna(0.0).to_numpy(float), axis=1)
    over = runs.diverged_at.astype(float).to_numpy()[:, None] <= wide.columns.to_numpy()
    best = np.where(over, comparisons.CHANCE, best)
    end = np.where(runs.status == "diverged", comparisons.CHANCE, best[:, -1])
    point, hypers = pd.factorize(runs.hyper)
    so_far, at_end = (pd.DataFrame(x).groupby(point).mean().to_numpy() for x in (best, end))
    leaders = np.argsort(-so_far, axis=0, kind="stable")
    lost = at_end.max() - at_end[leaders, 0]
    return pd.DataFrame({"hyper": hypers[leaders[0]]}).assign(
        family=runs.family.iloc[0], grid_points=len(at_end), seeds=len(seeds),
        steps=wide.columns, lost=lost[0], lost_of_kept=lost[:KEPT].min(axis=0),
    )  # fmt: skip


def sentence(lost: pd.DataFrame) -> str:
    """What the paper's optimizers lose after `SHORT` and `LONGER` steps; empty if nothing is known.

    Args:
      lost: from `table`.
    """
    early = lost[(lost.steps == SHORT) & lost.family.isin(FAMILIES)]
    if early.empty:
        return ""
    words = [
        f"{members.lost.mean():.2f} points for {FAMILIES[family][0]} (at most "
        f"{members.lost.max():.2f}; best {KEPT} kept and trained to the end: "
        f"{members.lost_of_kept.mean():.2f})"
        for family, members in early.groupby("family", sort=True)
    ]
    tasks = ", ".join(str(paper.title(t)) for t in paper.in_order(early.task, paper.TASKS))
    return (
        f"Rates chosen on the whole grid after {SHORT:,} of {paper.STEPS:,} steps would have lost, "
        f"of validation accuracy and in the mean over {len(early)} grids ({tasks}), "
        f"{' and '.join(words)}.{_longer_sentence(lost)}{_law_sentence(lost, early)}"
    )


def _longer_sentence(lost: pd.DataFrame) -> str:
    later = lost[(lost.steps == LONGER) & lost.family.isin(FAMILIES)]
    words = [
        f"{members.lost.mean():.2f} points for {FAMILIES[family][0]} (best {KEPT} kept: "
        f"{members.lost_of_kept.mean():.2f}, at most {members.lost_of_kept.max():.2f})"
        for family, members in later.groupby("family", sort=True)
    ]
    return f" After {LONGER:,} steps it would have been {' and '.join(words)}." if words else ""


def _law_sentence(lost: pd.DataFrame, early: pd.DataFrame) -> str:
    end = with_hyper(lost[lost.steps == paper.STEPS], [LAW_RATE]).set_index(CELL)
    early = with_hyper(early, [LAW_RATE])
    early = early[early[LAW_RATE].notna()]
    if early.empty:
        return ""
    before = end[LAW_RATE][pd.MultiIndex.from_frame(early[CELL])]
    change = early[LAW_RATE].to_numpy() - before.to_numpy()
    above, below = int((change > 0).sum()), int((change < 0).sum())
    lead = "Short runs favour a fast law: of" if above > 2 * below else "Of"
    return (
        f" {lead} {len(early)} RLLC grids, the law rate chosen early was above the one chosen at "
        f"the end in {above} and below it in {below}."
    )


def figure(lost: pd.DataFrame) -> Figure:
    """Validation accuracy lost against the step at which rates are chosen, a panel per task.

    Args:
      lost: from `table`, with at least one optimizer of the paper; means over these.
    """
    lost = lost[lost.family.isin(FAMILIES)]
    with mpl.rc_context(RC):
        drawn, panels = task_figure(paper.in_order(lost.task, paper.TASKS), room=1.0)
        for task, panel in panels.items():
            _panel(panel, lost[lost.task == task])
        counts = lost.groupby("family").optimizer.nunique()
        n = ", ".join(f"{FAMILIES[name][0]} n = {count}" for name, count in counts.items())
        note = f"mean over optimizers ({n}), whole grids of {span(lost.seeds)} seed each; no band"
        legend_below(drawn, panels.values(), note, columns=2)
    return drawn


def _panel(axes: Axes, lost: pd.DataFrame) -> None:
    for family, (label, colour) in FAMILIES.items():
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
    axes.set_xticks([250, 500, 1_000, 2_000, 5_000, 10_000])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step at which rates are chosen")
    axes.set_ylabel("validation accuracy lost (points)")
