"""What was trained, in numbers, for whoever waits before a terminal."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rllc.suite import metrics, records
from rllc.suite.choose import selection
from rllc.suite.execute.execution import Outcome
from rllc.suite.markdown import MISSING, text_table
from rllc.suite.metrics import SPLITS, Metric
from rllc.suite.records import Records
from rllc.suite.study import Study

MOST = 40  # rows of a table


def numbers(outcomes: Sequence[Outcome], folder: Path, study: Study | None = None) -> str:
    """The numbers of what was just trained: of one run all, of several a table of lines.

    Args:
      outcomes: of groups.
      folder: their records.
      study: for names; None takes them as they are.
    """
    documents = [outcome.record.absolute() for outcome in outcomes if outcome.record]
    names = {run.name for outcome in outcomes if outcome.record for run in outcome.runs}
    if not documents:
        return ""
    loaded = records.load(folder.absolute(), documents)  # jobs name their records in full
    runs = selection.tidy(loaded.runs[loaded.runs.run.isin(names)])
    study = (study or Study("trained", (), ()))._replace(metrics=metrics.by_task(loaded))
    text = _of_run(study, loaded, runs) if len(runs) == 1 else _of_lines(study, loaded, runs)
    protocols = [json.loads(text)["protocol"] for text in runs.settings.unique()]
    made_up = any(protocol.get("data") == "synthetic" for protocol in protocols)
    return f"{text}\nmade-up data: these numbers mean nothing" if made_up else text


def _of_run(study: Study, loaded: Records, runs: pd.DataFrame) -> str:
    """Every metric of one run at its last step and where validation is best."""
    curve = loaded.curves[loaded.curves.run == runs.run.iloc[0]].sort_values("step")
    task = str(runs.task.iloc[0])
    leading = study.leading(task)
    signed = leading.sign * curve[leading.column("validation")].to_numpy(float)
    if not np.isfinite(signed).any():
        return ""
    stops = {"last": curve.iloc[-1], "validated": curve.iloc[int(np.nanargmax(signed))]}
    head = ["", *(f"{name} (step {row.step:,})" for name, row in stops.items())]
    rows = [
        [f"{split} {metric.with_unit}", *(_text(metric, row, split) for row in stops.values())]
        for split in SPLITS
        for metric in study.all_metrics(task)
    ]
    return text_table(head, rows)


def _text(metric: Metric, row: pd.Series, split: str) -> str:
    value = metric.scale * float(row[metric.column(split)])
    return f"{value:{metric.form}}" if np.isfinite(value) else MISSING


def _of_lines(study: Study, loaded: Records, runs: pd.DataFrame) -> str:
    """A row per optimizer and setting, means over seeds."""
    from rllc.suite.show import lines, picking  # matplotlib would slow the start

    found = lines.of_runs(study, picking.lines(picking.described(runs)))
    table = lines.numbers(study, found[:MOST], loaded.curves)
    text = text_table([str(name) for name in table], table.to_numpy().tolist())
    left = len(found) - MOST
    return f"{text}\n… and {left} more: python scripts/show.py numbers" if left > 0 else text
