"""What a reader of records asks first: where they are, what is there, which runs to look at."""

import os
from pathlib import Path

import pandas as pd

from rllc.suite import records
from rllc.suite.choose.selection import CELL
from rllc.suite.markdown import span
from rllc.suite.show import tables
from rllc.suite.show.analysis import Analysis
from rllc.suite.study import Study

ROOT = Path(__file__).parents[3]  # of a checkout; an installed wheel has no records
VARIABLE = "RLLC_RECORDS"


def records_folder() -> Path:
    """The records folder that the variable ``RLLC_RECORDS`` names, by default the committed one.

    A relative path counts from the root of the repository.

    Raises:
      RecordsError: no record is there.
    """
    folder = ROOT / (os.environ.get(VARIABLE) or "results/records")
    if not records.shards(folder):
        raise records.RecordsError(
            f"no records in {folder}; `make reproduce` trains some into local/records, "
            f"and {VARIABLE}=local/records makes this notebook read them"
        )
    return folder


def overview(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """What was trained, one row per cell in the study's order.

    Args:
      study: whose order.
      runs: of an `Analysis`.

    Returns:
      Index task, optimizer; columns tuning_runs, final_runs, diverged, steps (most of any run),
      device.
    """
    final = runs.role == "final"
    marked = runs.assign(tuning=~final, final=final, diverged=runs.status == "diverged")
    table = marked.groupby(CELL, as_index=False).agg(
        tuning_runs=("tuning", "sum"),
        final_runs=("final", "sum"),
        diverged=("diverged", "sum"),
        steps=("steps", "max"),
        device=("device", lambda names: " + ".join(sorted(set(names)))),
    )
    ordered = tables.ordered(study, table)
    tasks = study.task_order(ordered.task)
    by_task = ordered.sort_values("task", key=lambda task: task.map(tasks.index), kind="stable")
    return by_task.set_index(CELL)


def shown_runs(a: Analysis) -> pd.DataFrame:
    """The final runs; a cell without any is shown by its tuning runs at the chosen rates.

    The two are told apart by their roles. Numbers of tuning runs are slightly too good, as
    the rates were chosen on the same runs' validation data.

    Returns:
      Rows like those of ``a.final``.
    """
    keys = [*CELL, "hyper", "steps"]
    tuning = a.runs[a.runs.role != "final"]
    if tuning.empty:
        return a.final
    choices = a.choices[keys].astype(tuning[keys].dtypes.to_dict())
    chosen = tuning.merge(choices, on=keys).drop_duplicates([*CELL, "seed"])
    cells = pd.MultiIndex.from_frame(chosen[CELL])
    alone = ~cells.isin(pd.MultiIndex.from_frame(a.final[CELL]))
    parts = [part for part in (a.final, chosen[alone].assign(tuned=True)) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else a.final


def seed_count(runs: pd.DataFrame, by: str = "optimizer") -> str:
    """Number of seeds for a figure's title: ``3``, or ``1–3`` where it differs between groups."""
    return span(runs.groupby(by).seed.nunique())
