"""By what numbers a task is judged, as its records say.

Columns of the curves: ``train_loss``, then ``<split>_<metric>`` for both held-out splits, and for
tasks that ask for it ``test_<metric>_batch_mean``.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

SPLITS = ("validation", "test")
TRAIN_LOSS = "train_loss"


class Metric(NamedTuple):
    """One of them; a task's own metrics have the same fields (see `tasks.Metric`).

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
