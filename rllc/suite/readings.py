"""What a finished run is worth: its test numbers at three stopping points.

``last``: at the last step. ``validated``: at the first step with the highest validation accuracy.
``best``: the lowest test loss and the highest test accuracy along the curve, which looks at test
data to stop; it is the paper's likely reading and never our headline.
"""

import numpy as np
import pandas as pd

from rllc.suite.selection import CELL, RULE, hyper_names, is_loss, same_hyper

READINGS = ("last", "validated", "best")
HEADLINE = "validated"
AT_CHANCE = 12.0  # test accuracy (%) up to which a finished run only guesses, one class in ten


def final_runs(runs: pd.DataFrame, choices: pd.DataFrame) -> pd.DataFrame:
    """Runs whose role is final, at the chosen hyperparameters, of most steps.

    Args:
      runs: from `selection.default_variants`.
      choices: chosen rates. A cell without a choice (its tuning records are not here) takes the
        rates that most of its seeds used, and gets ``tuned`` false.

    Returns:
      Rows of `runs`, one per cell and seed, with ``tuned``.
    """
    final = runs[runs.role == "final"]
    if final.empty:
        return final.assign(tuned=[])
    chosen = {(row.task, row.optimizer): row.hyper for row in choices.itertuples()}
    kept = []
    for cell, members in final.groupby(CELL, sort=True):
        wanted = chosen.get(cell)
        at = members[same_hyper(members, _most_seeds(members) if wanted is None else wanted)]
        if at.empty:
            continue
        at = at[at.steps == at.steps.max()].sort_values(["seed", "device", "run"])
        kept.append(at.drop_duplicates("seed").assign(tuned=wanted is not None))
    return pd.concat(kept, ignore_index=True) if kept else final.iloc[:0].assign(tuned=[])


def _most_seeds(runs: pd.DataFrame) -> str:
    """The hyperparameters of most seeds, the lowest of equals."""
    counts = runs.groupby([*hyper_names(runs), "hyper"], dropna=False, sort=True).seed.nunique()
    return str(counts.reset_index().set_index("hyper").seed.idxmax())


def readings(final: pd.DataFrame, curves: pd.DataFrame, rule: str = RULE) -> pd.DataFrame:
    """Test numbers of every final run at every stopping point.

    Args:
      final: from `final_runs`.
      curves: evaluations; accuracies as fractions.
      rule: validation metric that chooses the step of ``validated``.

    Returns:
      Rows (run, reading): task, optimizer, family, seed, run, steps, device, status, tuned,
      reading, step, test_loss, test_accuracy and batch_accuracy (the mean over 128-image
      batches, the paper's metric), in percent. Under ``best`` each is the best along the curve
      by itself. A run that never gave a finite number has NaN.
    """
    curves = curves[curves.run.isin(set(final.run))].sort_values(["run", "step"])
    parts = [
        _at(curves, curves.groupby("run").step.idxmax()).assign(reading="last"),
        _at(curves, _chosen(curves, rule)).assign(reading="validated"),
        _best(curves).assign(reading="best"),
    ]
    keep = [*CELL, "family", "seed", "run", "steps", "device", "status", "tuned"]
    every = final[keep].merge(pd.DataFrame({"reading": READINGS}), how="cross")
    joined = every.merge(pd.concat(parts), on=["run", "reading"], how="left")
    for column in ("test_accuracy", "batch_accuracy"):
        joined[column] = 100.0 * joined[column].astype(float)
    return joined.sort_values([*CELL, "seed", "reading"]).reset_index(drop=True)


_KEPT = {"test_accuracy_batch_mean": "batch_accuracy"}
_COLUMNS = ["run", "step", "test_loss", "test_accuracy", "batch_accuracy"]


def _at(curves: pd.DataFrame, index: pd.Series) -> pd.DataFrame:
    return curves.loc[index].rename(columns=_KEPT)[_COLUMNS]


def _lowest(curves: pd.DataFrame, column: str) -> pd.Series:
    """Index of each run's lowest value; runs without a finite one are left out."""
    finite = curves[np.isfinite(curves[column].astype(float))]
    return finite.groupby("run")[column].idxmin()


def _chosen(curves: pd.DataFrame, rule: str) -> pd.Series:
    """Index of each run's best value (highest unless a loss), the earliest of equals."""
    sign = 1.0 if is_loss(rule) else -1.0
    return _lowest(curves.assign(**{rule: sign * curves[rule].astype(float)}), rule)


def _best(curves: pd.DataFrame) -> pd.DataFrame:
    lowest = _at(curves, _lowest(curves, "test_loss"))
    highest = curves.rename(columns=_KEPT).groupby("run")[["test_accuracy", "batch_accuracy"]].max()
    return lowest.assign(**{column: lowest.run.map(highest[column]) for column in highest})


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Means and deviations over seeds, one row per (cell, reading).

    Diverged runs do not enter the means; ``diverged`` counts them beside ``seeds``, which
    counts all runs. Runs that finished at chance do, and ``at_chance`` counts them. Standard
    deviations divide by n - 1 and are NaN for one run.

    Returns:
      task, optimizer, family, reading, seeds, diverged, at_chance, steps, device, tuned, and
      mean and std of test_loss, test_accuracy, batch_accuracy.
    """
    diverged = rows.status == "diverged"
    rows = rows.assign(diverged=diverged, at_chance=~diverged & (rows.test_accuracy <= AT_CHANCE))
    metrics = ["test_loss", "test_accuracy", "batch_accuracy"]
    finite = rows.copy()
    finite.loc[finite.diverged, metrics] = np.nan
    grouped = finite.groupby([*CELL, "reading"], sort=True)
    first = grouped.agg(
        family=("family", "first"),
        seeds=("seed", "nunique"),
        diverged=("diverged", "sum"),
        at_chance=("at_chance", "sum"),
        steps=("steps", "max"),
        device=("device", lambda names: " + ".join(sorted(set(names)))),
        tuned=("tuned", "all"),
    )
    means = grouped[metrics].mean().add_suffix("_mean")
    stds = grouped[metrics].std(ddof=1).add_suffix("_std")
    return pd.concat([first, means, stds], axis=1).reset_index()
