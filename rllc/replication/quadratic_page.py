"""The page of the map of noisy quadratics, and everything that is made from its runs."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from rllc.replication import quadratic_figures, quadratics
from rllc.replication.paper import pretty
from rllc.suite import plotting
from rllc.suite.drawing import Save
from rllc.suite.markdown import MISSING, markdown_table, shown, span, with_interval
from rllc.suite.show.aggregation import write_text
from rllc.suite.templates import render

RIGHT = 2.0  # an effective rate within this factor of momentum's is right
DECAY = 0.9  # of M(0.9)


def write(runs_file: Path, folder: Path, save: Save = plotting.save) -> list[Path]:
    """Writes tables, figures and page of a file of runs; returns the figures' paths.

    `save` draws a figure.

    Raises:
      RecordsError: the file cannot be used.
    """
    runs = quadratics.read(runs_file)
    cells, off, winners = quadratics.cells(runs), quadratics.off(runs), quadratics.winners(runs)
    folder.mkdir(parents=True, exist_ok=True)
    quadratics.CELLS.to_csv(cells, folder / "cells.csv", fine=True)
    quadratics.OFF.to_csv(off, folder / "off.csv", fine=True)
    text = page(runs, cells, off, runs_file.read_text(encoding="utf-8"))
    write_text(folder / "README.md", text)
    figures = save(quadratic_figures.map_figure(cells, winners), folder / "map")
    return figures + save(quadratic_figures.law_figure(off), folder / "law")


def page(runs: pd.DataFrame, cells: pd.DataFrame, off: pd.DataFrame, source: str) -> str:
    """The page in Markdown.

    Args:
      runs, cells, off: see `quadratics`.
      source: the file of runs, whose first lines say how it was made.
    """
    tuned = runs[runs.role == "tune"]
    points = tuned.groupby(quadratics.POINT, dropna=False).size().reset_index()
    per_cell = points.groupby(["optimizer", *quadratics.CELL]).size()
    head = [line[2:] for line in source.splitlines() if line.startswith("# ")]
    (steps,) = re.findall(r"(\d+) steps", " ".join(head))[:1]
    most = [1 + (1 - DECAY) * rate * int(steps) for rate in quadratics.LAW_RATES]
    return render(
        __file__, "quadratics.md", made=" ".join(head), points=span(per_cell),
        tuning_seeds=tuned.seed.nunique(), final_seeds=runs[runs.role == "final"].seed.nunique(),
        solved=f"{quadratics.SOLVED:g}", cells=cells.groupby(list(quadratics.CELL)).ngroups,
        against=_against(runs, quadratics.MOMENTUM), edges=_edges(cells),
        against_decayed=_against(runs, quadratics.DECAYED), differences=_differences(cells),
        wrong=_wrong(off), most=_listed(most), law_rates=_listed(quadratics.LAW_RATES),
        steps=f"{int(steps):,}",
    )  # fmt: skip


def _listed(numbers: Iterable[float]) -> str:
    *first, last = (f"{number:.3g}" for number in numbers)
    return f"{', '.join(first)} and {last}"


def _against(runs: pd.DataFrame, reference: str) -> str:
    """Per optimizer in how many cells it is lower than, tied with or higher than another one."""
    found = quadratics.against(runs, reference)
    body = []
    for name in quadratics.ORDER:
        counts = found.verdict[found.optimizer == name].value_counts()
        if name != reference:
            body.append([pretty(name), *(counts.get(w, 0) for w in ("lower", "tie", "higher"))])
    return markdown_table(["optimizer", "lower", "tie", "higher"], body)


def _edges(cells: pd.DataFrame) -> str:
    """Per optimizer how often a chosen rate is the first or last of its grid."""
    body = []
    for name in quadratics.ORDER:
        its = cells[cells.optimizer == name]
        at_edge = [rate for edges in its.edge for rate in edges.split()]
        counts = [str(at_edge.count(rate)) for rate in quadratics.RATES]
        has_law_rate = its.law_learning_rate.notna().any()
        body.append([pretty(name), counts[0], counts[1] if has_law_rate else MISSING])
    return markdown_table(["optimizer", "learning rate", "law rate"], body)


def _differences(cells: pd.DataFrame) -> str:
    ours = cells[cells.optimizer.isin((quadratics.SINGLE, quadratics.MIXED))]
    body = [
        [
            pretty(row.optimizer), f"{row.condition:g}", f"{row.noise:g}", f"{row.excess:.2g}",
            with_interval(row.ratio, row.ratio_low, row.ratio_high, ".3g"),
            f"{row.learning_rate:g}", f"{row.law_learning_rate:g}", _laws(row),
            shown(row.first_rate, ".2g"), shown(row.end_rate, ".2g"),
        ]
        for row in ours[ours.verdict != "tie"].itertuples()
    ]  # fmt: skip
    head = [
        "optimizer", "condition", "noise", "excess", "× momentum's", "rate", "law rate",
        "law at the end", "first rate", "end rate",
    ]  # fmt: skip
    return markdown_table(head, body)


def _laws(row: Any) -> str:
    laws = [law for law in (row.law_1, row.law_2) if pd.notna(law)]
    return ", ".join(f"{law:.2g}" for law in laws)


def _wrong(off: pd.DataFrame) -> str:
    body = []
    for (factor, law_rate), rows in off.groupby(["factor", "law_learning_rate"]):
        ends = rows.end_rate.dropna()
        right = ends.between(1 / RIGHT, RIGHT).sum()
        good = (rows.verdict != "higher").sum()
        body.append([
            f"{factor:g}", f"{law_rate:g}", f"{ends.min():.2g} to {ends.max():.2g}",
            f"{right} of {len(rows)}", f"{good} of {len(rows)}", rows.diverged.sum(),
        ])  # fmt: skip
    head = [
        "begins at × momentum's rate", "law rate", "ends at × momentum's rate", "right in",
        "excess not higher in", "diverged runs",
    ]  # fmt: skip
    return markdown_table(head, body)
