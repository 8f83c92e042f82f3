"""The paper's numbers and protocol: what every table, figure and verdict is held against.

`paper.csv` beside this file holds all 77 cells of the paper's Tables 1 and 2, optimizers in
this project's notation; losses are cross-entropies, accuracies percent.
"""

import re
from functools import cache
from importlib import resources

import pandas as pd

from rllc.suite.metrics import CLASSIFICATION
from rllc.suite.plotting import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from rllc.suite.study import Study

TASKS = (
    "mnist_mlp",
    "mnist_conv",
    "fashion_mnist_mlp",
    "fashion_mnist_conv",
    "cifar10_mlp",
    "cifar10_conv",
    "cifar10_resnet20",
)
BASELINES = ("SGD", "Momentum SGD", "Adam")
RLLC = (
    "M(0.9)",
    "M(0.9)+M(0.0)",
    "M(0.9)+M(0.8)+M(0.7)",
    "M2(0.6)",
    "M(0.9)+M2(0.6)",
    "M(0.9)+M(0.0)+M2(0.6)",
    "M3(0.6)",
    "M(0.9)+M(-0.9)+CM(0.9i)",
)
OPTIMIZERS = BASELINES + RLLC  # in the order of the paper's rows
STEPS = 10_000  # iterations of one run (A.5.2)
SEEDS = 3  # runs behind each mean (A.5.2)
BATCH_SIZE = 128
TOLERANCE = 0.3  # accuracy points within which a cell agrees with the paper at least
ACCURACY, LOSS = CLASSIFICATION
LAW_RATE = "law_learning_rate"  # c2 in the records
GRID_POINTS = {"baseline": 15, "rllc": 18}  # points of its tuning grids (A.5.2)

_DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
_NETWORKS = {"mlp": "MLP", "conv": "Conv", "resnet20": "ResNet-20"}


@cache
def _cells() -> pd.DataFrame:
    with resources.files("rllc.replication").joinpath("paper.csv").open() as file:
        return pd.read_csv(file)


def cells() -> pd.DataFrame:
    """The 77 cells: optimizer, task, test_loss_mean, test_accuracy_mean, test_accuracy_std (%)."""
    return _cells().copy()


def published_best(column: str = "test_accuracy_mean") -> pd.Series:
    """Per task the best number among `BASELINES`; losses are best when lowest."""
    table = cells()
    groups = table[table.optimizer.isin(BASELINES)].groupby("task")[column]
    return groups.min() if "loss" in column else groups.max()


def green_cells(column: str = "test_accuracy_mean") -> pd.DataFrame:
    """The RLLC cells that beat the best baseline of their task in the paper's own numbers.

    Returns:
      Rows of `cells` with two more columns: ``baseline`` (the number beaten) and ``gain``
      (positive: accuracy points above it, or loss below it).
    """
    table = cells()
    table = table[~table.optimizer.isin(BASELINES)].copy()
    table["baseline"] = table.task.map(published_best(column))
    sign = -1 if "loss" in column else 1
    table["gain"] = sign * (table[column] - table.baseline)
    return table[table.gain > 0].reset_index(drop=True)


def title(task: str) -> str:
    """Column head of a task; a task of no known data set or network keeps its own name.

    >>> title("fashion_mnist_conv")
    'Fashion-MNIST Conv'
    """
    dataset, _, network = task.rpartition("_")
    if dataset not in _DATASETS or network not in _NETWORKS:
        return task
    return f"{_DATASETS[dataset]} {_NETWORKS[network]}"


def pretty(optimizer: str) -> str:
    """An optimizer's label in Unicode.

    >>> pretty("M(0.9)+M2(0.6)")
    'M(0.9)⊕M₂(0.6)'
    """
    if not _is_propagator(optimizer):
        return optimizer
    subscripts = re.sub(
        r"(?<=M)\d+(?=\()", lambda m: m[0].translate(_SUBSCRIPTS), _signs(optimizer)
    )
    return subscripts.replace("-", "−")


def latex(optimizer: str) -> str:
    r"""An optimizer's label in LaTeX (also matplotlib's mathtext).

    >>> latex("M(0.9)+M2(0.6)")
    '$M(0.9) \\oplus M_{2}(0.6)$'
    >>> latex("Momentum SGD")
    'Momentum SGD'
    """
    if not _is_propagator(optimizer):
        return optimizer.replace("_", r"\_")
    body = re.sub(r"(?<=M)(\d+)(?=\()", r"_{\1}", _signs(optimizer))
    return "$" + body.replace("⊕", r" \oplus ") + "$"


_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _is_propagator(optimizer: str) -> bool:
    return re.fullmatch(r"(C?M\d*\([^()]*\))(\+C?M\d*\([^()]*\))*", optimizer) is not None


def _signs(optimizer: str) -> str:
    """``+`` between propagators (not inside their brackets) becomes ⊕."""
    return re.sub(r"\)\+", ")⊕", optimizer)


STYLES = {  # baselines: black and grey, broken lines; RLLC: colours
    "SGD": (GREY, ":"),
    "Momentum SGD": (GREY, "--"),
    "Adam": (BLACK, "-."),
    "M(0.9)": (BLUE, "-"),
    "M(0.9)+M(0.0)": (VERMILION, "-"),
    "M(0.9)+M(0.8)+M(0.7)": (GREEN, "-"),
    "M2(0.6)": (SKY, "-"),
    "M(0.9)+M2(0.6)": (ORANGE, "-"),
    "M(0.9)+M(0.0)+M2(0.6)": (PURPLE, "-"),
    "M3(0.6)": (SKY, "--"),
    "M(0.9)+M(-0.9)+CM(0.9i)": (ORANGE, "--"),
}

STUDY = Study(
    name="Dynamic Memory Based Adaptive Optimization",
    tasks=TASKS,
    optimizers=OPTIMIZERS,
    baselines=BASELINES,
    protocol={"steps": STEPS, "batch_size": BATCH_SIZE},
    seeds={"tune": tuple(range(100, 100 + SEEDS)), "final": tuple(range(SEEDS))},
    grid_points=GRID_POINTS,
    families={"baseline": "baselines", "rllc": "RLLC"},
    title=title,
    pretty=pretty,
    latex=latex,
    hyper_titles={LAW_RATE: "law rate"},
    styles=STYLES,
    published=cells(),
    source="paper",
    tolerance=TOLERANCE,
    tables=("Table 1", "Table 2"),
)
