"""SOAP (Vyas et al. 2024): Adam in the slowly rotating eigenbasis of Shampoo's preconditioner."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.custom_batching import custom_vmap

from rllc.suite.optimizers.precision import at_least_f32, decayed_step

Matrices = tuple[jax.Array | None, ...]  # one (n, n) per axis of an array; None where there is none
_HIGHEST = jax.lax.Precision.HIGHEST


class SoapState(NamedTuple):
    """State of `scale_by_soap`.

    Attributes:
      steps: updates seen, int32 (); the first only starts the bases.
      mu: mean of gradients, like the parameters.
      nu: mean of squared rotated gradients, like the parameters.
      covariances: per array, for each preconditioned axis of length n, the mean of G Gᵀ along it,
        (n, n), at least float32.
      bases: likewise its eigenvectors Q, as columns.
    """

    steps: jax.Array
    mu: optax.Updates
    nu: optax.Updates
    covariances: Any
    bases: Any


def scale_by_soap(
    b1: jax.typing.ArrayLike = 0.95,
    b2: jax.typing.ArrayLike = 0.95,
    eps: jax.typing.ArrayLike = 1e-8,
    frequency: int = 10,
    max_dim: int = 10_000,
) -> optax.GradientTransformation:
    """Adam on gradients rotated, axis by axis, into eigenbases of their covariances.

    For a matrix G, with L ← β2 L + (1-β2) G Gᵀ and R ← β2 R + (1-β2) Gᵀ G:
        G' = Q_Lᵀ G Q_R,  V ← β2 V + (1-β2) G'²,  M ← β1 M + (1-β1) G,
        step = Q_L [ (Q_Lᵀ M Q_R) √(1-β2^t) / ((1-β1^t) (√V + ε)) ] Q_Rᵀ
    Q are the eigenvectors of L and R at the first update, which takes no step, and from then on
    Q ← qr(L Q), one step of orthogonal iteration, every `frequency` steps, after the step. Arrays
    of more axes have a basis for each; vectors have none, so they see Adam.

    Args:
      b1: β1, decay of the mean of gradients, per step.
      b2: β2, decay of the squares and of the covariances, per step.
      eps: ε, added to the root of V.
      frequency: steps between two changes of the bases.
      max_dim: axes longer than this keep the standard basis.

    Returns:
      A transformation with two buffers as large as the parameters and, per preconditioned axis,
      two square matrices. b1, b2 and eps may be traced. Runs batched by `vmap` that are in step
      share the branch, so decompositions cost once in `frequency` steps there too.

    Raises:
      ValueError: `frequency` below 1.

    Reference:
      Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2024, arXiv:2409.11321,
      Algorithms 3 and 4; the skipped first step, eigh at the start and ε from the authors' code,
      whose reordering of V by eigenvalue is left out, as in the paper.
    """
    if frequency < 1:
        raise ValueError(f"frequency={frequency} must be at least 1 step")

    def init(params: optax.Params) -> SoapState:
        zeros = optax.tree.zeros_like(params)

        def square(make: Callable[..., jax.Array]) -> Any:
            return jax.tree.map(lambda p: _per_axis(p, make, max_dim), params)

        empty = square(lambda n, dtype: jnp.zeros((n, n), dtype))
        identity = square(lambda n, dtype: jnp.eye(n, dtype=dtype))
        return SoapState(
            jnp.zeros([], jnp.int32), zeros, optax.tree.zeros_like(params), empty, identity
        )

    def update(
        updates: optax.Updates, state: SoapState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, SoapState]:
        del params
        first = state.steps == 0
        moved = jnp.maximum(state.steps, 1)
        bias = jnp.sqrt(1 - b2**moved) / (1 - b1**moved)

        def keep(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(first, old, new).astype(old.dtype)

        rotated = jax.tree.map(_rotate, updates, state.bases)
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(rotated, state.nu, b2, 2)

        def step(g: jax.Array, m: jax.Array, v: jax.Array, bases: Matrices) -> jax.Array:
            wide = bias * _rotate(m, bases) / (jnp.sqrt(v) + eps)
            return jnp.where(first, 0, _rotate(wide, bases, back=True)).astype(g.dtype)

        direction = jax.tree.map(step, updates, mu, nu, state.bases)
        covariances = jax.tree.map(lambda g, c: _covariances(g, c, b2), updates, state.covariances)
        bases = _changed(first, _eigenvectors, covariances, state.bases)
        due = ~first & (state.steps % frequency == 0)
        bases = _changed(due, _orthogonal_iteration, covariances, bases)
        mu, nu = jax.tree.map(keep, (mu, nu), (state.mu, state.nu))
        count = optax.safe_increment(state.steps)
        return direction, SoapState(count, mu, nu, covariances, bases)

    return optax.GradientTransformation(init, update)


def soap(
    learning_rate: optax.ScalarOrSchedule,
    b1: jax.typing.ArrayLike = 0.95,
    b2: jax.typing.ArrayLike = 0.95,
    eps: jax.typing.ArrayLike = 1e-8,
    weight_decay: jax.typing.ArrayLike = 0.01,
    frequency: int = 10,
    max_dim: int = 10_000,
) -> optax.GradientTransformation:
    """SOAP with a learning rate and decoupled weight decay.

    Args:
      learning_rate: a number, a traced scalar or a schedule.
      b1: see `scale_by_soap`, as are b2, eps, frequency and max_dim.
      b2: see there.
      eps: see there.
      weight_decay: fraction of the parameters taken off per step and unit of learning rate.
      frequency: see there.
      max_dim: see there.
    """
    return optax.chain(
        scale_by_soap(b1, b2, eps, frequency, max_dim),
        decayed_step(learning_rate, weight_decay),
    )


def _per_axis(array: jax.Array, make: Callable[..., jax.Array], max_dim: int) -> Matrices:
    """make(n, dtype) for each axis to precondition, None for the others."""
    if array.ndim < 2:
        return (None,) * array.ndim
    dtype = at_least_f32(array)
    return tuple(make(n, dtype) if n <= max_dim else None for n in array.shape)


def _rotate(x: jax.Array, bases: Matrices, back: bool = False) -> jax.Array:
    """x in the bases, or from them back; each axis in turn goes from the front to the end."""
    for basis in bases:
        if basis is None:
            x = jnp.moveaxis(x, 0, -1)
        else:
            x = jnp.tensordot(x, basis, ((0,), (1 if back else 0,)), precision=_HIGHEST)
    return x


def _covariances(g: jax.Array, covariances: Matrices, decay: jax.typing.ArrayLike) -> Matrices:
    """Every mean of G Gᵀ with this gradient added."""
    out: list[Any] = []
    for axis, old in enumerate(covariances):
        if old is None:
            out.append(None)
            continue
        flat: Any = jnp.moveaxis(g, axis, 0).reshape(g.shape[axis], -1).astype(old.dtype)
        outer = jnp.matmul(flat, flat.T, precision=_HIGHEST)
        out.append((decay * old + (1 - decay) * outer).astype(old.dtype))
    return tuple(out)


def _eigenvectors(covariance: jax.Array, basis: jax.Array) -> jax.Array:
    """Eigenvectors by falling eigenvalue."""
    del basis
    vectors: jax.Array = jnp.linalg.eigh(covariance)[1]
    return vectors[:, ::-1]


def _orthogonal_iteration(covariance: jax.Array, basis: jax.Array) -> jax.Array:
    return jnp.linalg.qr(jnp.matmul(covariance, basis, precision=_HIGHEST))[0]


def _changed(due: jax.Array, change: Callable[..., jax.Array], covariances: Any, bases: Any) -> Any:
    """The bases, changed where due, computed only if due in any of the batched runs."""

    def new(old: Any) -> Any:
        return jax.tree.map(lambda c, q: jnp.where(due, change(c, q), q), covariances, old)

    return jax.lax.cond(_in_any_run(due), new, lambda old: old, bases)


@custom_vmap
def _in_any_run(flag: jax.Array) -> jax.Array:
    """The flag; under `vmap` whether it is set in any run, unbatched, so that `cond` can branch."""
    return flag


@_in_any_run.def_vmap
def _in_any_of_the_runs(runs: int, batched: list[bool], flag: jax.Array) -> tuple[jax.Array, bool]:
    del runs
    return (_in_any_run(jnp.any(flag, axis=0)), False) if batched[0] else (_in_any_run(flag), False)
