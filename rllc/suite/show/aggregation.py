"""From records to the tables and figures of any study, the same bytes every time."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from rllc.suite import plotting
from rllc.suite.choose import screens, short_tuning
from rllc.suite.choose.selection import Defaults
from rllc.suite.drawing import Save
from rllc.suite.score import over_tasks, practice, provenance, ranking, tuning_analysis
from rllc.suite.score.readings import HEADLINE, READINGS
from rllc.suite.show import (
    analysis,
    captions,
    figures,
    forest,
    sweep_figures,
    tables,
    typesetting,
)
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.rank_figure import rank_figure
from rllc.suite.study import Study
from rllc.suite.table import Table, csv_only

COMPARISONS = Table(csv_only(
    "reading", "metric", "optimizer", "task", "baseline", "difference", "low", "high", "n",
    "p_value", "p_holm",
))  # fmt: skip


def write(records: Any, study: Study, output: Path, defaults: Defaults | None = None) -> Analysis:
    """Analyses the records of a study, and writes its tables and figures under `output`.

    Args:
      records: from `records.load`.
      study: what is compared.
      output: folder; gets ``tables`` and ``figures``.
      defaults: see `selection.default_variants`.
    """
    found = analysis.analyse(study, records, defaults=defaults)
    write_tables(found, output)
    write_study_figures(found, output)
    return found


def write_study_figures(a: Analysis, output: Path, save: Save = plotting.save) -> list[Path]:
    """Draws every figure of a study under ``output/figures``; returns the paths."""
    return write_figures(
        all_figures(a), output, partial(captions.caption, a.study), empty=True, save=save
    )


def write_tables(a: Analysis, output: Path) -> None:
    """Writes the tables under ``output/tables``."""
    folder = output / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    _write_cells(a, folder)
    made = tables.ordered(a.study, a.made) if len(a.made) else a.made
    left = provenance.unused(a.every, a.final)
    against = tables.ordered(a.study, a.against) if len(a.against) else a.against
    fine = a.study.is_fine
    provenance.provenance_table(a.study).to_csv(made, folder / "provenance.csv", fine)
    write_text(folder / "provenance.md", provenance.page(a.study, made, left))
    COMPARISONS.to_csv(against, folder / "comparisons.csv", fine)
    targets = tuning_analysis.target_table(a.targets)
    tuning_analysis.TARGET.to_csv(targets, folder / "steps_to_target.csv", fine)
    _write_ranking(a, folder)
    _write_practice(a, folder)
    if len(a.points):
        sensitivity = tuning_analysis.sensitivity_table(a.points, a.runs)
        tuning_analysis.SENSITIVITY.to_csv(sensitivity, folder / "sensitivity.csv", fine)
        budget = tuning_analysis.budget_table(a.study, a.points)
        tuning_analysis.BUDGET.to_csv(budget, folder / "tuning_budget.csv", fine)
    short_tuning.EARLY.to_csv(a.early, folder / "tuning_steps.csv", fine)
    screens.SCREENS.to_csv(a.screens, folder / "screens.csv", fine)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 with one newline at its end."""
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _write_cells(a: Analysis, folder: Path) -> None:
    columns = (tables.metrics_table(a.study, a.cells), tables.results_table(a.study, a.cells))
    for number, (name, table) in enumerate(zip(a.study.files, columns, strict=True), 1):
        table.to_csv(a.cells, folder / f"{name}.csv", a.study.is_fine)
        write_text(folder / f"{name}.md", typesetting.in_one_page(a.study, a.cells, number))
        write_text(folder / f"{name}.tex", typesetting.in_latex_tables(a.study, a.cells, number))


def _write_practice(a: Analysis, folder: Path) -> None:
    table = analysis.practice_of(a)
    columns = practice.practice_table(a.study, untuned=len(a.untuned) > 0)
    columns.to_csv(table, folder / "practice.csv", a.study.is_fine)
    write_text(folder / "practice.md", practice.page(a.study, table, a.step_times))


def _write_ranking(a: Analysis, folder: Path) -> None:
    """``ranking.csv`` holds every reading, ``ranking.md`` the headline."""
    rows, summary, left = from_whole_grids(a)
    field = ranking.field(a.study, rows, summary)
    sets = ranking.task_sets(a.study, field)
    columns = ranking.ranking_table(a.study, untuned=len(a.untuned) > 0)
    ranked = [
        ranking.ranking(a.study, rows, summary, tasks, r, a.untuned)
        for r in READINGS
        for tasks in sets
    ]
    columns.to_csv(pd.concat(ranked) if ranked else columns.empty(), folder / "ranking.csv")
    headline = [
        (tasks, ranking.ranking(a.study, rows, summary, tasks, untuned=a.untuned)) for tasks in sets
    ]
    page = ranking.page(a.study, headline, left_out=left, unscored=field.unscored)
    write_text(folder / "ranking.md", page)
    _write_over_tasks(a, field, sets, folder)


def _write_over_tasks(
    a: Analysis, field: ranking.Field, sets: list[list[str]], folder: Path
) -> None:
    """The headline: ``task_effects.csv``, ``over_tasks.csv`` and both in ``over_tasks.md``."""
    every = sorted({task for tasks in sets for task in tasks}, key=field.tasks.index)
    over_tasks.EFFECTS.to_csv(over_tasks.effects(field, every), folder / "task_effects.csv")
    columns = over_tasks.columns(a.study)
    found = [over_tasks.estimates(field, tasks) for tasks in sets]
    columns.to_csv(pd.concat(found) if found else columns.empty(), folder / "over_tasks.csv")
    write_text(folder / "over_tasks.md", over_tasks.page(a.study, field, sets))


def from_whole_grids(a: Analysis) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Rows and summary of the tasks where no rate comes from a short grid, and the other tasks."""
    tasks = a.study.task_order(a.rows.task)
    left = [task for task in tasks if provenance.short_grids(a.made, task, *a.study.optimizers)]
    return a.rows[~a.rows.task.isin(left)], a.summary[~a.summary.task.isin(left)], left


def all_figures(a: Analysis) -> dict[str, Callable[[], Figure]]:
    """Every figure of a study by file name, drawn when called."""
    curves = figures.curve_table(a.study, a.final, a.records.curves, a.made)
    return {"curves": lambda: figures.every_task(a.study, curves)} | sweep_drawings(a)


def sweep_drawings(a: Analysis) -> dict[str, Callable[[], Figure]]:
    """The figures of the tuning and the ranking by file name."""
    out: dict[str, Callable[[], Figure]] = {}
    if len(forest.compared(a.study, a.against)):
        out["forest"] = lambda: forest.forest_figure(a.study, a.against)
    points = tuning_analysis.chosen_by(a.study, a.runs, a.records.curves)
    for task in a.study.task_order(points.task):
        here = points[points.task == task]
        here = here[here.groupby("optimizer").hyper.transform("nunique") > 1]  # else no map
        shown = here.optimizer.isin(sweep_figures.tabled(a.study, here.optimizer))
        for name, part in ((task, here[shown]), (f"{task}_others", here[~shown])):
            if len(part):
                draw = partial(
                    sweep_figures.sensitivity_figure, a.study, part, a.choices, task
                )  # fmt: skip
                out[f"sensitivity_{name}"] = draw
    if len(a.points):
        budget = tuning_analysis.budget_table(a.study, a.points)
        out["tuning_budget"] = partial(sweep_figures.budget_figure, a.study, budget)
    if a.early.family.isin(a.study.families).any():
        out["tuning_steps"] = lambda: short_tuning.figure(a.study, a.early)
    rows, summary, left = from_whole_grids(a)
    field = ranking.field(a.study, rows, summary)
    if field.tasks:
        targets = a.targets[~a.targets.task.isin(left)]
        out["profiles"] = lambda: sweep_figures.profile_figure(a.study, field, targets)
        first = ranking.task_sets(a.study, field)[0]
        names = over_tasks.measured_on_all(field, first)
        if len(names) > 2 and len(first) > 1:
            out["mean_ranks"] = lambda: rank_figure(a.study, field, names, first)
    return out


def write_figures(
    drawings: dict[str, Callable[[], Figure]],
    output: Path,
    captioned: Callable[[str], str],
    empty: bool = True,
    save: Save = plotting.save,
) -> list[Path]:
    """Draws figures under ``output/figures`` as PNG and PDF with a page of all; returns the paths.

    Args:
      drawings: what draws each, by file name.
      output: folder.
      captioned: a name -> its caption.
      empty: also those in which nothing is measured.
      save: draws one.
    """
    paths, names = [], []
    for name, draw in drawings.items():
        figure = draw()
        if empty or any(axes.has_data() for axes in figure.axes):
            paths += save(figure, output / "figures" / name)
            names.append(name)
    (output / "figures").mkdir(parents=True, exist_ok=True)
    write_text(output / "figures" / "README.md", captions.index(names, captioned))
    return paths


def three_columns(local: Analysis, committed: Analysis, reading: str = HEADLINE) -> str:
    """This machine's numbers beside the committed and the published ones, as plain text.

    Args:
      local: analysis of this machine's records.
      committed: analysis of the committed records.
      reading: stopping point; the default is the headline.
    """
    columns = {"this machine": _by_cell(local, reading), "committed": _by_cell(committed, reading)}
    if local.study.published is not None:
        columns[local.study.source] = _published(local.study)
    return _text(local, columns, reading) or "no final runs on this machine yet"


def in_columns(a: Analysis, reading: str = HEADLINE) -> str:
    """The final runs' numbers as plain text, and how far each is from its task's best baseline."""
    here = a.against[(a.against.reading == reading)]
    against = {}
    for row in here.itertuples():
        metric = a.study.leading(row.task)
        if row.metric == metric.column():
            form = metric.form.replace(".", "+.")
            ends = f" [{row.low:{form}}, {row.high:{form}}]" if pd.notna(row.low) else ""
            against[row.task, row.optimizer] = f"{row.difference:{form}}{ends}"
    columns = {"mean ± std": _by_cell(a, reading), "better than the best baseline by": against}
    return _text(a, columns, reading) or "no final runs yet"


def _text(a: Analysis, columns: dict[str, dict[tuple[str, str], str]], reading: str) -> str:
    study, lines = a.study, []
    for task in study.task_order(a.final.task):
        lines += ["", f"{study.title(task)}: test {study.leading(task).with_unit}, {reading}"]
        lines.append(f"  {'optimizer':28}" + "".join(f"{name:>{_width(name)}}" for name in columns))
        measured = a.final[a.final.task == task].optimizer
        for optimizer in study.row_order([*study.optimizers, *measured]):
            row = [numbers.get((task, optimizer), "–") for numbers in columns.values()]
            lines.append(
                f"  {study.pretty(optimizer):28}"
                + "".join(
                    f"{text:>{_width(name)}}" for name, text in zip(columns, row, strict=True)
                )
            )
    return "\n".join(lines[1:])


def _width(name: str) -> int:
    return max(24, len(name) + 2)


def _published(study: Study) -> dict[tuple[str, str], str]:
    rows = [] if study.published is None else study.published.to_dict("records")
    return {(row["task"], row["optimizer"]): _with_spread(study, row) for row in rows}


def _by_cell(a: Analysis, reading: str) -> dict[tuple[str, str], str]:
    here = a.cells[a.cells.reading == reading]
    return {
        (row.task, row.optimizer): (
            f"{_with_spread(a.study, row._asdict())} (n={row.seeds})"
            f"{'†' if tables.is_reduced(row) else ''}"
        )
        for row in here.itertuples()
    }


def _with_spread(study: Study, row: dict[str, Any]) -> str:
    metric = study.leading(row["task"])
    mean, std = (row[f"{metric.column()}_{part}"] for part in ("mean", "std"))
    value = "diverged" if pd.isna(mean) else f"{mean:{metric.form}}"
    return value if pd.isna(std) else f"{value} ± {std:{metric.form}}"
