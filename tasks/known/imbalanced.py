"""Softmax regression on classes of which most are rare.

With heavy-tailed classes gradient descent learns the rare ones slowly and Adam does not (Kunstner
et al. 2024, "Heavy-tailed class imbalance and why Adam outperforms gradient descent on language
models"); linear models show it, too.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from tasks.known import newton, settings
from tasks.known.exact import EXCESS, of_examples
from tasks.task import Metric, Task

RARE = "rare_loss"


def imbalanced(
    name: str = "imbalanced",
    classes: int = 16,
    dimension: int = 16,
    examples: int = 1024,
    exponent: float = 1.0,
    separation: float = 1.0,
    ridge: float = 1e-3,
) -> Task:
    r"""Classes with :math:`\propto k^{-s}` examples each; weights and biases start at 0.

    :math:`f(w) = \frac1n \sum_i -\log p_{y_i}(x_i) + \frac{λ}{2} |w|^2`. The ridge makes the
    optimum finite, which rare classes that a plane separates have not without it; Newton's method
    finds it in float64. Features are normal around a centre per class. Gradient noise is that of
    the batches. A second metric is the mean loss over the rarer classes.

    Args:
      name: label in the records.
      classes: K.
      dimension: of the features.
      examples: n, all of which the excess is over.
      exponent: s; 0 are balanced classes, 1 are as words in a text.
      separation: standard deviation of the centres' coordinates; that within a class is 1.
      ridge: λ.

    Raises:
      ValueError: a setting makes no sense.
    """
    settings.whole("classes", classes, least=2)
    settings.whole("dimension", dimension, least=1)
    settings.whole("examples", examples, least=4 * classes)
    settings.number("exponent", exponent, least=0)
    settings.number("separation", separation, least=0)
    settings.number("ridge", ridge, above=0)
    made = problem(classes, dimension, examples, float(exponent), float(separation), float(ridge))
    arrays = {"x": made.x.astype(np.float32), "y": made.y, "rare": made.rare.astype(np.float32)}
    start = {"w": np.zeros((dimension, classes), np.float32), "b": np.zeros(classes, np.float32)}

    def losses(params: Any, batch: Any) -> jax.Array:
        logits = jax.nn.log_softmax(batch["x"] @ params["w"] + params["b"])
        own = jnp.take_along_axis(logits, batch["y"][:, None], axis=1)[:, 0]
        return 0.5 * ridge * (jnp.sum(params["w"] ** 2) + jnp.sum(params["b"] ** 2)) - own

    def rare(batch: Any, values: jax.Array) -> dict[str, Any]:
        return {RARE: (values * batch["rare"], batch["rare"])}

    guess = float(np.log(classes))
    metrics = (
        Metric(EXCESS, "min", "nats per example", guess=guess - made.optimum),
        Metric(RARE, "min", "nats per example", guess=guess),
    )
    return of_examples(name, arrays, start, losses, made.optimum, metrics, rare)


class Problem(NamedTuple):
    """Features x float64 (n, d), classes y int32 (n,), whether each is rare (n,), optimum."""

    x: np.ndarray
    y: np.ndarray
    rare: np.ndarray
    minimiser: np.ndarray
    optimum: float


def class_sizes(classes: int, examples: int, exponent: float) -> np.ndarray:
    """Examples of each class, at least one, the frequent ones first.

    >>> class_sizes(4, 25, 1.0).tolist()
    [12, 6, 4, 3]
    """
    shares = np.arange(1, classes + 1) ** -exponent
    sizes = np.maximum(1, np.floor(examples * shares / shares.sum())).astype(int)
    sizes[0] += examples - sizes.sum()
    return sizes


@lru_cache(maxsize=8)
def problem(
    classes: int,
    dimension: int,
    examples: int,
    exponent: float,
    separation: float,
    ridge: float,
) -> Problem:
    """The examples and their optimum; rare are classes behind the first half of all examples."""
    rng = np.random.default_rng(0)
    sizes = class_sizes(classes, examples, exponent)
    y = np.repeat(np.arange(classes), sizes).astype(np.int32)
    centres = separation * rng.normal(size=(classes, dimension))
    x = (centres[y] + rng.normal(size=(examples, dimension))).astype(np.float32).astype(float)
    rare = (np.cumsum(sizes) - sizes >= examples / 2)[y]
    start = np.zeros((dimension + 1) * classes)
    found = newton.minimum(lambda w: oracle(x, y, ridge, w), start)
    if found is None:
        raise ValueError(f"ridge={ridge!r} leaves an optimum that Newton's method does not reach")
    return Problem(x, y, rare, found, oracle(x, y, ridge, found)[0])


def oracle(
    x: np.ndarray, y: np.ndarray, ridge: float, w: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Value, gradient and Hessian of f at w, the rows (d + 1, K) one after another; float64."""
    count = len(y)
    ones = np.column_stack([x, np.ones(count)])
    weights = w.reshape(ones.shape[1], -1)
    logits = ones @ weights
    logits = logits - logsumexp(logits, axis=1, keepdims=True)
    p = np.exp(logits)
    value = -logits[np.arange(count), y].mean() + 0.5 * ridge * w @ w
    gradient = ones.T @ (p - np.eye(p.shape[1])[y]) / count + ridge * weights
    outer = (ones[:, :, None] * p[:, None, :]).reshape(count, -1)
    hessian = -outer.T @ outer / count
    # Of a class with itself Σ p x xᵀ is left: the other term of the softmax's second derivative.
    blocks = np.einsum("ni,nk,nj->ikj", ones, p, ones, optimize=True) / count
    four = hessian.reshape(*weights.shape, *weights.shape)
    for k in range(weights.shape[1]):
        four[:, k, :, k] += blocks[:, k, :]
    return float(value), gradient.ravel(), hessian + ridge * np.eye(len(w))
