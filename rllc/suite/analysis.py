"""Everything that tables, figures and claims share, computed once from the records."""

from typing import Any, NamedTuple

import pandas as pd

from rllc.replication import deviations, initial_laws, law_rates
from rllc.suite import (
    comparisons,
    provenance,
    readings,
    screens,
    selection,
    short_tuning,
    tables,
    tuning_analysis,
)
from rllc.suite.roles import CANDIDATE
from rllc.suite.selection import Defaults

METRICS = ("test_accuracy", "test_loss")
TIMINGS = ["network", "optimizer", "milliseconds_per_step", "gflop_per_step", "device"]


class Analysis(NamedTuple):
    """Records and what follows from them.

    Attributes:
      records: anything with ``runs``, ``curves`` and ``laws(runs)``.
      every: tidy runs of all variants, candidates of a search aside.
      candidates: tidy runs of the candidates of a search (`search`).
      runs: tidy runs with the default settings of their cell.
      points: grid points of the tuning runs with their lowest validation loss.
      choices: chosen hyperparameters.
      final: final runs.
      rows: test numbers per final run and reading.
      summary: their means and deviations per cell and reading.
      made: how each cell was made.
      cells: `summary` beside the paper's numbers.
      against: paired differences against the best baselines; columns reading and metric.
      targets: steps of each final run to the best baseline's final accuracy.
      timings: run time of training steps (`TIMINGS`), empty where not measured.
      deviations: distance of every answer to an open question from the paper (`deviations`).
      elsewhere: final runs from other initial laws than the default, by answer (`initial_laws`).
      witnesses: the law of Figure 2a from each initial law (`initial_laws.witnesses`).
      screens: which screened grids may have dropped their best point (`screens.table`).
      early: what choosing rates before the end loses (`short_tuning.table`).
      law_rates: accuracy and what is left of the law, by law rate (`law_rates.table`).
    """

    records: Any
    every: pd.DataFrame
    candidates: pd.DataFrame
    runs: pd.DataFrame
    points: pd.DataFrame
    choices: pd.DataFrame
    final: pd.DataFrame
    rows: pd.DataFrame
    summary: pd.DataFrame
    made: pd.DataFrame
    cells: pd.DataFrame
    against: pd.DataFrame
    targets: pd.DataFrame
    timings: pd.DataFrame
    deviations: pd.DataFrame
    elsewhere: dict[str, pd.DataFrame]
    witnesses: pd.DataFrame
    screens: pd.DataFrame
    early: pd.DataFrame
    law_rates: pd.DataFrame


def analyse(
    records: Any,
    choices: pd.DataFrame | None = None,
    defaults: Defaults | None = None,
    timings: pd.DataFrame | None = None,
) -> Analysis:
    """Computes an `Analysis`.

    Args:
      records: from `records.load`.
      choices: hyperparameters to look for in the final runs; None chooses them from the tuning
        runs among the records.
      defaults: see `selection.default_variants`.
      timings: run times, None where there are none.
    """
    tidy = selection.tidy(records.runs)
    searched = tidy.family == CANDIDATE
    every = tidy[~searched].reset_index(drop=True)
    runs = selection.default_variants(every, defaults)
    points = selection.tuning_points(runs, records.curves, "validation_loss")
    if choices is None:
        choices = selection.choose(selection.tuning_points(runs, records.curves))
    final = readings.final_runs(runs, choices)
    rows = readings.readings(final, records.curves)
    summary = readings.summarize(rows)
    checked = screens.table(screens.dropped(runs, records.curves, choices))
    made = provenance.provenance(final, choices, screens.doubtful(checked))
    return Analysis(
        records, every, tidy[searched], runs, points, choices, final, rows, summary, made,
        tables.cells(rows, summary, made), _against(rows, summary),
        tuning_analysis.target_steps(final, records.curves, summary),
        pd.DataFrame(columns=TIMINGS) if timings is None else timings,
        deviations.deviations(every, runs, records.curves),
        initial_laws.final_runs(every, runs, records.curves),
        initial_laws.witnesses(every, runs, records),
        checked,
        short_tuning.table(runs, records.curves),
        law_rates.table(runs, records),
    )  # fmt: skip


def _against(rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    parts = [
        comparisons.against_baselines(rows, summary, reading, metric).assign(
            reading=reading, metric=metric
        )
        for metric in METRICS
        for reading in readings.READINGS
    ]
    return pd.concat(parts, ignore_index=True)
