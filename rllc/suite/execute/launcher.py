"""Hydra launcher that trains the jobs of a multirun as few programs.

Hydra hands over every job of a ``-m`` sweep at once. Jobs that differ only in traced numbers
and seeds become one group; a group runs in this process, or through submitit (`submission`) in a
process of its own (``executor: local``) or on a cluster (``executor: slurm``). A job whose
configuration is wrong, or whose group fails, does not keep the others from finishing.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from rllc.suite import metrics, records
from rllc.suite.choose import selection
from rllc.suite.engine import joining, processes
from rllc.suite.errors import PlanError
from rllc.suite.execute import estimates, execution, submission, told
from rllc.suite.execute.execution import Options, Outcome
from rllc.suite.plan import configuration
from rllc.suite.plan.plan import Run
from rllc.suite.records import RecordsError
from rllc.suite.study import Study


class GroupedLauncher(Launcher):
    """Groups the jobs of a multirun; see the module's docstring.

    Attributes:
      executor: ``inline``, ``local`` or ``slurm``.
      submitit: parameters of ``submitit.AutoExecutor``; ``folder`` takes its logs.
      at_once: most groups handed over and not yet done; None for all.
    """

    def __init__(self, executor: str = "inline", submitit: Any = None, at_once: int | None = None):
        if executor not in ("inline", "local", "slurm"):
            raise PlanError(f"hydra.launcher.executor={executor!r} must be inline, local or slurm")
        if at_once is not None and (not isinstance(at_once, int) or at_once < 1):
            raise PlanError(f"hydra.launcher.at_once={at_once!r} must be null or at least 1")
        self.executor, self.at_once = executor, at_once
        plain: Any = OmegaConf.to_container(OmegaConf.create(submitit or {}))
        self.submitit: dict[str, Any] = plain
        self.config: DictConfig
        self.context: HydraContext

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's hand-over; the task function is not used, since groups train as one."""
        del task_function
        self.config, self.context = config, hydra_context
        _compose_once(hydra_context.config_loader)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Trains all jobs and reports each one's outcome."""
        del initial_job_idx
        try:
            return self._launch(job_overrides)
        except (PlanError, RecordsError) as error:
            sys.exit(f"error: {error}")

    def _launch(self, job_overrides: Sequence[Sequence[str]]) -> "list[_Job]":
        self._join()
        jobs = [self._job(list(overrides)) for overrides in job_overrides]
        good = [(job, job.run) for job in jobs if job.run is not None]
        if good:
            options = execution.options_of(self.config)
            if note := configuration.untuned_note([job.cfg for job, _ in good if job.cfg]):
                print(note, file=sys.stderr)
            errors = self._train([run for _, run in good], options)
            names = [run.name for _, run in good]
            plain = self._sweeps_plainly()
            values = {} if plain else processes.by_first(lambda: _values(names, options))
            for job, run in good:
                job.finish(run.name, errors.get(run.name), values.get(run.name, math.nan))
        failed = [job for job in jobs if job.status == JobStatus.FAILED]
        for text in _failures(failed):
            print(f"failed: {text}", file=sys.stderr)
        for text in dict.fromkeys(execution.in_words(job.error) for job in failed if job.error):
            if "\n" in text:  # not an error of ours: its traceback, once
                print(text, file=sys.stderr)
        if failed:  # a plain end instead of Hydra's traceback of the first failure
            sys.exit(f"error: {len(failed)} of {len(jobs)} jobs failed; the others are recorded")
        return jobs

    def _join(self) -> None:
        """Meets the processes that train with this one, if there are any."""
        among = execution.options_of(self.config).among
        if among != joining.ALONE and self.executor != "inline":
            raise PlanError(
                f"hydra.launcher.executor={self.executor} starts processes of its own, which train "
                "groups of their own: devices.processes needs executor=inline"
            )
        joining.join(among)

    def _sweeps_plainly(self) -> bool:
        """Whether Hydra's own sweeper asked, which looks at no results."""
        return "BasicSweeper" in str(OmegaConf.select(self.config, "hydra.sweeper._target_"))

    def _job(self, overrides: list[str]) -> "_Job":
        cfg = None
        try:
            cfg = self.context.config_loader.load_sweep_config(self.config, overrides)
            return _Job(overrides, cfg, configuration.run_of(cfg))
        except Exception as error:
            return _Job(overrides, cfg, error)

    def _train(self, runs: list[Run], options: Options) -> dict[str, BaseException]:
        runs, refused = _checked(runs, options)
        groups = execution.prepare(runs, options) if runs else []
        done = len({run.name for run in runs}) - sum(len(group) for group in groups)
        print(
            f"{len(runs)} jobs: {done} already recorded or repeated, "
            f"{sum(map(len, groups))} to train as {len(groups)} programs"
        )
        outcomes = self._execute(groups, options)
        if processes.leads():
            if table := told.numbers(outcomes, options.folder):
                print(table)
            if note := execution.diverged_note(outcomes):
                print(note, file=sys.stderr)
        failed = {run.name: o.error for o in outcomes if o.error for run in o.runs}
        return {**refused, **failed}

    def _execute(self, groups: list[list[Run]], options: Options) -> list[Outcome]:
        announcer = estimates.Announcer(groups, options, here=self.executor == "inline")
        if not announcer.before():
            raise KeyboardInterrupt
        if self.executor == "inline":
            return execution.execute(groups, options, announcer)
        return submission.submit(groups, options, self.executor, self.submitit, self.at_once)


def _compose_once(loader: Any) -> None:
    """Makes a config loader keep what it composed: Hydra's sweeper composes every job to check it,
    and the launcher would once more (0.4 s a job)."""
    compose = loader.load_sweep_config
    kept: dict[tuple[str, ...], DictConfig] = {}

    def load_sweep_config(master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        words = tuple(sweep_overrides)
        if words not in kept:
            kept[words] = compose(master_config, list(words))
        return kept[words]

    loader.load_sweep_config = load_sweep_config


class _Job(JobReturn):
    """Hydra's record of a job, with the run it stands for, or why there is none.

    The return value is a number to minimise, for sweepers that search.
    """

    def __init__(self, words: list[str], cfg: DictConfig | None, planned: Run | Exception):
        super().__init__(overrides=words, cfg=cfg, working_dir=".", task_name="train")
        self.words = words
        self.run = None if isinstance(planned, Exception) else planned
        self.error: BaseException | None = None
        if isinstance(planned, Exception):
            self.finish("", planned)

    def finish(self, name: str, error: BaseException | None, value: float = math.nan) -> None:
        """Notes the run's name and success, with the value of `_values`, or failure."""
        self.name = name
        self.error = error
        self.status = JobStatus.FAILED if error else JobStatus.COMPLETED
        self.return_value = error or value


def _failures(jobs: "Sequence[_Job]") -> list[str]:
    """A line for each error: the job it befell, and how many more of its group."""
    by_error: dict[int, list[_Job]] = {}
    for job in jobs:
        by_error.setdefault(id(job.error), []).append(job)
    return [
        " ".join(first.words) + (f" and {len(more)} more" if more else "") + f": {first.error}"
        for first, *more in by_error.values()
    ]


def _values(names: Sequence[str], options: Options) -> dict[str, float]:
    """Best validation value of each run along its curve, so that less is better, as sweepers take
    it: of the loss of its task (`Study.loss`), infinite if it diverged."""
    loaded = records.load(options.folder)
    runs = loaded.runs[loaded.runs.run.isin(set(names))]
    study = Study("sweep", (), (), metrics=metrics.by_task(loaded))
    found: dict[str, float] = {}
    for task, members in runs.groupby("task"):
        metric = study.loss(str(task))
        best = selection.lowest_or_highest(members, loaded.curves, metric) * -metric.sign
        found |= dict(zip(members.run, best.astype(float), strict=True))
    return found


def _checked(runs: list[Run], options: Options) -> tuple[list[Run], dict[str, BaseException]]:
    """Separates runs whose optimizer or task refuses its configuration, one check a group."""
    refused: dict[str, BaseException] = {}
    for run in {run.group: run for run in runs}.values():
        try:
            execution.prepare([run], options)
        except PlanError as error:
            refused |= {other.name: error for other in runs if other.group == run.group}
    return [run for run in runs if run.name not in refused], refused
