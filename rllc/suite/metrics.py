"""By what numbers a task is judged, as its records say.

Columns of the curves: ``train_loss``, then ``<split>_<metric>`` for both held-out splits, and for
tasks that ask for it ``test_<metric>_batch_mean``.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

SPLITS = ("validation", "test")
TRAIN_LOSS = "train_loss"


class Metric(NamedTuple):
    """One of them; a task's own metrics have the same fields (see `tasks.Metric`).

    A metric to maximise is a share of 1, such as an accuracy; one to minimise is at best 0. Where
    values lie beyond that (a log likelihood, a return), optimizers are ranked without a score.

    Attributes:
      name: part of the columns' names.
      direction: "max" or "min": which way is better.
      unit: of `scale` times the value; "" if it has none.
      guess: value of the best constant guess, unscaled; None if nobody knows.
      scale: the number tables multiply the value by.
    """

    name: str
    direction: str = "min"
    unit: str = ""
    guess: float | None = None
    scale: float = 1.0

    @property
    def lower(self) -> bool:
        """Whether lower is better."""
        return self.direction == "min"

    @property
    def sign(self) -> float:
        """1, or -1 where lower is better: what makes higher better."""
        return -1.0 if self.lower else 1.0

    @property
    def perfect(self) -> float:
        """The best value there can be, scaled."""
        return 0.0 if self.lower else self.scale

    def guess_or_worst(self, values: ArrayLike) -> float:
        """What a diverged run counts with, scaled: a guess; if nobody knows it, the worst value.

        Args:
          values: of others, scaled, the finite ones count; NaN where there is none.
        """
        if self.guess is not None:
            return self.scale * self.guess
        known = self.sign * np.asarray(values, float)
        known = known[np.isfinite(known)]
        return self.sign * float(known.min()) if known.size else math.nan

    @property
    def chance(self) -> float:
        """Value, scaled, up to which a finished run only guesses: 1/45 of the way to perfection.

        With one class in ten that is an accuracy of 12 %. NaN where nobody knows a guess.
        """
        guess = math.nan if self.guess is None else self.scale * self.guess
        return guess + (self.perfect - guess) / 45

    @property
    def form(self) -> str:
        """Format of scaled values: fixed digits where their size is known."""
        return {"%": ".2f", "nats": ".4f"}.get(self.unit, ".4g")

    def text(self, value: float) -> str:
        """An unscaled value as tables write it, with its unit.

        >>> CLASSIFICATION[0].text(0.987), CLASSIFICATION[1].text(0.1)
        ('98.70 %', '0.1000')
        """
        unit = f" {self.unit}" if self.unit not in ("", "nats") else ""
        return f"{self.scale * value:{self.form}}{unit}"

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
        """Its column in the curves: of ``validation`` or ``test`` data."""
        return f"{split}_{self.name}"


# Of every record that was written before records named their metrics: images of ten classes.
CLASSIFICATION = (
    Metric("accuracy", "max", "%", guess=0.1, scale=100.0),
    Metric("loss", "min", "nats", guess=math.log(10)),
)


def columns(metrics: Iterable[Any], batch_means: bool) -> list[str]:
    """Names of the columns of a task's curves, without ``run`` and ``step``."""
    names = [metric.name for metric in metrics]
    means = [f"test_{name}_batch_mean" for name in names] if batch_means else []
    return [TRAIN_LOSS, *(f"{split}_{name}" for split in SPLITS for name in names), *means]


def of_header(header: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The metrics of a record, the leading one first."""
    found = header.get("metrics")
    return tuple(Metric(**metric) for metric in found) if found else CLASSIFICATION


def to_header(metrics: Sequence[Any]) -> list[dict[str, Any]]:
    """What `of_header` reads."""
    return [{field: getattr(metric, field) for field in Metric._fields} for metric in metrics]


def by_task(records: Any) -> dict[str, tuple[Metric, ...]]:
    """Metrics of the recorded tasks, `CLASSIFICATION` where the records do not say.

    Args:
      records: anything with ``runs`` and ``metrics``.
    """
    return {
        task: records.metrics.get(task, CLASSIFICATION) for task in sorted(set(records.runs.task))
    }
