"""Memory-augmented SGD and Adam: a buffer of critical gradients (McRae et al. 2022)."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

Aggregation = Literal["sum", "mean"]


class CriticalGradientsState(NamedTuple):
    """State of `scale_by_critical_gradients`.

    Attributes:
      buffer: c kept gradients per parameter array, leading axis c.
      priority: their decayed norms, at least float32, (c,) per
        parameter array; -inf marks an empty slot.
    """

    buffer: optax.Updates
    priority: optax.Updates


def scale_by_critical_gradients(
    capacity: int = 5,
    decay: jax.typing.ArrayLike = 0.7,
    kappa: jax.typing.ArrayLike = 1.0,
    aggregation: Aggregation = "sum",
) -> optax.GradientTransformation:
    """Adds the gradients of largest norm seen lately to the current one.

    Per parameter array, with the buffer C of earlier gradients:
    ``sum``: g_t + κ (mean of C);  ``mean``: (g_t + κ (sum of C)) / (|C| + 1). Then g_t enters
    the buffer, replacing the entry of lowest priority if the buffer is full and |g_t| exceeds
    that priority. A priority starts as the gradient's L2 norm and is multiplied by `decay`
    after every step. An empty buffer leaves the gradient as it is.

    Args:
      capacity: c, gradients kept per parameter array (the paper tries 5, 10, 20).
      decay: factor on all priorities, per step (the paper tries 0.7, 0.9, 0.99).
      kappa: κ, weight of the buffer; 0 gives back the gradient under ``sum``.
      aggregation: ``sum`` or ``mean``, see above.

    Returns:
      A transformation with c buffers as large as the parameters; `decay` and `kappa` may be
      traced.

    Raises:
      ValueError: `capacity` < 1 or an unknown `aggregation`.

    Reference:
      McRae et al., Memory Augmented Optimizers for Deep Learning, ICLR 2022, arXiv:2106.10708,
      section 3; per array, and with the buffer as it was before the current gradient enters,
      as in the authors' code.
    """
    if capacity < 1:
        raise ValueError(f"capacity={capacity} must be at least 1")
    if aggregation not in ("sum", "mean"):
        raise ValueError(f"aggregation={aggregation!r} must be 'sum' or 'mean'")

    def init(params: optax.Params) -> CriticalGradientsState:
        buffer = jax.tree.map(lambda p: jnp.zeros((capacity, *p.shape), p.dtype), params)
        priority = jax.tree.map(lambda p: jnp.full((capacity,), -jnp.inf, _at_least_f32(p)), params)
        return CriticalGradientsState(buffer, priority)

    def aggregate(g: jax.Array, buffer: jax.Array, priority: jax.Array) -> jax.Array:
        kept = jnp.sum(priority >= 0)  # empty slots hold zeros, so sums need no mask
        total = kappa * jnp.sum(buffer, axis=0)
        if aggregation == "mean":
            return ((g + total) / (kept + 1)).astype(g.dtype)
        return (g + total / jnp.maximum(kept, 1)).astype(g.dtype)

    def admitted(g: jax.Array, priority: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(norm of g, which slot (c,) of booleans takes g; at most one)."""
        norm = jnp.linalg.norm(g.ravel().astype(priority.dtype))
        lowest = jnp.arange(capacity) == jnp.argmin(priority)
        return norm, lowest & (norm > jnp.min(priority))

    def new_buffer(g: jax.Array, buffer: jax.Array, priority: jax.Array) -> jax.Array:
        slot = admitted(g, priority)[1].reshape(capacity, *[1] * g.ndim)
        return jnp.where(slot, g, buffer)

    def new_priority(g: jax.Array, priority: jax.Array) -> jax.Array:
        norm, slot = admitted(g, priority)
        priority = jnp.where(slot, norm, priority)
        return jnp.where(priority >= 0, decay * priority, priority).astype(priority.dtype)

    def update(
        updates: optax.Updates, state: CriticalGradientsState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, CriticalGradientsState]:
        del params
        aggregated = jax.tree.map(aggregate, updates, *state)
        buffer = jax.tree.map(new_buffer, updates, *state)
        priority = jax.tree.map(new_priority, updates, state.priority)
        return aggregated, CriticalGradientsState(buffer, priority)

    return optax.GradientTransformation(init, update)


def _at_least_f32(array: jax.Array) -> jnp.dtype:
    return jnp.promote_types(array.dtype, jnp.float32)


def critical_sgd(
    learning_rate: optax.ScalarOrSchedule,
    momentum: jax.typing.ArrayLike | None = None,
    capacity: int = 5,
    decay: jax.typing.ArrayLike = 0.7,
    kappa: jax.typing.ArrayLike = 1.0,
    aggregation: Aggregation = "sum",
) -> optax.GradientTransformation:
    """SGD (with heavy-ball momentum if given) on gradients joined with critical ones.

    Args:
      learning_rate: a number, a traced scalar or a schedule.
      momentum: decay of the sum of joined gradients, per step; None for none.
      capacity: see `scale_by_critical_gradients`, as are the others.
      decay: see there.
      kappa: see there.
      aggregation: see there.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = critical_sgd(1.0)
      >>> state = tx.init(jnp.ones(1))
      >>> first, state = tx.update(jnp.ones(1), state)
      >>> second, _ = tx.update(jnp.ones(1), state)
      >>> print(first[0], second[0])  # the second step has a critical gradient to add
      -1.0 -2.0
    """
    joined = scale_by_critical_gradients(capacity, decay, kappa, aggregation)
    return optax.chain(joined, optax.sgd(learning_rate, momentum))


def critical_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    capacity: int = 5,
    decay: jax.typing.ArrayLike = 0.7,
    kappa: jax.typing.ArrayLike = 1.0,
    aggregation: Aggregation = "mean",
) -> optax.GradientTransformation:
    """Adam whose both moments see gradients joined with critical ones.

    Args:
      learning_rate: a number, a traced scalar or a schedule.
      b1: decay of the mean of joined gradients, per step.
      b2: decay of the mean of their squares, per step.
      eps: added to the root of the second moment.
      capacity: see `scale_by_critical_gradients`, as are the others.
      decay: see there.
      kappa: see there.
      aggregation: see there; the authors' code takes the mean for Adam, the sum for SGD.
    """
    joined = scale_by_critical_gradients(capacity, decay, kappa, aggregation)
    return optax.chain(joined, optax.adam(learning_rate, b1, b2, eps))
