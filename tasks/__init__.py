"""Tasks: data, networks and losses as pure functions; the paper's seven by name.

>>> import tasks
>>> task = tasks.make("cifar10_conv")
>>> [metric.name for metric in task.metrics]
['accuracy', 'loss']
"""

from tasks.datasets import load, synthetic
from tasks.images import METRICS, classification, cross_entropy, make, names
from tasks.language import language_model
from tasks.sources.formats import DataError
from tasks.tabular import regression
from tasks.task import Dataset, Metric, Task

__all__ = [
    "METRICS",
    "DataError",
    "Dataset",
    "Metric",
    "Task",
    "classification",
    "cross_entropy",
    "language_model",
    "load",
    "make",
    "names",
    "regression",
    "synthetic",
]
