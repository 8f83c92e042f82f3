"""The part of README.md that follows from the records: does the paper's main claim hold?"""

from collections import Counter
from pathlib import Path

import pandas as pd

from rllc.replication import claims, paper
from rllc.replication.analysis import Replication
from rllc.replication.claims import NOT_MEASURED, NOT_SUPPORTED, PARTLY, SUPPORTED
from rllc.suite.show.analysis import Analysis
from rllc.suite.table import Column, Table
from rllc.suite.templates import render

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MARK = "†"
GAINS = Table((
    Column("task", "task",
           lambda row: paper.title(row.task) + (f" {MARK}" if row.is_reduced else "")),
    Column("gain", "gain in the paper", "+.2f"),
    Column("value", "our gain", lambda row: row.value.removesuffix(" points")),
    Column("interval", "95 % interval"), Column("n", "seeds"), Column("verdict", "verdict"),
))  # fmt: skip


def update(path: Path, r: Replication) -> None:
    """Rewrites the text between the markers of the README at `path`.

    Raises:
      ValueError: the markers are not there, once each and in order.
    """
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n{_verdict(r.measured)}\n{END}{after}")


def _verdict(a: Analysis) -> str:
    found = claims.best_of_task(a)
    reduced = [bool(claims.reduced_note(a, task, *paper.OPTIMIZERS)) for task in paper.TASKS]
    rows = [
        {"task": task, "is_reduced": short, "gain": paper_gain(task), **claim._asdict()}
        for task, claim, short in zip(paper.TASKS, found, reduced, strict=True)
    ]
    count = Counter(claim.verdict for claim in found)
    others = [(word, count[word]) for word in (NOT_SUPPORTED, PARTLY, NOT_MEASURED) if count[word]]
    return render(
        __file__, "readme.md", table=GAINS.to_markdown(pd.DataFrame(rows)), others=others,
        mark=MARK if any(reduced) else "", claims=len(found), word=SUPPORTED,
        supported=count[SUPPORTED],
    )  # fmt: skip


def paper_gain(task: str) -> float:
    """Accuracy points by which the paper's best RLLC optimizer exceeds its best baseline."""
    table = paper.cells()
    ours = table[(table.task == task) & table.optimizer.isin(paper.RLLC)].test_accuracy_mean
    return float(ours.max() - paper.published_best()[task])
