"""`results/summary.md`: every cell beside the paper's, what falls short, and speed, on one page."""

from pathlib import Path
from typing import Any

import pandas as pd

from rllc.replication import early_choice, law_rates, paper, report, search
from rllc.replication.analysis import Replication
from rllc.replication.paper import STUDY
from rllc.replication.question_report import one_line, witness_sentence
from rllc.suite.choose import screens
from rllc.suite.markdown import MISSING, with_std
from rllc.suite.score.provenance import FULL
from rllc.suite.score.readings import HEADLINE
from rllc.suite.show.tables import ordered
from rllc.suite.speed import report as speed
from rllc.suite.speed import store
from rllc.suite.table import Column, Table
from rllc.suite.templates import render

SHORT = Table((
    Column("title", "short of the paper's protocol"),
    Column("training", "training"), Column("tuning", "tuning"),
))  # fmt: skip


def page(r: Replication, benchmarks: Path) -> str:
    """The page.

    Args:
      r: what the records say.
      benchmarks: folder of the measurements of speed; without any, the page has none.
    """
    a = r.measured
    cells = a.cells[a.cells.reading == HEADLINE]
    measured = STUDY.task_order(set(cells.task))
    cells = ordered(STUDY, cells[cells.optimizer.isin(paper.OPTIMIZERS)])
    made = a.made[a.made.optimizer.isin(paper.OPTIMIZERS)]
    return render(
        __file__, "summary.md", headline=report.headline(a), results=_results(cells, measured),
        change=(cells.batch_accuracy_mean - cells.test_accuracy_mean).dropna(),
        devices=sorted({part for d in made.device.dropna() for part in d.split(" + ")}),
        made=made, short=_short_of_protocol(made), early=early_choice.sentence(a.early),
        screens=screens.sentence(STUDY, a.screens), verdicts=one_line(r.deviations),
        witness=witness_sentence(r.witnesses) if len(r.witnesses) else "",
        law_rates=law_rates.summary(r.law_rates),
        searches=[search.sentence(found) for found in r.searches],
        speed=_speed(benchmarks),
    )  # fmt: skip


def _results(cells: pd.DataFrame, tasks: list[str]) -> str:
    """A row per optimizer, a column per measured task; empty without any."""
    if not tasks:
        return ""
    by_task = Table((
        Column("optimizer", "test accuracy (%)", lambda row: paper.pretty(row.optimizer)),
        *(Column(task, paper.title(task)) for task in tasks),
    ))  # fmt: skip
    texts = cells.assign(text=[_cell(row) for row in cells.itertuples()])
    wide = texts.pivot(index="optimizer", columns="task", values="text").reindex(columns=tasks)
    return by_task.to_markdown(wide.reindex(cells.optimizer.unique()).reset_index())


def _cell(row: Any) -> str:
    if pd.isna(row.test_accuracy_mean):
        return f"diverged, n={row.seeds} ({row.paper_accuracy:.2f})"
    lost = f", {row.diverged} diverged" if row.diverged else ""
    lost += f", {row.at_chance} at chance" if row.at_chance else ""
    value = with_std(row.test_accuracy_mean, row.test_accuracy_std)
    return f"{value}, n={row.seeds}{lost} ({row.paper_accuracy:.2f})"


def _short_of_protocol(made: pd.DataFrame) -> str:
    """What falls short of the paper's protocol, a row per task; empty where nothing does."""
    parts = ("training", "tuning")
    rows = [
        {"title": paper.title(task)}
        | {part: _short(made[made.task == task], part) for part in parts}
        for task in STUDY.task_order(made.task)
    ]
    rows = [row for row in rows if any(row[part] != MISSING for part in parts)]
    return SHORT.to_markdown(pd.DataFrame(rows)) if rows else ""


def _short(made: pd.DataFrame, part: str) -> str:
    """What the cells of one task lack, most common first, with their number where they differ."""
    counts = made[made[part] != FULL][part].value_counts(sort=False).sort_index()
    counts = counts.sort_values(ascending=False, kind="stable")
    if list(counts) == [len(made)]:
        return str(counts.index[0])
    return ", ".join(f"{text} ({n} of {len(made)} cells)" for text, n in counts.items()) or MISSING


def _speed(folder: Path) -> str:
    path = folder / "summary.csv"
    if not path.exists():
        return ""
    by_device = pd.read_csv(path).groupby("device", sort=True)
    batching = store.read(folder, "batching")
    return render(
        __file__, "speed.md",
        devices=[(name, _throughput(str(name), rows), rows[rows.metric == "update_time_over_adam"])
                 for name, rows in by_device],
        batching=[(name, speed.batching(STUDY, rows)) for name, rows in batching.groupby("device")]
        if len(batching) else [],
    )  # fmt: skip


def _over_loop(row: Any) -> str:
    return MISSING if pd.isna(row.speedup_over_loop) else f"×{row.speedup_over_loop:.2f}"


def _throughput(device: str, rows: pd.DataFrame) -> str:
    """One row per task."""
    wide = rows.pivot(index="case", columns="metric", values="value")
    tasks = STUDY.task_order(case for case in wide.index if case in paper.TASKS)
    speeds = Table((
        Column("case", device, lambda row: paper.title(row.case)),
        Column("run_steps_per_second", "run-steps/s", ",.4g"),
        Column("matmul_fraction", "products at the rate of a bare matmul", ".0%"),
        Column("speedup_over_loop", "against a Flax + optax loop",
               _over_loop),
    ))  # fmt: skip
    return speeds.to_markdown(wide.reindex(index=tasks, columns=speeds.names[1:]).reset_index())
