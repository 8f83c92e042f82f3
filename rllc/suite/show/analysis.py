"""Everything that tables and figures share, computed once from the records."""

from typing import Any, NamedTuple

import pandas as pd

from rllc.suite import metrics
from rllc.suite.choose import screens, selection, short_tuning
from rllc.suite.choose.selection import Defaults
from rllc.suite.records.roles import CANDIDATE, UNTUNED
from rllc.suite.score import (
    comparisons,
    practice,
    provenance,
    readings,
    step_times,
    tuning_analysis,
)
from rllc.suite.show import tables
from rllc.suite.study import Study

TIMINGS = ["network", "optimizer", "milliseconds_per_step", "gflop_per_step", "device"]


class Analysis(NamedTuple):
    """Records and what follows from them.

    Attributes:
      study: what was compared, with the metrics of the recorded tasks.
      records: anything with ``runs``, ``curves`` and ``laws(runs)``.
      every: tidy runs of all variants, candidates of a search and untuned runs aside.
      candidates: tidy runs of the candidates of a search.
      runs: tidy runs with the default settings of their cell.
      points: grid points of the tuning runs with their lowest validation loss.
      choices: chosen hyperparameters.
      final: final runs.
      rows: test numbers per final run and reading.
      summary: their means and deviations per cell and reading.
      made: how each cell was made.
      cells: `summary` beside the published numbers, if there are any.
      against: paired differences against the best baselines; columns reading and metric.
      targets: steps of each final run to the best baseline's final value.
      timings: run time of training steps (`TIMINGS`), empty where not measured.
      screens: which screened grids may have dropped their best point (`screens.table`).
      early: what choosing rates before the end loses (`short_tuning.table`).
      untuned: as `rows`, of the untuned runs.
      step_times: time of a training step of each cell, with what it is taken from.
    """

    study: Study
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
    screens: pd.DataFrame
    early: pd.DataFrame
    untuned: pd.DataFrame
    step_times: step_times.StepTimes


def analyse(
    study: Study,
    records: Any,
    choices: pd.DataFrame | None = None,
    defaults: Defaults | None = None,
    timings: pd.DataFrame | None = None,
    measured: pd.DataFrame | None = None,
) -> Analysis:
    """Computes an `Analysis`.

    Args:
      study: what was compared.
      records: from `records.load`.
      choices: hyperparameters to look for in the final runs; None chooses them from the tuning
        runs among the records.
      defaults: see `selection.default_variants`.
      timings: run times, None where there are none.
      measured: time of a step on each task (`step_times.COLUMNS`) by a benchmark; None takes what
        the records noted, where that can be compared.
    """
    study = study.with_metrics(metrics.by_task(records))
    tidy = selection.tidy(records.runs)
    searched = tidy.family == CANDIDATE
    every = tidy[~searched & (tidy.role != UNTUNED)].reset_index(drop=True)
    runs = selection.default_variants(every, defaults)
    if choices is None:
        choices = selection.chosen(study, runs, records.curves)
    final = readings.final_runs(runs, choices)
    rows = readings.readings(study, final, records.curves)
    summary = readings.summarize(study, rows)
    checked = screens.table(screens.dropped(study, runs, records.curves, choices))
    made = provenance.provenance(study, final, choices, screens.doubtful(checked))
    return Analysis(
        study, records, every, tidy[searched], runs,
        tuning_analysis.loss_points(study, runs, records.curves),
        choices, final, rows, summary, made,
        tables.cells(study, rows, summary, made), _against(study, rows, summary),
        tuning_analysis.target_steps(study, final, records.curves, summary),
        pd.DataFrame(columns=TIMINGS) if timings is None else timings,
        checked,
        short_tuning.table(study, runs, records.curves),
        _untuned(study, tidy, records.curves, defaults),
        step_times.found(runs, measured),
    )  # fmt: skip


def practice_of(a: Analysis) -> pd.DataFrame:
    """The scores for practice of every cell (`practice.practice`)."""
    points = tuning_analysis.chosen_by(a.study, a.runs, a.records.curves)
    return practice.practice(
        a.study, a.rows, a.summary, a.runs, points, a.step_times, a.untuned
    )  # fmt: skip


def _untuned(
    study: Study, tidy: pd.DataFrame, curves: pd.DataFrame, defaults: Defaults | None
) -> pd.DataFrame:
    runs = selection.default_variants(tidy[tidy.role == UNTUNED], defaults)
    nothing = pd.DataFrame(columns=selection.CHOICE_COLUMNS)
    return readings.readings(study, readings.final_runs(runs, nothing, UNTUNED), curves)


def _against(study: Study, rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for metric in study.union(summary.task):
        tasks = [t for t in set(summary.task) if study.of_column(t, metric.column())]
        mine = (rows[rows.task.isin(tasks)], summary[summary.task.isin(tasks)])
        for reading in readings.READINGS:
            found = comparisons.against_baselines(study, *mine, reading, metric.column())
            parts.append(found.assign(reading=reading, metric=metric.column()))
    return pd.concat(parts, ignore_index=True)
