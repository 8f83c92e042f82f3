"""How each cell was made, and what of it falls short of the study's protocol."""

import json
from collections.abc import Collection
from typing import Any

import pandas as pd

from rllc.suite.choose.selection import CELL, FIRST
from rllc.suite.markdown import MISSING
from rllc.suite.records.roles import SEEDS
from rllc.suite.study import Study
from rllc.suite.table import Column, Table, csv_only, optimizer_column, task_column
from rllc.suite.templates import render

FULL = "full"
NO_TUNING = "no tuning records"
# A screen of the whole grid that tells the best rates as well as full runs of every point do, on
# the grids where both are known, the MLPs' (results/tables/tuning_steps.csv): its steps, and the
# best points that are trained to the end. It has to pass the check of `screens`, too.
SCREEN_STEPS, SCREEN_KEPT = 3_000, 3


def provenance_table(study: Study) -> Table:
    """The columns of `provenance` for a study."""
    wanted = wanted_points(study)

    def points(row: Any) -> str:
        whole = getattr(row, wanted)
        return f"{row.grid_points} of {whole}" if whole else f"{row.grid_points}"

    return Table((
        Column("task"), optimizer_column(study), task_column(study)._replace(name=""),
        Column("family"), Column("device", "device"), Column("seeds", "seeds"),
        Column("diverged", "diverged"), Column("steps", "steps"),
        Column("hyper", "learning rate", lambda row: _rates(row.hyper)[0]),
        Column("", "other rates", lambda row: _rates(row.hyper)[1]),
        Column("grid_points", "grid points", points), Column(wanted),
        Column("tuning_seeds", "tuning seeds"), Column("grid_seeds"),
        Column("tuning_steps", "tuning steps"),
        *csv_only("screened_points", "screened_steps", "in_doubt"),
        Column("edges", "edge of the grid"), Column("settings", "settings"),
        Column("training", "training"), *csv_only("grid", "short_grid"), Column("tuning", "tuning"),
    ))  # fmt: skip


def provenance(
    study: Study,
    final: pd.DataFrame,
    choices: pd.DataFrame,
    doubtful: Collection[tuple[str, str]] = (),
) -> pd.DataFrame:
    """How each measured cell was made, one row per cell.

    Args:
      study: whose protocol.
      final: from `readings.final_runs`.
      choices: from `selection.choose`.
      doubtful: cells (task, optimizer) whose screen may have dropped the best point (`screens`).

    Returns:
      task, optimizer, family, device, seeds, diverged, steps, rates, grid_points,
      <source>_grid_points (of a whole grid; 0 where that is not known), tuning_seeds (of the
      chosen point), grid_seeds (of every point), tuning_steps, screened_points and screened_steps
      (of shorter runs that chose which points to train that long), in_doubt (from `doubtful`),
      edges, settings (whether they are today's defaults), short_grid (whether the best rates
      may have been missed: the grid is neither whole nor screened whole, or the screen is in
      doubt), and ``training``,
      ``grid`` (its points and their steps) and ``tuning`` (grid and its seeds):
      `FULL`, or what falls short of the study's protocol.
    """
    keyed = {(row["task"], row["optimizer"]): row for row in choices.to_dict("records")}
    rows = [
        {
            **dict(zip(CELL, cell, strict=True)),
            **_made(study, members, keyed.get(cell, {}), cell in doubtful),
        }
        for cell, members in final.groupby(CELL, sort=True)
    ]
    return pd.DataFrame(rows, columns=provenance_table(study).names)


def wanted_points(study: Study) -> str:
    """Name of the column with the points of a whole grid."""
    return f"{study.source}_grid_points"


def full_cells(made: pd.DataFrame) -> set[tuple[str, str]]:
    """(task, optimizer) of the cells trained at the study's full protocol."""
    full = made[made.training == FULL] if len(made) else made
    return {(row.task, row.optimizer) for row in full.itertuples()}


def _made(
    study: Study, runs: pd.DataFrame, choice: dict[str, Any], in_doubt: bool
) -> dict[str, Any]:
    first = runs.iloc[0]
    made = {
        "family": first.family,
        "device": " + ".join(sorted(set(runs.device))),
        "seeds": runs.seed.nunique(),
        "diverged": int((runs.status == "diverged").sum()),
        "steps": int(first.steps),
        "hyper": first.hyper,
        "grid_points": _count(choice.get("grid_points")),
        wanted_points(study): study.grid_points.get(first.family, 0),
        "tuning_seeds": _count(choice.get("seeds")),
        "grid_seeds": _count(choice.get("grid_seeds")),
        "tuning_steps": _count(choice.get("steps")),
        "screened_points": _count(choice.get("screened_points")),
        "screened_steps": _count(choice.get("screened_steps")),
        "in_doubt": in_doubt,
        "edges": _text(choice.get("edges")),
        "settings": "default" if first.is_default else "not today's default",
    }
    training = _training(study, made, json.loads(first.variant))
    grid = _grid(study, made)
    short = grid not in (FULL, NO_TUNING) and not _screened_whole(study, made)
    return {
        **made, "training": training, "grid": grid, "short_grid": short,
        "tuning": _tuning(study, made),
    }  # fmt: skip


def _count(value: Any) -> int:
    return 0 if value is None or pd.isna(value) else int(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _training(study: Study, made: dict[str, Any], variant: dict[str, Any]) -> str:
    short = [
        (variant.get("data") == "synthetic", "synthetic data"),
        (made["steps"] < study.steps, f"{made['steps']} of {study.steps} steps"),
        (made["seeds"] < study.final_seeds, f"{made['seeds']} of {study.final_seeds} seeds"),
        (
            variant.get("batch_size", study.batch_size) != study.batch_size,
            "other batch size",
        ),
    ]
    return "; ".join(text for fails, text in short if fails) or FULL


def _grid(study: Study, made: dict[str, Any]) -> str:
    if not made["grid_points"]:
        return NO_TUNING
    points, screened = made["grid_points"], made["screened_points"]
    if _screened_whole(study, made):
        return f"whole grid for {made['screened_steps']} steps, its best points to the end"
    wanted = made[wanted_points(study)] or screened
    kept = f", kept of {screened} after {made['screened_steps']} steps" if screened else ""
    short = [
        (points < wanted or screened, f"{points} of {wanted} grid points{kept}"),
        (made["tuning_steps"] < study.steps, f"{made['tuning_steps']} of {study.steps} steps"),
    ]
    return "; ".join(text for fails, text in short if fails) or FULL


def _screened_whole(study: Study, made: dict[str, Any]) -> bool:
    wanted = made[wanted_points(study)] or made["screened_points"]
    return (
        made["screened_points"] >= max(wanted, 1)
        and made["screened_steps"] >= SCREEN_STEPS
        and made["grid_points"] >= SCREEN_KEPT
        and made["tuning_steps"] >= study.steps
        and not made["in_doubt"]
    )


def _tuning(study: Study, made: dict[str, Any]) -> str:
    grid, seeds = _grid(study, made), _tuning_seeds(study, made)
    if not made["grid_points"] or made["grid_seeds"] >= study.tuning_seeds:
        return grid
    return seeds if grid == FULL else f"{grid}; {seeds}"


def _tuning_seeds(study: Study, made: dict[str, Any]) -> str:
    text = f"{made['grid_seeds']} of {study.tuning_seeds} seeds"
    more = made["tuning_seeds"]
    return (
        text if more <= made["grid_seeds"] else f"{text} per point ({more} at the leading points)"
    )


def unused(runs: pd.DataFrame, final: pd.DataFrame) -> pd.DataFrame:
    """Final runs that the tables do not show, and why: nothing is dropped silently.

    Args:
      runs: all tidy runs.
      final: from `readings.final_runs`.

    Returns:
      task, optimizer, reason, runs (their number).
    """
    left = runs[(runs.role == "final") & ~runs.run.isin(set(final.run))]
    variants = {(row.task, row.optimizer): row.variant for row in final.itertuples()}
    steps = {(row.task, row.optimizer): row.steps for row in final.itertuples()}
    reasons = []
    for row in left.itertuples():
        cell = (row.task, row.optimizer)
        if variants.get(cell, row.variant) != row.variant:
            reasons.append("other settings than the default")
        elif row.steps < steps.get(cell, 0):
            reasons.append("fewer steps than the runs shown")
        else:
            reasons.append("other rates than those chosen")
    table = left.assign(reason=reasons).groupby([*CELL, "reason"], sort=True).size()
    return table.rename("runs").reset_index()


def short_grids(made: pd.DataFrame, task: str, *optimizers: str) -> list[str]:
    """How the grids fall short that may have missed any of the cells' best rates.

    Args:
      made: from `provenance`.
      task: name.
      *optimizers: labels.
    """
    cells = made[(made.task == task) & made.optimizer.isin(optimizers)]
    return sorted(set(cells.grid[cells.short_grid.astype(bool)]))


def page(study: Study, made: pd.DataFrame, left: pd.DataFrame) -> str:
    """How each cell was made, and which final runs are not shown, in Markdown.

    Args:
      study: whose names.
      made: from `provenance`, in the order of the tables.
      left: from `unused`.
    """
    unused_runs = Table((
        optimizer_column(study), task_column(study), Column("reason", "reason"),
        Column("runs", "runs"),
    ))  # fmt: skip
    return render(
        __file__, "provenance.md", made=provenance_table(study).to_markdown(made),
        source=study.source, seeds=_seeds(study), tables=_tables(study),
        unused=unused_runs.to_markdown(left) if len(left) else "None.",
    )  # fmt: skip


def _seeds(study: Study) -> str:
    """The tuning seeds in words: those of the role, if the study has no others."""
    usual = SEEDS["tune"]
    if set(study.seeds["tune"]) <= set(usual):
        return f"{usual.start} to {usual.stop - 1}"
    return ", ".join(map(str, study.seeds["tune"]))


def _tables(study: Study) -> str:
    """The tables' titles; a word that both begin with is said once.

    >>> _tables(Study("a", (), (), tables=("Table 1", "Table 2")))
    'Tables 1 and 2'
    """
    first, second = study.tables
    word, _, number = first.partition(" ")
    if number and second.startswith(f"{word} "):
        return f"{word}s {number} and {second.removeprefix(f'{word} ')}"
    return f"{first} and {second}"


def _rates(hyper: str) -> tuple[str, str]:
    """The learning rate, and what else is tuned, by name."""
    values = json.loads(hyper)
    first = values.pop(FIRST, None)
    others = ", ".join(f"{name} = {x:g}" for name, x in values.items())
    return MISSING if first is None else f"{first:g}", others or MISSING
