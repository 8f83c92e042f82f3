"""What is measured: the paper's optimizers and tasks as plain dicts, without Hydra.

A test holds these to the files under conf/: the same groups, so the same programs.
"""

from collections.abc import Sequence
from typing import Any

from rllc.suite.plan.plan import Run, make_run
from rllc.suite.study import Study

RLLC_TRACED = ["learning_rate", "law_learning_rate", "initial_law"]
BASELINES: dict[str, dict[str, Any]] = {
    "SGD": {"_target_": "optax.sgd", "learning_rate": 0.1},
    "Momentum SGD": {
        "_target_": "optax.sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": False,
    },
    "Adam": {
        "_target_": "optax.adam", "learning_rate": 0.001, "b1": 0.9, "b2": 0.999,
        "eps": 1e-8, "eps_root": 1e-8,
    },
}  # fmt: skip
UNITS = {  # the paper's propagator of each memory size that the update is measured with
    1: "M(0.9)",
    2: "M(0.9)+M(0.0)",
    3: "M(0.9)+M(0.8)+M(0.7)",
    4: "M(0.9)+M(-0.9)+CM(0.9i)",
}
PROTOCOL = {"data": "real"}
ENGINE = "rllc engine"  # the case beside peers


def optimizer(name: str) -> dict[str, Any]:
    """Config of an optimizer by its label in the tables; any propagator is a label too."""
    if name in BASELINES:
        return {"name": name, "family": "baseline", "traced": ["learning_rate"], **BASELINES[name]}
    return {
        "name": name, "family": "rllc", "_target_": "rllc.lm_rllc",
        "canonical": "rllc.canonical_arguments", "propagator": name,
        "learning_rate": 0.01, "law_learning_rate": 0.003, "initial_law": "ones",
        "epsilon": 1e-6, "traced": RLLC_TRACED, "probes": {"law": "rllc.get_law"},
    }  # fmt: skip


def task(name: str, **settings: Any) -> dict[str, Any]:
    """Config of a task with the defaults of `tasks.make`."""
    return {"_target_": "tasks.make", "name": name, **settings}


def runs(task_name: str, optimizer_name: str, count: int, **settings: Any) -> list[Run]:
    """One group: `count` learning rates with one seed, small enough that none diverges.

    Args:
      task_name: see `tasks.names`.
      optimizer_name: label, see `optimizer`.
      count: number of runs r.
      **settings: of the task.
    """
    config = optimizer(optimizer_name)
    rates = [config["learning_rate"] * (1 - i / (2 * count)) / 10 for i in range(count)]
    made = task(task_name, **settings)
    return [make_run(made, {**config, "learning_rate": rate}, 0, PROTOCOL) for rate in rates]


def network(task_name: str) -> str:
    """``mlp``, ``conv`` or ``resnet20``."""
    return task_name.rsplit("_", 1)[1]


def dataset(task_name: str) -> str:
    """``mnist``, ``fashion_mnist`` or ``cifar10``."""
    return task_name.rsplit("_", 1)[0]


def group_sizes(task_name: str, platform: str, quick: bool = False) -> list[int]:
    """Numbers of runs per program that throughput is measured with."""
    if quick:
        return [1, 2]
    if platform == "cpu":
        sizes = {"mlp": [1, 2, 6, 12, 18], "conv": [1, 2, 6, 12], "resnet20": [1, 2, 4]}
        few = {"mlp": [1, 18], "conv": [1, 12]}  # same shapes as MNIST
    else:
        sizes = {"mlp": [1, 16, 64, 256], "conv": [1, 2, 6, 12], "resnet20": [1, 3, 6]}
        few = {"mlp": [1, 64], "conv": [1, 6]}
    kind = few if task_name.startswith("fashion") else sizes
    return kind[network(task_name)]


def figure_optimizers(study: Study, quick: bool = False) -> Sequence[str]:
    """The optimizers whose training step is timed."""
    return ("SGD", "Adam", "M(0.9)") if quick else study.optimizers
