"""A benchmark as one value: what is compared on what, at which protocol, and how it is shown.

A study carries a benchmark through the suite. A paper that is replicated is one (with its published
numbers); a user's is a ``study.yaml`` (see `read`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from rllc.suite import looks
from rllc.suite.metrics import CLASSIFICATION, Metric

ROLES = ("tune", "final", "untuned")
KEYS = (
    "name", "tasks", "optimizers", "baselines", "protocol", "seeds", "titles", "leading", "styles",
    "budget", "conf",
)  # fmt: skip


class Titles(dict[str, str]):
    """Names for people, where one is given; a study with them can go to another process."""

    def __call__(self, name: str) -> str:
        """The title of a name, or the name."""
        return str(self.get(name, name))

    def tex(self, name: str) -> str:
        """The title in LaTeX."""
        return tex(self(name))


class StudyError(ValueError):
    """A study that cannot be used; the message is one line for the user."""


def plain(name: str) -> str:
    """A name as it is."""
    return name


def tex(name: str) -> str:
    r"""A name in LaTeX.

    >>> tex("schedule_free")
    'schedule\\_free'
    """
    return name.replace("_", r"\_")


def in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """`names` without repeats: those of `known` first, in its order, then the rest by alphabet."""
    names, known = set(names), list(known)
    return [name for name in known if name in names] + sorted(names - set(known))


class Study(NamedTuple):
    """A benchmark.

    Attributes:
      name: of the study.
      tasks: names, in the order of the columns.
      optimizers: labels, in the order of the rows, baselines first. Others that are in the records
        are shown, too, behind these.
      baselines: labels; the best of them is what the others are held against. Without any, the
        best other optimizer is.
      protocol: ``steps`` and ``batch_size`` of a full run.
      seeds: of each role of `ROLES`; without ``untuned`` there are no such runs.
      grid_points: points of a whole tuning grid, by family; families not named have the most.
      families: family -> its name for people, of those that are spoken of as one.
      title: a task's name for people.
      pretty: an optimizer's label in Unicode.
      latex: an optimizer's label in LaTeX (also matplotlib's mathtext).
      hyper_titles: hyperparameter -> its name for people, where it has another there.
      styles: label -> colour and line style, "" for one of the suite's; others take turns.
      published: numbers to stand beside ours, None without any: optimizer, task, and
        ``test_<metric>_mean`` and ``_std``, as shown.
      source: one word for where the protocol and the published numbers come from; columns with them
        are named by it.
      tables: titles of the table of all metrics and of the one of the leading metric.
      tolerance: distance from a published number within which ours agrees with it at least.
      metrics: metrics by task, the leading one first. What the records say holds for tasks not
        named.
      leads: task -> name of the metric that is to lead, where it is not the task's first.
      budget: what a run of the study may cost, such as ``2h``; "" without limit.
      conf: folder of further configs, None without.
    """

    name: str
    tasks: tuple[str, ...]
    optimizers: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    protocol: Mapping[str, Any] = {"steps": 10_000, "batch_size": 128}
    seeds: Mapping[str, tuple[int, ...]] = {"tune": (100,), "final": (0, 1, 2)}
    grid_points: Mapping[str, int] = {}
    families: Mapping[str, str] = {}
    title: Callable[[str], str] = plain
    pretty: Callable[[str], str] = plain
    latex: Callable[[str], str] = tex
    hyper_titles: Mapping[str, str] = {}
    styles: Mapping[str, tuple[str, str]] = {}
    published: pd.DataFrame | None = None
    source: str = "study"
    tables: tuple[str, str] = ("Metrics", "Results")
    tolerance: float = 0.0
    metrics: Mapping[str, tuple[Metric, ...]] = {}
    leads: Mapping[str, str] = {}
    budget: str = ""
    conf: Path | None = None

    @property
    def steps(self) -> int:
        """Steps of a full run."""
        steps: int = self.protocol["steps"]
        return steps

    @property
    def batch_size(self) -> int:
        """Examples per step."""
        batch_size: int = self.protocol["batch_size"]
        return batch_size

    @property
    def final_seeds(self) -> int:
        """Runs behind each mean."""
        return len(self.seeds["final"])

    @property
    def tuning_seeds(self) -> int:
        """Runs behind each point of a tuning grid."""
        return len(self.seeds["tune"])

    @property
    def files(self) -> tuple[str, str]:
        """File names of the `tables`, without suffix."""
        first, second = (title.lower().replace(" ", "") for title in self.tables)
        return first, second

    def task_order(self, names: Iterable[str]) -> list[str]:
        """Task names without repeats: the study's in its order, then the rest by alphabet."""
        return in_order(names, self.tasks)

    def row_order(self, labels: Iterable[str]) -> list[str]:
        """Labels without repeats: the study's in its order, then the rest by alphabet."""
        return in_order(labels, self.optimizers)

    def titles(self, tasks: Iterable[str]) -> str:
        """Tasks for people, separated by commas."""
        return ", ".join(self.title(task) for task in tasks)

    def with_metrics(self, recorded: Mapping[str, tuple[Metric, ...]]) -> "Study":
        """The study with the metrics of recorded tasks, each in the order the study wants.

        Raises:
          StudyError: a metric is to lead that its task has not.
        """
        found = {**recorded, **self.metrics}
        return self._replace(metrics={task: self.led(task, its) for task, its in found.items()})

    def led(self, task: str, metrics: Sequence[Any]) -> tuple[Any, ...]:
        """A task's metrics, that of `leads` first.

        Raises:
          StudyError: they have no such metric.
        """
        wanted = self.leads.get(task)
        if wanted is None:
            return tuple(metrics)
        _check_key(wanted, [metric.name for metric in metrics], f"leading.{task}", "metric")
        return tuple(sorted(metrics, key=lambda metric: metric.name != wanted))

    def all_metrics(self, task: str) -> tuple[Metric, ...]:
        """Metrics of a task, the leading one first."""
        return self.metrics.get(task, CLASSIFICATION)

    def leading(self, task: str) -> Metric:
        """The metric that chooses, ranks and is compared on a task."""
        return self.all_metrics(task)[0]

    def loss(self, task: str) -> Metric:
        """The first metric of a task that is minimised; the leading one where there is none."""
        every = self.all_metrics(task)
        return next((metric for metric in every if metric.lower), every[0])

    def of_column(self, task: str, column: str) -> Metric | None:
        """The metric of a task in a column such as ``test_accuracy``; None where it has none."""
        name = column.partition("_")[2]
        return next((metric for metric in self.all_metrics(task) if metric.name == name), None)

    def union(self, tasks: Iterable[str]) -> tuple[Metric, ...]:
        """Metrics of some tasks, by name: leading ones first.

        Tasks whose metrics are not known, since they have no records, count if no other is known.
        """
        tasks = self.task_order(tasks) or list(self.tasks)
        tasks = [task for task in tasks if task in self.metrics] or tasks
        places = max(len(self.all_metrics(task)) for task in tasks)
        every = [
            self.all_metrics(task)[place]
            for place in range(places)
            for task in tasks
            if place < len(self.all_metrics(task))
        ]
        first: dict[str, Metric] = {}
        for metric in every:
            first.setdefault(metric.name, metric)
        return tuple(first.values())

    def by_leading(self, table: pd.DataFrame) -> Iterator[tuple[Metric, pd.DataFrame]]:
        """Rows of a table with a column ``task``, split by the tasks' leading metric."""
        leading = {task: self.leading(task) for task in self.task_order(table.task)}
        for metric in dict.fromkeys(leading.values()):
            tasks = [task for task, its in leading.items() if its == metric]
            yield metric, table[table.task.isin(tasks)]

    @property
    def is_fine(self) -> bool:
        """Whether numbers may be of any size, so that they are written with significant digits."""
        return any(not metric.form.endswith("f") for metric in self.union(self.metrics))

    def saved(self, tasks: Iterable[str]) -> str:
        """What the score of `ranking` counts: fewer errors where all metrics are percentages."""
        leading = {self.leading(task) for task in tasks}
        return "fewer errors" if all(m.unit == "%" for m in leading) else "better"


def read(path: str | Path) -> Study:
    """Reads a ``study.yaml``.

    Its keys are `KEYS`; tasks and optimizers are needed. ``protocol`` and ``seeds`` replace single
    entries of the defaults, ``titles`` maps tasks and optimizers to names for people, ``leading``
    tasks to the metric that chooses and ranks, ``styles`` optimizers to colours and lines (see
    `looks.parsed`), ``conf`` is a folder relative to the file.

    Raises:
      StudyError: an address instead of a file, no such file, an unknown key, a list that is empty
        or repeats itself, a baseline that is no optimizer, or seeds that serve two roles.
    """
    path = Path(path)
    check_local(path)
    given = _parsed(path)
    for key in given:
        _check_key(str(key), KEYS, str(path))
    tasks, optimizers = (_names(path, given, key) for key in ("tasks", "optimizers"))
    baselines = _names(path, given, "baselines") if given.get("baselines") else ()
    for name in baselines:
        _check_key(name, optimizers, f"{path}: baselines", "optimizer")
    known = Study(str(given.get("name", path.stem)), tasks, optimizers)
    titles = _table(path, given, "titles")
    for name in titles:
        _check_key(str(name), (*tasks, *optimizers), f"{path}: titles", "task or optimizer")

    named = Titles(titles)
    return known._replace(
        optimizers=(*baselines, *(name for name in optimizers if name not in baselines)),
        baselines=baselines,
        protocol={**known.protocol, **_table(path, given, "protocol")},
        seeds=_seeds(path, known.seeds, _table(path, given, "seeds")),
        leads=_leads(path, tasks, _table(path, given, "leading")),
        styles=_styles(path, optimizers, _table(path, given, "styles")),
        title=named, pretty=named, latex=named.tex,
        budget=str(given.get("budget", "")),
        conf=_folder(path, given.get("conf")),
    )  # fmt: skip


def check_local(path: Path) -> None:
    """Refuses an address: the configs of a study name code that is run.

    Raises:
      StudyError: ``path`` begins as an address does; a Path has lost one of its slashes.
    """
    if re.match(r"\w+:/", str(path)):
        raise StudyError(
            f"{path}: a study is a folder on this machine, since its configs name code that is "
            "run; download it, and read it first"
        )


def _parsed(path: Path) -> dict[str, Any]:
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"cannot read the study {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is no UTF-8 text: {error.reason} at byte {error.start}") from None
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict):
        raise StudyError(f"{path} must be a mapping with the keys {', '.join(KEYS)}")
    return given


def _check_key(key: str, known: Iterable[str], where: str, what: str = "key") -> None:
    """Raises a StudyError that names the nearest of `known` where `key` is none of them."""
    known = list(known)
    if key in known:
        return
    near = get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    raise StudyError(f"{where}: unknown {what} {key!r}; {hint}")


def _names(path: Path, given: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = given.get(key)
    if not isinstance(names, list) or not names:
        raise StudyError(f"{path}: {key} must be a list of at least one name, not {names!r}")
    names = tuple(map(str, names))
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise StudyError(f"{path}: {key} names {', '.join(repeated)} more than once")
    return names


def _table(path: Path, given: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = given.get(key) or {}
    if not isinstance(table, dict):
        raise StudyError(f"{path}: {key} must be a mapping, not {table!r}")
    return table


def _seeds(
    path: Path, defaults: Mapping[str, tuple[int, ...]], given: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    seeds = dict(defaults)
    for role, numbers in given.items():
        _check_key(str(role), ROLES, f"{path}: seeds", "role")
        valid = isinstance(numbers, list) and numbers and all(type(n) is int for n in numbers)
        if not valid:
            raise StudyError(f"{path}: seeds.{role} must be a list of whole numbers, not {numbers}")
        if wrong := [n for n in numbers if not 0 <= n < 2**31 or numbers.count(n) > 1]:
            twice = " twice" if numbers.count(wrong[0]) > 1 else ""
            raise StudyError(
                f"{path}: seeds.{role} must be different numbers from 0 to 2147483647, not "
                f"{wrong[0]}{twice}"
            )
        seeds[role] = tuple(numbers)
    if both := sorted(set(seeds["tune"]) & set(seeds["final"])):
        raise StudyError(
            f"{path}: seeds {', '.join(map(str, both))} serve both tune and final; final runs "
            "must not be those that chose the hyperparameters"
        )
    if both := sorted({*seeds["tune"], *seeds["final"]} & set(seeds.get("untuned", ()))):
        raise StudyError(
            f"{path}: seeds {', '.join(map(str, both))} serve untuned runs and others; a run at "
            "both points would be recorded once"
        )
    return seeds


def _leads(path: Path, tasks: Sequence[str], given: Mapping[str, Any]) -> dict[str, str]:
    for task in given:
        _check_key(str(task), tasks, f"{path}: leading", "task")
    return {str(task): str(metric) for task, metric in given.items()}


def _styles(
    path: Path, optimizers: Sequence[str], given: Mapping[str, Any]
) -> dict[str, tuple[str, str]]:
    for name in given:
        _check_key(str(name), optimizers, f"{path}: styles", "optimizer")
    try:
        return {str(name): looks.parsed(str(name), value) for name, value in given.items()}
    except ValueError as error:
        raise StudyError(f"{path}: {error}") from None


def _folder(path: Path, given: Any) -> Path | None:
    if given is None:
        return None
    folder = path.parent / str(given)
    if not folder.is_dir():
        raise StudyError(f"{path}: conf {given!r} is no folder beside it")
    return folder
