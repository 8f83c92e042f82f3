"""A study's folder, and from the names in its ``study.yaml`` to the labels that records have."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from rllc.suite.plan.configuration import Conf
from rllc.suite.study import Study
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


def resolved(conf: Conf, study: Study) -> tuple[Study, tuple[str, ...]]:
    """The study with labels, and the names of its optimizers' configs in the same order.

    Raises:
      PlanError: a name that no config has.
    """
    conf.check_names("task", study.tasks)
    conf.check_names("optimizer", study.optimizers)
    labels = {name: conf.label(name) for name in study.optimizers}
    titles = {labels[name]: study.pretty(name) for name in labels if study.pretty(name) != name}
    known = study._replace(
        optimizers=tuple(labels.values()),
        baselines=tuple(labels[name] for name in study.baselines),
        pretty=lambda label: titles.get(label, label),
    )
    return known, study.optimizers
