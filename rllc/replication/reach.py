"""What the paper's grid can reach on the convolutional networks, whatever the rule that chooses."""

from typing import Any

import pandas as pd

from rllc.replication import paper
from rllc.replication.paper import STUDY
from rllc.suite.choose.selection import CELL
from rllc.suite.score import readings
from rllc.suite.show import tables
from rllc.suite.show.analysis import Analysis
from rllc.suite.table import Column, Table, optimizer_column, task_column

TASKS = ("mnist_conv", "fashion_mnist_conv", "cifar10_conv")
ROLES = ("tune", "final")  # trained at rates of the paper's grid, from our default initial law
REACH = Table((
    task_column(STUDY), optimizer_column(STUDY), Column("runs", "runs"),
    Column("highest", "highest of any run", ".2f"), Column("paper_accuracy", "paper", ".2f"),
    Column("short_by", "short by", ".2f"),
))  # fmt: skip


def table(a: Analysis) -> pd.DataFrame:
    """The highest test accuracy of any run, step and seed, beside the paper's mean.

    A look at test data that chooses nothing: where even this stays below a mean of three seeds, no
    rule of selection or stopping explains the difference.

    Returns:
      `REACH`, cells of `TASKS` in the paper's order; accuracies in percent, ``short_by`` points
      (negative where the paper is reached).
    """
    every = a.runs[a.runs.role.isin(ROLES) & a.runs.optimizer.isin(paper.OPTIMIZERS)]
    every = every[every.task.isin(TASKS)].drop_duplicates("run")
    if every.empty:
        return REACH.empty()
    rows = readings.readings(STUDY, every.assign(tuned=True), a.records.curves)
    best = rows[(rows.reading == "best") & (rows.status != "diverged")]
    found = best.groupby(CELL).agg(runs=("run", "nunique"), highest=("test_accuracy", "max"))
    theirs = paper.cells().set_index(CELL).test_accuracy_mean.rename("paper_accuracy")
    whole = found.join(theirs, how="left").reset_index()
    whole["short_by"] = whole.paper_accuracy - whole.highest
    return tables.ordered(STUDY, whole)


def by_task(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Per task: its ``title``, ``cells`` of RLLC, how many are ``short`` and from how few points to
    how many (``least``, ``most``), and whether all ``baselines`` reach the paper."""
    out = []
    for task, rows in found.groupby("task", sort=False):
        ours = rows[rows.optimizer.isin(paper.RLLC)]
        short = ours.short_by[ours.short_by > 0]
        others = rows[rows.optimizer.isin(paper.BASELINES)]
        out.append({
            "title": paper.title(str(task)), "cells": len(ours), "short": len(short),
            "least": short.min(), "most": short.max(),
            "baselines": int((others.short_by <= 0).sum()), "of": len(others),
        })  # fmt: skip
    return out
