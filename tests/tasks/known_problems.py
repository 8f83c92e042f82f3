"""Small instances of the problems with a known optimum, and where theirs lies, in float64."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tasks.known.factorisation import factorisation, matrix
from tasks.known.imbalanced import imbalanced
from tasks.known.imbalanced import problem as imbalanced_problem
from tasks.known.logistic import logistic
from tasks.known.logistic import problem as logistic_problem
from tasks.known.quadratic import quadratic
from tasks.known.rosenbrock import rosenbrock
from tasks.known.saddle import saddle
from tasks.task import Task


class Known(NamedTuple):
    """How a task is made, and its params at an optimum."""

    make: Callable[[], Task]
    optimum: Callable[[], Any]


def _factors(rank: int) -> dict[str, np.ndarray]:
    left, values, right = np.linalg.svd(matrix(7, 5, 3, 10.0))
    roots = np.sqrt(values[:rank])
    return {"u": left[:, :rank] * roots, "v": right[:rank].T * roots}


def _softmax() -> dict[str, np.ndarray]:
    rows = imbalanced_problem(4, 3, 200, 1.0, 1.0, 1e-3).minimiser.reshape(4, 4)
    return {"w": rows[:3], "b": rows[3]}


_OF_MATRIX = {"rows": 7, "columns": 5, "rank": 3, "noise": 0.1}
KNOWN = {
    "quadratic": Known(lambda: quadratic(dimension=6, noise=0.5), lambda: np.zeros(6)),
    "quadratic on axes": Known(
        lambda: quadratic(dimension=6, basis="axes", curvature_noise=0.5), lambda: np.zeros(6)
    ),
    "rosenbrock": Known(lambda: rosenbrock(dimension=5, noise=0.3), lambda: np.ones(5)),
    "saddle": Known(
        lambda: saddle(dimension=4, directions=2, noise=0.2), lambda: np.array([1.0, -1, 0, 0])
    ),
    "factorisation": Known(lambda: factorisation(**_OF_MATRIX, factors=3), lambda: _factors(3)),
    "factorisation of lower rank": Known(
        lambda: factorisation(**_OF_MATRIX, factors=2), lambda: _factors(2)
    ),
    "logistic": Known(
        lambda: logistic(dimension=4, examples=300),
        lambda: {"w": logistic_problem(4, 300, 1000.0, 2.0).minimiser},
    ),
    "imbalanced": Known(lambda: imbalanced(classes=4, dimension=3, examples=200), _softmax),
}


def batch_of(task: Task, seed: int = 0) -> Any:
    """A training batch; all examples where there are any."""
    train = task.data(None).train
    return train(jax.random.key(seed), 0) if callable(train) else train


def loss_of(task: Task, params: Any, train: bool, batch: Any = None) -> jax.Array:
    """The training loss, or the excess that an evaluation finds; float64 where that is enabled."""
    batch = batch_of(task) if batch is None else batch
    params = jax.tree.map(jnp.asarray, params)
    loss, (_, metrics) = task.loss(params, {}, batch, jax.random.key(0), train)
    return loss if train else jnp.mean(metrics["excess"])
