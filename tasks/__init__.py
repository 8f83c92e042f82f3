"""Tasks: data, networks and losses as pure functions; the paper's seven by name.

>>> import tasks
>>> task = tasks.make("cifar10_conv")
>>> [metric.name for metric in task.metrics]
['accuracy', 'loss']
"""

from tasks.autoencoders import autoencoder
from tasks.datasets import load, synthetic
from tasks.images import METRICS, classification, cross_entropy, make, names
from tasks.language import language_model
from tasks.sources.formats import DataError
from tasks.tabular import regression
from tasks.task import Dataset, Metric, Task
from tasks.vision import vision_transformer

__all__ = [
    "METRICS",
    "DataError",
    "Dataset",
    "Metric",
    "Task",
    "autoencoder",
    "classification",
    "cross_entropy",
    "language_model",
    "load",
    "make",
    "names",
    "regression",
    "synthetic",
    "vision_transformer",
]
