"""Logistic regression with a Hessian of a given condition number at its start."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import expit

from tasks.known import newton, settings
from tasks.known.exact import EXCESS, of_examples
from tasks.task import Metric, Task


def logistic(
    name: str = "logistic",
    dimension: int = 20,
    examples: int = 1000,
    condition: float = 1000.0,
    signal: float = 2.0,
) -> Task:
    r"""Two classes, :math:`f(w) = \frac1n \sum_i \log(1 + e^{-y_i x_i^\top w})`, from w = 0.

    The second moments of x have eigenvalues from 1 down to 1 / condition, equally far apart in
    their logarithm, exactly; so has, but for the factor ¼, the Hessian at the start. Labels are
    drawn from a logistic model, so the classes overlap and the optimum is finite; Newton's method
    finds it in float64. Gradient noise is that of the batches.

    Args:
      name: label in the records.
      dimension: number of parameters.
      examples: n, all of which the excess is over.
      condition: of the Hessian at the start.
      signal: standard deviation of the true model's logits; larger means classes farther apart.

    Raises:
      ValueError: a setting makes no sense, or a plane separates the classes.
    """
    settings.whole("dimension", dimension, least=1)
    settings.whole("examples", examples, least=5 * dimension)
    settings.number("condition", condition, least=1)
    settings.number("signal", signal, above=0)
    made = problem(dimension, examples, float(condition), float(signal))
    if made is None:
        raise ValueError(
            f"signal={signal!r} makes classes that a plane separates, so no optimum is finite: a "
            f"smaller signal, or more examples than {examples}"
        )
    arrays = {"x": made.x.astype(np.float32), "y": made.y.astype(np.float32)}
    start = {"w": np.zeros(dimension, np.float32)}
    metric = Metric(EXCESS, "min", "nats per example", guess=float(np.log(2)) - made.optimum)
    return of_examples(name, arrays, start, losses, made.optimum, (metric,))


def losses(params: Any, batch: Any) -> jax.Array:
    """Of each example, (b,)."""
    return jax.nn.softplus(-batch["y"] * (batch["x"] @ params["w"]))


class Problem(NamedTuple):
    """Examples x float64 (n, d), labels y = ±1 (n,), the minimiser (d,) and its value f*."""

    x: np.ndarray
    y: np.ndarray
    minimiser: np.ndarray
    optimum: float


@lru_cache(maxsize=8)
def problem(dimension: int, examples: int, condition: float, signal: float) -> Problem | None:
    """The examples and their optimum; None if a plane separates them."""
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.normal(size=(examples, dimension)))[0]
    right = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    values = condition ** -np.linspace(0, 1, dimension)
    x = np.sqrt(examples) * (left * np.sqrt(values)) @ right.T
    logits = x @ (right @ rng.normal(size=dimension) / np.sqrt(values))
    logits *= signal / logits.std()
    y = np.where(rng.random(examples) < expit(logits), 1.0, -1.0)
    x, y = x.astype(np.float32).astype(float), y  # the numbers that are trained on
    found = newton.minimum(lambda w: oracle(x, y, w), np.zeros(dimension))
    if found is None or (y * (x @ found)).min() > 0:
        return None
    return Problem(x, y, found, oracle(x, y, found)[0])


def oracle(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Value, gradient (d,) and Hessian (d, d) of f, float64."""
    margins = y * (x @ w)
    p = expit(-margins)
    value = float(np.logaddexp(0, -margins).mean())
    return value, -(x.T @ (y * p)) / len(y), (x.T * (p * (1 - p))) @ x / len(y)
