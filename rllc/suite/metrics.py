"""What a task measures: a name, which way is better, a unit, and what a constant guess is worth."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Metric(NamedTuple):
    """One metric of a task, as its records hold it.

    A metric to maximise is a share of 1, such as an accuracy; one to minimise is at best 0.

    Attributes:
      name: records have the columns ``validation_<name>`` and ``test_<name>``.
      direction: ``max`` or ``min``.
      unit: of what is shown; ``%`` shows a recorded share of 1 as percent.
      guess: value of a constant guess; a diverged run counts with it.
    """

    name: str
    direction: str
    unit: str
    guess: float

    @property
    def lower(self) -> bool:
        """Whether lower is better."""
        return self.direction == "min"

    @property
    def sign(self) -> float:
        """1, or -1 where lower is better: what makes higher better."""
        return -1.0 if self.lower else 1.0

    @property
    def scale(self) -> float:
        """What a recorded value is multiplied with to be shown."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def perfect(self) -> float:
        """The best value there can be, as shown."""
        return 0.0 if self.lower else self.scale

    @property
    def shown_guess(self) -> float:
        """`guess` as shown."""
        return self.scale * self.guess

    @property
    def chance(self) -> float:
        """Value, as shown, up to which a finished run only guesses: 1/45 of the way to perfection.

        With one class in ten that is an accuracy of 12 %.
        """
        return self.shown_guess + (self.perfect - self.shown_guess) / 45

    @property
    def form(self) -> str:
        """Format of what is shown: fixed digits where the size of values is known."""
        return {"%": ".2f", "nats": ".4f"}.get(self.unit, ".4g")

    @property
    def in_words(self) -> str:
        """The name for people: no underscores."""
        return self.name.replace("_", " ")

    @property
    def with_unit(self) -> str:
        """The name for people with its unit in brackets, but for nats, which go without saying.

        >>> [metric.with_unit for metric in CLASSIFICATION]
        ['accuracy (%)', 'loss']
        """
        is_said = self.unit not in ("", "nats")
        return f"{self.in_words} ({self.unit})" if is_said else self.in_words

    @property
    def superlative(self) -> str:
        """Best, in a word."""
        return "lowest" if self.lower else "highest"

    def column(self, split: str = "test") -> str:
        """Its column in records: of ``validation`` or ``test`` data."""
        return f"{split}_{self.name}"


CLASSIFICATION = (
    Metric("accuracy", "max", "%", 0.1),
    Metric("loss", "min", "nats", float(np.log(10))),
)
"""Of the classification tasks with ten classes, which old records do not say."""


def by_task(records: Any) -> Mapping[str, tuple[Metric, ...]]:
    """Metrics of the recorded tasks: what the records say, `CLASSIFICATION` where they do not.

    Args:
      records: anything with ``runs``, and ``metrics`` if its headers have them.
    """
    known = getattr(records, "metrics", {})
    return {task: known.get(task, CLASSIFICATION) for task in sorted(set(records.runs.task))}
