"""Optimizers whose steps are timed beside the study's, from their configs; these need Hydra."""

from collections.abc import Sequence

from rllc.suite.plan import configuration
from rllc.suite.plan.configuration import Conf
from rllc.suite.plan.plan import Run
from rllc.suite.plan.studies import Entry
from rllc.suite.speed.steps import Groups

EVERY = "all"


def of(conf: Conf, entries: Sequence[str]) -> Groups:
    """Optimizers by their entries, as in a study, each at its `untuned` values.

    Args:
      conf: where configs are found.
      entries: such as ``adamw`` or ``adam schedule=cosine``; ``all`` stands for every config that
        needs no further word.

    Raises:
      PlanError: a name that no config has, or words that are no words of an optimizer.
    """
    every = conf.check_names("optimizer", []) if EVERY in entries else []
    named = [Entry.of(text) for text in (*every, *entries) if text != EVERY]
    conf.check_names("optimizer", [entry.name for entry in named])

    def groups(task: str) -> dict[str, list[Run]]:
        found = {}
        for entry in named:
            words = [f"task={task}", f"optimizer={entry.name}", *entry.words]
            cfg = configuration.compose(conf, words)
            found[configuration.label_of(cfg)] = [configuration.run_of(cfg, {})]
        return found

    return groups
