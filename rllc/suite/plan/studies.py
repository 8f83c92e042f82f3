"""A study's folder, and from the names in its ``study.yaml`` to the labels that records have."""

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rllc.suite.errors import PlanError
from rllc.suite.plan.configuration import Conf, compose, label_of
from rllc.suite.schedules import is_group
from rllc.suite.study import Study, Titles
from rllc.suite.study import read as read_study

RECORDS = Path("records")  # in the study's folder


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The folder as working directory, and its modules importable."""
    path = str(folder.resolve())
    with contextlib.chdir(folder):
        sys.path.insert(0, path)
        try:
            yield
        finally:
            sys.path.remove(path)


def configs(conf: Path, study: Study) -> Conf:
    """The suite's configs, and beside them the study's own."""
    return Conf(conf, () if study.conf is None else (study.conf,))


def read(path: Path) -> Study:
    """A study whose tasks and optimizers are names of configs (see `study.read`)."""
    return read_study(path)


class Entry(NamedTuple):
    """An optimizer of a study: the name of its config, and words of a command line behind it."""

    name: str
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Entry":
        """An entry as it is written, such as ``adamw schedule=cosine``.

        >>> Entry.of("adamw schedule=cosine")
        Entry(name='adamw', words=('schedule=cosine',))

        Raises:
          PlanError: no name, words that are no ``KEY=VALUE``, or one of something else than an
            argument of the optimizer or a schedule.
        """
        try:
            name, *words = shlex.split(text) or [""]
        except ValueError as error:
            raise PlanError(f"optimizer {text!r}: {error}") from None
        if odd := [word for word in words if "=" not in word]:
            raise PlanError(
                f"optimizer {text!r}: {odd[0]!r} must look like KEY=VALUE, such as schedule=cosine"
            )
        if odd := others(words, ("optimizer.",)):
            raise PlanError(
                f"optimizer {text!r}: {odd[0]!r} is none of its words, which are "
                "optimizer.KEY=VALUE and schedules"
            )
        return cls(name, tuple(words))


def others(words: Sequence[str], beginnings: tuple[str, ...]) -> list[str]:
    """The words of a command line that begin otherwise and move no schedule."""
    keys = {word: word.partition("=")[0].lstrip("+~") for word in words}
    return [
        word
        for word, key in keys.items()
        if not key.startswith(beginnings) and not is_group(key.partition(".")[0])
    ]


def resolved(conf: Conf, study: Study) -> tuple[Study, tuple[str, ...], tuple[Entry, ...]]:
    """The study with labels; the names of its tasks' configs, and its optimizers' entries.

    Both are in the order of the study's tasks and labels.

    Raises:
      PlanError: a name that no config has, or two entries of one label.
    """
    conf.check_names("task", study.tasks)
    entries = {text: Entry.of(text) for text in study.optimizers}
    conf.check_names("optimizer", [entry.name for entry in entries.values()])
    labels = {text: _label(conf, entry) for text, entry in entries.items()}
    _check_labels(labels)
    titles = {labels[name]: study.pretty(name) for name in labels if study.pretty(name) != name}
    tasks = tuple(conf.task(name) for name in study.tasks)
    if len(set(tasks)) < len(tasks):
        raise PlanError(f"two tasks of the study have one name: {', '.join(tasks)}")
    told = {
        task: study.title(name)
        for task, name in zip(tasks, study.tasks, strict=True)
        if study.title(name) != name
    }
    known = study._replace(
        tasks=tasks,
        leads={conf.task(task): metric for task, metric in study.leads.items()},
        styles={labels[name]: style for name, style in study.styles.items()},
        optimizers=tuple(labels.values()),
        baselines=tuple(labels[name] for name in study.baselines),
        title=Titles(told),
        pretty=Titles(titles),
    )
    return known, study.tasks, tuple(entries.values())


def _label(conf: Conf, entry: Entry) -> str:
    if all(word.startswith("optimizer.grid.") for word in entry.words):  # no name is made of these
        return conf.label(entry.name)
    return label_of(compose(conf, [f"optimizer={entry.name}", *entry.words]))


def _check_labels(labels: dict[str, str]) -> None:
    """Refuses two entries of one label: the tables would take their runs for one optimizer's."""
    by_label: dict[str, str] = {}
    for text, label in labels.items():
        if label in by_label:
            raise PlanError(
                f"optimizers {by_label[label]!r} and {text!r} have one label, {label}; give one of "
                "them a name with optimizer.name=…"
            )
        by_label[label] = text
