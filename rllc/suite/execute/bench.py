"""A study from its folder to its tables: tune, choose, train the final runs, show.

A folder holds a ``study.yaml`` and, if its ``conf`` names one, a folder of configs beside ours.
Paths in either are relative to the folder, and modules in it can be imported. Records and results
are written under it, and nowhere else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from rllc.suite import metrics, plotting, records
from rllc.suite.choose import selection, wording
from rllc.suite.choose.wording import point
from rllc.suite.drawing import Save
from rllc.suite.engine.watching import NOBODY, Watcher
from rllc.suite.errors import PlanError
from rllc.suite.execute import execution, pages, session
from rllc.suite.execute.budget import clock, parse_budget
from rllc.suite.execute.estimates import Announcer
from rllc.suite.execute.execution import Options
from rllc.suite.execute.session import Cell, Session
from rllc.suite.plan import studies, sweep
from rllc.suite.plan.configuration import Conf
from rllc.suite.plan.studies import RECORDS, Entry, inside
from rllc.suite.records.roles import UNTUNED
from rllc.suite.show import aggregation, analysis
from rllc.suite.show.analysis import Analysis
from rllc.suite.study import Study, StudyError, check_local

RESULTS = Path("results")
PAGE = RESULTS / "page"


class Work(NamedTuple):
    """One (task, optimizer) of a study.

    Attributes:
      grid: its tuning grid.
      final: plans its final runs at what that chose.
      untuned: its runs at the default point, None where the study asks for none.
    """

    grid: Cell
    final: Callable[[dict[str, float]], Cell]
    untuned: Cell | None = None


def plan(
    conf: Conf, study: Study, tasks: Sequence[str], entries: Sequence[Entry], words: Sequence[str]
) -> list[Work]:
    """Everything a study trains, checked, in the order of worth: its baselines first on each task.

    Args:
      conf: where configs are found.
      study: what is compared.
      tasks: names of the tasks' configs.
      entries: of the optimizers, in the order of the study's labels.
      words: overrides for every run.

    Raises:
      PlanError: anything that could not be trained.
    """
    if odd := studies.others(words, ("protocol", "optimizer.", "task.")):
        raise PlanError(
            f"{odd[0]!r} is nothing that a study takes from its caller, who may say protocol, "
            "protocol.KEY, optimizer.KEY, task.KEY and schedules; the rest is in study.yaml"
        )
    words = [*(f"protocol.{key}={value}" for key, value in study.protocol.items()), *words]
    cells = [(task, entry) for task in tasks for entry in entries]
    works = [
        _work(conf, study, task, entry.name, [*words, *entry.words])
        for task, entry in tqdm(cells, desc="planning", unit=" cells", delay=2.0)
    ]
    _check_apart(works)
    return works


def _check_apart(works: Sequence[Work]) -> None:
    """Refuses cells of one run: what trains first would be recorded, and pass for the other's."""
    cells: dict[str, Cell] = {}
    for run, cell in ((run, work.grid) for work in works for run in work.grid.runs):
        other = cells.setdefault(run.name, cell)
        if other is not cell:
            raise PlanError(
                f"{other.optimizer} and {cell.optimizer} would be the same run on {cell.task}: a "
                "run's name comes from id, or from _target_ where there is none, and the "
                "arguments; give the config of one of them an id of its own"
            )


def _work(conf: Conf, study: Study, task: str, name: str, words: Sequence[str]) -> Work:
    runs = sweep.grid_runs(conf, task, name, study.seeds["tune"], words, study.seeds)
    task_name, label = str(runs[0].task["name"]), str(runs[0].optimizer["name"])

    def final(chosen: dict[str, float]) -> Cell:
        at = [*words, *(f"optimizer.{key}={value!r}" for key, value in chosen.items())]
        seeds = study.seeds["final"]
        return Cell(task_name, label, sweep.cell_runs(conf, task, name, seeds, at, study.seeds))

    seeds = study.seeds.get(UNTUNED, ())
    at = [*words, f"role={UNTUNED}"]
    others = sweep.cell_runs(conf, task, name, seeds, at, study.seeds, {}) if seeds else []
    untuned = Cell(task_name, label, others) if others else None
    return Work(Cell(task_name, label, runs), final, untuned)


def run(
    folder: Path,
    conf: Path,
    seconds: float | None = None,
    words: Sequence[str] = (),
    progress: bool = True,
    say: Callable[[str], None] = print,
    yes: bool = True,
    data_folder: str | None = None,
) -> Analysis | None:
    """Trains what is missing of a study within a budget, and writes its results.

    Args:
      folder: with ``study.yaml``.
      conf: the suite's configs.
      seconds: the budget; None is the study's own.
      words: overrides for every run, such as ``protocol.steps=1000``.
      progress: show bars.
      say: where lines for people go.
      yes: begin a long study without a question.
      data_folder: cache of the data sets; None takes the usual one.

    Returns:
      What the records of the study say; None while nothing is recorded.

    Raises:
      StudyError, PlanError, RecordsError, DataError: one line for the user, before any training.
    """
    check_local(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder} is no folder; a study is one with a study.yaml")
    folder = folder.resolve()
    with inside(folder):
        study, works = _planned(folder, conf, words)
        recorded = records.load(RECORDS).runs
        check_roles(study, recorded)
        options = Options(folder=RECORDS, progress=progress, yes=yes, data_folder=data_folder)
        session.checked([cell for w in works for cell in (w.grid, w.untuned) if cell], options)
        for work in works:  # whether each has the metric that is to lead
            study.led(work.grid.task, execution.make_task(work.grid.runs[0]).metrics)
        if seconds is None:
            seconds = parse_budget(study.budget or "all")
        say(_outline(study, works, options, seconds))
        if note := _left_over(study, recorded):
            say(note)
        spent = Session(seconds, options, say, _announced(works, options, seconds, say))
        try:
            trained = [_train(work, study, spent) for work in works]
        finally:
            found = _write(study, works, options.folder, say)
        say(_closing(all(trained), folder))
        return found


def check_roles(study: Study, runs: pd.DataFrame) -> None:
    """Refuses seeds that are recorded in another role: a run is recorded once, and has one.

    Args:
      study: whose seeds.
      runs: the recorded ones.

    Raises:
      StudyError: it names a seed and both roles.
    """
    for role, seeds in study.seeds.items():
        wrong = runs[runs.seed.isin(seeds) & (runs.role != role)]
        for run in wrong.head(1).itertuples():
            raise StudyError(
                f"seed {run.seed} is to serve {role} runs, but {RECORDS} has {run.role} runs of "
                f"it, such as {run.optimizer} on {run.task}; name other {role} seeds, or move the "
                "records away"
            )


def _planned(folder: Path, conf: Path, words: Sequence[str]) -> tuple[Study, list[Work]]:
    given = studies.read(folder / "study.yaml")
    where = studies.configs(conf, given)
    study, tasks, entries = studies.resolved(where, given)
    return study, plan(where, study, tasks, entries, words)


def report(folder: Path, conf: Path, output: Path | None = None) -> Path:
    """Writes the page of a study from its records, without training; returns the path to open.

    Args:
      folder: with ``study.yaml`` and ``records``.
      conf: the suite's configs.
      output: folder of the page; None is ``results/page`` in `folder`.

    Raises:
      StudyError, PlanError, RecordsError: one line for the user.
    """
    folder, output = folder.resolve(), (output or folder / PAGE).resolve()
    with inside(_with_study(folder)):
        study, works = _planned(folder, conf, ())
        loaded = _recorded(folder)
        found = analysis.analyse(study, loaded, defaults=_defaults(works))
        return pages.write(found, folder, output)


def rebuild(folder: Path, conf: Path, save: Save = plotting.save) -> tuple[Analysis, list[Path]]:
    """Writes the tables and figures of a study from its records, without training.

    Args:
      folder: with ``study.yaml`` and ``records``.
      conf: the suite's configs.
      save: draws a figure.

    Returns:
      What the records say, and the files of the figures.

    Raises:
      StudyError, PlanError, RecordsError: one line for the user.
    """
    folder, conf = folder.resolve(), conf.resolve()
    with inside(_with_study(folder)):
        study, works = _planned(folder, conf, ())
        output, loaded = folder / RESULTS, _recorded(folder)
        found = analysis.analyse(study, loaded, defaults=_defaults(works))
        aggregation.write_tables(found, output)
        selection.write_choices(found.choices, output / "tuning" / "choices.csv")
        return found, aggregation.write_study_figures(found, output, save)


def _with_study(folder: Path) -> Path:
    if not (folder / "study.yaml").is_file():
        raise StudyError(f"{folder} holds no study.yaml")
    return folder


def _recorded(folder: Path) -> records.Records:
    loaded = records.load(folder / RECORDS)  # also after leaving the folder
    if loaded.runs.empty:
        raise records.RecordsError(f"no records in {folder / RECORDS}; bench.py makes them")
    return loaded


def _defaults(works: list[Work]) -> dict[tuple[str, str], str]:
    return {
        (work.grid.task, work.grid.optimizer): selection.variant_of(work.grid.runs[0])
        for work in works
    }


def _outline(study: Study, works: list[Work], options: Options, seconds: float) -> str:
    known = records.finished(options.folder)
    runs = [run for work in works for run in work.grid.runs]
    finals = len(works) * study.final_seeds
    there = sum(run.name in known for run in runs)
    return (
        f"{study.name}: {len(works)} cells; {len(runs)} tuning runs ({there} recorded), then "
        f"{finals} final runs at what they choose, {study.steps:,} steps each; "
        f"budget {clock(seconds)}"
    )


def _left_over(study: Study, runs: pd.DataFrame) -> str:
    """Which recorded seeds the study no longer names; empty if none."""
    others = {
        role: sorted(set(runs[runs.role == role].seed) - set(seeds))
        for role, seeds in study.seeds.items()
    }
    told = [
        f"{role} seed {', '.join(map(str, numbers))}" for role, numbers in others.items() if numbers
    ]
    if not told:
        return ""
    return f"recorded and counted as before, though no longer in study.yaml: {'; '.join(told)}"


def _announced(
    works: list[Work], options: Options, seconds: float, say: Callable[[str], None]
) -> Watcher:
    """Says how long tuning takes where no budget limits it, and asks if that is long.

    Raises:
      KeyboardInterrupt: the user does not want it.
    """
    if seconds < float("inf"):
        return NOBODY
    groups = [group for work in works for group in execution.prepare(work.grid.runs, options)]
    announcer = Announcer(groups, options, lambda text: say(f"tuning: {text}"))
    if not announcer.before():
        raise KeyboardInterrupt
    return announcer


def _train(work: Work, study: Study, spent: Session) -> bool:
    """Tunes a cell, says what was chosen, and trains its final runs; whether all are recorded."""
    if not spent.train(work.grid, "tune "):
        return False
    loaded = records.load(spent.options.folder)
    judged = study.with_metrics(metrics.by_task(loaded))
    choice = choose(work.grid, judged, loaded)
    spent.say(in_words(choice, work.grid, judged))
    done = choice is not None and spent.train(
        work.final(selection.hyper_of(choice.hyper)), "final "
    )
    return done and (work.untuned is None or spent.train(work.untuned, "untuned "))


def choose(cell: Cell, study: Study, loaded: Any) -> Any:
    """The chosen point of a trained grid, a row of `selection.choose`; None if all diverged.

    Args:
      cell: the grid's runs.
      study: with the metrics of the recorded tasks.
      loaded: from `records.load`.
    """
    names = {run.name for run in cell.runs}
    runs = selection.tidy(loaded.runs[loaded.runs.run.isin(names)])
    choices = selection.chosen(study, runs, loaded.curves)
    return None if choices.empty else choices.iloc[0]


def in_words(choice: Any, cell: Cell, study: Study) -> str:
    """What tuning chose, how far ahead it is, and whether a wider grid might do better."""
    where = f"{study.title(cell.task)} · {study.pretty(cell.optimizer)}"
    if choice is None:
        return f"{where}: every point of the grid diverged; nothing is chosen"
    metric = study.leading(cell.task)
    best = f"validation {metric.in_words} {metric.text(choice.value)}"
    text = f"{where}: chose {point(choice.hyper)} ({best}, of {choice.grid_points} points"
    if choice.runner_up_hyper:
        text += f"; next {point(choice.runner_up_hyper)}: {metric.text(choice.runner_up_value)}"
    warning = wording.edge_warning(choice)
    return f"{text}){'; ' if warning else ''}{warning}"


def _write(
    study: Study, works: list[Work], folder: Path, say: Callable[[str], None]
) -> Analysis | None:
    """Tables, figures and page of what is recorded, and a short form for the terminal."""
    loaded = records.load(folder)
    if loaded.runs.empty:
        return None
    found = aggregation.write(loaded, study, RESULTS, _defaults(works))
    selection.write_choices(found.choices, RESULTS / "tuning" / "choices.csv")
    say(aggregation.in_columns(found))
    pages.write(found, Path.cwd(), PAGE)
    return found


def _closing(finished: bool, folder: Path) -> str:
    what = "complete" if finished else "not complete: the same command goes on where it stopped"
    return f"{what}; tables and figures in {folder / RESULTS}; page: {folder / PAGE / 'index.html'}"
