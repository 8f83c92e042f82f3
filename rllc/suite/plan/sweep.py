"""Lists of runs that the scripts ask for: tuning grids, and the cells of the paper's tables."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from rllc.suite import metrics, records
from rllc.suite.choose import screens, selection
from rllc.suite.errors import PlanError
from rllc.suite.plan import configuration
from rllc.suite.plan.configuration import Conf
from rllc.suite.plan.plan import Run
from rllc.suite.records.roles import SEEDS
from rllc.suite.study import Study

TUNING_SEEDS = (100,)
FINAL_SEEDS = (0, 1, 2)


def grid_runs(
    conf: Conf | Path,
    task: str,
    optimizer: str,
    seeds: Iterable[int],
    overrides: Sequence[str] = (),
    of_roles: Mapping[str, Any] = SEEDS,
    role: str = "tune",
) -> list[Run]:
    """Every point of the optimizer's tuning grid, with every seed.

    Args:
      conf: where configs are found.
      task: name of its config.
      optimizer: name of its config.
      seeds: of the runs.
      overrides: words as on the command line.
      of_roles: the seeds of each role.
      role: of the runs; to choose rates by, unless said otherwise.

    Raises:
      PlanError: no grid, or a run that could not be trained.
    """
    cfg = configuration.compose(conf, [f"task={task}", f"optimizer={optimizer}", *overrides])
    cfg.role = role
    grid: Any = OmegaConf.to_container(cfg.optimizer.get("grid") or {}, resolve=True)
    if not grid:
        raise PlanError(f"optimizer {optimizer} has no tuning grid")
    _check_grid(optimizer, grid, set(map(str, cfg.optimizer)))
    runs = []
    for point in itertools.product(*grid.values()):
        cfg.optimizer.update(dict(zip(grid, point, strict=True)))
        runs += [_seeded(cfg, seed, {}, of_roles) for seed in seeds]
    return runs


def _check_grid(optimizer: str, grid: Any, keys: set[str]) -> None:
    if not isinstance(grid, Mapping):
        raise PlanError(f"optimizer {optimizer}: grid={grid!r} must be a mapping")
    for name, values in grid.items():
        if name not in keys:
            raise PlanError(
                f"optimizer {optimizer}: grid.{name} is for {name!r}, which the config has not"
            )
        if not isinstance(values, list) or not values:
            raise PlanError(
                f"optimizer {optimizer}: grid.{name}={values!r} must be a list of at least one "
                "number"
            )


def best_points(runs: Iterable[Run], folder: Path, count: int) -> list[Run]:
    """The `count` best points of each grid by the selection rule, one run standing for each.

    Args:
      runs: grid runs; those without a record are passed over.
      folder: records folder.
      count: points to keep per (task, optimizer); one with a diverged run is never kept.
    """
    loaded = records.load(folder)
    value: dict[str, float] = {}  # the leading metric's best, its sign so that lower is better
    for task, its in metrics.by_task(loaded).items():
        members = loaded.runs[loaded.runs.task == task]
        best = selection.lowest_or_highest(members, loaded.curves, its[0])
        value |= dict(zip(members.run, -its[0].sign * best, strict=True))
    cells: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for run in runs:
        if run.name in value:
            *cell, point = _place(run)
            cells.setdefault((cell[0], cell[1]), {}).setdefault(point, []).append(run)

    def score(point: list[Run]) -> float:
        return float(np.mean([value[run.name] for run in point]))

    return [
        point[0]
        for points in cells.values()
        for point in sorted(points.values(), key=score)[:count]
        if np.isfinite(score(point))
    ]


def at_points(runs: Iterable[Run], points: Iterable[Run]) -> list[Run]:
    """Those of `runs` at the same task, optimizer and hyperparameters as one of `points`."""
    wanted = {_place(point) for point in points}
    return [run for run in runs if _place(run) in wanted]


def could_draw_level(screened: Sequence[Run], whole: Sequence[Run], folder: Path) -> list[Run]:
    """Those of `whole` whose points the screen dropped, but not beyond doubt (`screens`).

    Args:
      screened: the runs of the screen.
      whole: the same points and seeds, to be trained to the end.
      folder: records folder.
    """
    loaded = records.load(folder)
    names = {run.name for run in (*screened, *whole)}
    runs = selection.tidy(loaded.runs[loaded.runs.run.isin(names)])
    study = Study("screen", (), (), metrics=metrics.by_task(loaded))
    choices = selection.chosen(study, runs, loaded.curves)
    points = screens.dropped(study, runs, loaded.curves, choices)
    doubts = points[points.in_doubt.astype(bool)][[*selection.CELL, "hyper"]]
    found = set(runs.merge(doubts).run)
    return at_points(whole, [run for run in screened if run.name in found])


def _place(run: Run) -> tuple[str, str, str]:
    return run.task["name"], run.optimizer["name"], json.dumps(run.traced, sort_keys=True)


def cell_runs(
    conf: Conf | Path,
    task: str,
    optimizer: str,
    seeds: Iterable[int],
    overrides: Sequence[str] = (),
    of_roles: Mapping[str, Any] = SEEDS,
    tuned: Mapping[Any, Any] | None = None,
) -> list[Run]:
    """One cell of a table: the optimizer at its tuned hyperparameters, with every seed.

    Args:
      conf, task, optimizer, seeds, overrides, of_roles: see `grid_runs`; final seeds.
      tuned: by (task name, optimizer label); None reads the committed choices.
    """
    cfg = configuration.compose(conf, [f"task={task}", f"optimizer={optimizer}", *overrides])
    tuned = configuration.tuned_values() if tuned is None else tuned
    return [_seeded(cfg, seed, tuned, of_roles) for seed in seeds]


def experiment_runs(conf: Conf | Path, experiment: str, overrides: Sequence[str] = ()) -> list[Run]:
    """The runs of a sweep in ``conf/experiment``, as ``train.py -m experiment=…`` plans them.

    Args:
      conf: where configs are found.
      experiment: its name there.
      overrides: words as on the command line; they replace the experiment's own.

    Raises:
      PlanError: no such experiment, or a run that could not be trained.
    """
    conf = Conf.of(conf)
    conf.check_names("experiment", [experiment])
    loaded: Any = OmegaConf.load(conf.file("experiment", experiment))
    words = [f"{key}={value}" for key, value in loaded.hydra.sweeper.params.items()]
    known = configuration.tuned_values()
    return [
        configuration.run_of(configuration.compose(conf, list(job)), known)
        for job in configuration.jobs([*words, *overrides])
    ]


def _seeded(cfg: Any, seed: int, tuned: Mapping[Any, Any], of_roles: Mapping[str, Any]) -> Run:
    cfg.seed = seed
    return configuration.run_of(cfg, tuned, of_roles)
