"""`scale_by_rllc`: the one engine that runs every propagator and every memory rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rllc.groups import law_labels, leaf_groups, sum_groups
from rllc.law import EPSILON_MODES, correction, propagate_gram, resolve_initial_law
from rllc.linear import Memory, PyTree, advance, empty_unit, one_after
from rllc.propagators import Propagator, parse
from rllc.reduction import inner_products
from rllc.rules import MemoryRule

ScalarOrSchedule = Any  # float | jax.Array (possibly traced) | Callable[[count], scalar]


class RllcState(NamedTuple):
    """State of `scale_by_rllc`.

    Attributes:
      count: number of steps taken t, int32, shape ().
      law: the learning law L_t, shape (k,), or (groups, k) where there is a law per group.
      memory: M_t, a tuple of k trees, each shaped, sharded and placed like the parameters.
      gram: M_tᵀM_t, shape (k, k) or (groups, k, k); None where each step computes it from the
        memory (``gram="exact"``).
      hidden: H_t, the hidden state of a memory rule; () for linear memory.
    """

    count: jax.Array  # type: ignore[assignment]  # a field, not tuple.count
    law: jax.Array
    memory: Memory
    gram: jax.Array | None
    hidden: PyTree


def scale_by_rllc(
    rule: Propagator | str | MemoryRule,
    law_learning_rate: ScalarOrSchedule | None = 0.01,
    initial_law: Any = "ones",
    *,
    epsilon: Any = 1e-6,
    epsilon_mode: str = "relative",
    gram: str = "exact",
    correct_with: str = "old",
    law_groups: Any = None,
    law_bounds: tuple[Any, Any] | None = None,
    max_correction: Any = None,
    memory_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Replace the gradient by :math:`M_t L_t`, memory combined by a law that corrects itself.

    .. math::
      L_t = L_{t-1} + c_2 M_{t-1}^+ g_t, \quad M_t = U(M_{t-1}, g_t), \quad u_t = M_t L_t

    The first equation is the retrospective correction: the new gradient, projected on the *old*
    memory, tells how the last step should have been combined.

    Args:
      rule: a Propagator (or its notation, such as "M(0.9)+M(0.0)") for linear memory, or any
        MemoryRule.
      law_learning_rate: c₂, a number, traced scalar or schedule; None keeps the law fixed, at no
        cost.
      initial_law: L_0, see `rllc.initial_law`. A choice the paper leaves open.
      epsilon: ε of the relaxed M^+, see `rllc.law.correction`. A choice the paper leaves open; the
        default 1e-6 is about ten times the rounding of a float32 Gram matrix.
      epsilon_mode: "relative", "absolute" or "cutoff".
      gram: "exact" computes the Gram matrix from the memory, in the same pass that computes
        M^T g. "recursive" carries it along instead (linear memory only), which saves k(k+1)/2
        multiplications per parameter but no memory traffic. It drifts where gradients cancel the
        memory, so it suits noisy gradients of many parameters; see `rllc.law.propagate_gram`.
      correct_with: "old" corrects the law with the memory before this gradient,
        :math:`L_t = L_{t-1} + c_2 M_{t-1}^+ g_t` (the paper); "updated" with the memory that
        already holds it, :math:`L_t = L_{t-1} + c_2 M_t^+ g_t`, a reading to try (``gram="exact"``
        only).
      law_groups: None for one law over the whole tree (the paper); "leaf" for a law per leaf; or a
        tree of labels (a prefix of the parameters), or a callable from the parameters to one, for a
        law per label.
      law_bounds: (low, high), the law's coefficients are clipped to it; low at most high, None
        for no bound on that side.
      max_correction: an upper bound for the Euclidean norm of M^+ g.
      memory_dtype: dtype of the memory; None for the parameters' own. The law stays in at least
        float32.

    Returns:
      An optax transformation with state RllcState. Its output points uphill, like the gradient;
      `rllc.lm_rllc` appends the step −c₁.

    Raises:
      ValueError: for rates, laws, modes or rules that cannot be meant.

    Example:
      >>> import jax.numpy as jnp, optax, rllc
      >>> tx = optax.chain(rllc.scale_by_rllc("M(0.9)"), optax.scale(-0.1))
      >>> state = tx.init(jnp.zeros(3))
      >>> updates, state = tx.update(jnp.ones(3), state)
      >>> updates.tolist(), rllc.get_law(state).tolist()
      ([-0.10000000149011612, -0.10000000149011612, -0.10000000149011612], [1.0])

    Reference: section 3, definition 3.2; section 5, definition 5.1 (with L_t where it prints L).
    """
    if not isinstance(rule, MemoryRule):
        rule = parse(rule)
    propagator = rule if isinstance(rule, Propagator) else None
    updated = _check_correct_with(correct_with, gram)
    recursive = _check_gram(gram) and propagator is not None and law_learning_rate is not None
    _check_epsilon(epsilon, epsilon_mode)
    check_rate("law_learning_rate", 0.0 if law_learning_rate is None else law_learning_rate)
    _check_limits(law_bounds, max_correction)
    if isinstance(rule, Propagator):
        resolve_initial_law(initial_law, rule.num_units)

    def init(params: PyTree) -> RllcState:
        memory, hidden = _init_memory(rule, params, memory_dtype)
        k, dtype = len(memory), _law_dtype(params)
        shape = () if law_groups is None else (len(law_labels(law_groups, params)),)
        law = jnp.asarray(resolve_initial_law(initial_law, k), dtype)
        return RllcState(
            count=jnp.zeros((), jnp.int32),
            law=jnp.broadcast_to(law, (*shape, k)),
            memory=memory,
            gram=jnp.zeros((*shape, k, k), dtype) if recursive else None,
            hidden=hidden,
        )

    def update(
        updates: PyTree, state: RllcState, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, RllcState]:
        groups = leaf_groups(law_groups, updates)
        one: Any = 1.0
        law, gram_matrix, hidden = state.law, state.gram, state.hidden
        if law_learning_rate is not None and not updated:
            old, projection, square = _products(state.memory, state, updates, groups)
            change = correction(old, projection, epsilon, epsilon_mode)
            rate = value_at(law_learning_rate, state.count)
            law = _corrected(law, change, rate, law_bounds, max_correction)
            if recursive and propagator is not None:
                gram_matrix = propagate_gram(propagator, old, projection, square)
            one = one_after(jnp.sum(law))  # the old memory has been read: now overwrite it
        if isinstance(rule, Propagator):
            memory = advance(rule, state.memory, updates, one)
        else:
            memory, waiting = jax.tree.map(
                lambda x: (x * one).astype(x.dtype), (state.memory, updates)
            )
            memory, hidden = rule.update(waiting, memory, hidden, params, **extra)
        if law_learning_rate is not None and updated:
            new, projection, _ = _products(memory, state, updates, groups)
            change = correction(new, projection, epsilon, epsilon_mode)
            rate = value_at(law_learning_rate, state.count)
            law = _corrected(law, change, rate, law_bounds, max_correction)
        count = optax.safe_increment(state.count)
        step = _combine(memory, updates, law, groups)
        return step, RllcState(count, law, memory, gram_matrix, hidden)

    return optax.GradientTransformationExtraArgs(init, update)


def get_law(opt_state: PyTree) -> jax.Array:
    """The learning law L inside any optimizer state: chained, masked, injected, batched.

    Args:
      opt_state: a state with exactly one RllcState in it.

    Returns:
      The law, shape (k,); (groups, k) where there is a law per group; with further leading axes
      where the state is batched.

    Raises:
      ValueError: if there is no RllcState, or more than one.
    """
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, RllcState))
    found = [node for node in nodes if isinstance(node, RllcState)]
    if len(found) != 1:
        raise ValueError(
            f"the optimizer state holds {len(found)} laws; get_law needs a state with exactly one"
        )
    return found[0].law


def value_at(rate: ScalarOrSchedule, count: jax.Array) -> Any:
    """The rate itself, or the schedule's value at this count."""
    return rate(count) if callable(rate) else rate


def check_rate(name: str, rate: ScalarOrSchedule) -> None:
    """Raise a ValueError for a concrete rate that is negative, not finite, or not a scalar."""
    if callable(rate) or isinstance(rate, jax.core.Tracer):
        return
    value = np.asarray(rate)
    if value.ndim != 0 or not np.isfinite(value) or value < 0:
        raise ValueError(f"{name} is {rate}; it must be one finite number of at least 0")


def _check_epsilon(epsilon: Any, mode: str) -> None:
    check_rate("epsilon", epsilon)
    if mode not in EPSILON_MODES:
        raise ValueError(f"epsilon_mode is {mode!r}; the modes are {', '.join(EPSILON_MODES)}")


def _check_limits(bounds: Any, limit: Any) -> None:
    """Raise a ValueError for bounds that are no ordered pair, or a limit that is negative."""
    wanted = f"law_bounds is {bounds!r}; it must be a pair (low, high) with low <= high"
    try:
        low, high = (None, None) if bounds is None else bounds
    except (TypeError, ValueError) as error:
        raise ValueError(wanted) from error
    traced = any(isinstance(x, jax.core.Tracer) for x in (low, high, limit))
    if traced:
        return
    if low is not None and high is not None and not np.all(np.asarray(low) <= np.asarray(high)):
        raise ValueError(wanted)
    if limit is not None and (callable(limit) or not np.all(np.asarray(limit) >= 0)):
        raise ValueError(f"max_correction is {limit!r}; it must be a number of at least 0")


def _check_gram(gram: str) -> bool:
    if gram not in ("recursive", "exact"):
        raise ValueError(f"gram is {gram!r}; it must be 'recursive' or 'exact'")
    return gram == "recursive"


def _check_correct_with(memory: str, gram: str) -> bool:
    if memory not in ("old", "updated"):
        raise ValueError(f"correct_with is {memory!r}; it must be 'old' or 'updated'")
    if memory == "updated" and gram == "recursive":
        raise ValueError("correct_with='updated' needs gram='exact'; gram is 'recursive'")
    return memory == "updated"


def _law_dtype(params: PyTree) -> Any:
    """At least float32, float64 for float64 parameters; complex parameters are refused."""
    dtypes = [jnp.result_type(leaf) for leaf in jax.tree.leaves(params)]
    if any(jnp.issubdtype(dtype, jnp.complexfloating) for dtype in dtypes):
        raise ValueError("parameters are complex; wrap with optax.contrib.split_real_and_imaginary")
    return jnp.result_type(jnp.float32, *dtypes)


def _init_memory(
    rule: Propagator | MemoryRule, params: PyTree, dtype: Any
) -> tuple[Memory, PyTree]:
    if isinstance(rule, Propagator):
        return tuple(empty_unit(params, dtype) for _ in range(rule.num_units)), ()
    memory, hidden = rule.init(params)
    if dtype is not None:
        memory = jax.tree.map(lambda m: m.astype(dtype), memory)
    return tuple(memory), hidden


def _products(
    memory: Memory, state: RllcState, updates: PyTree, groups: list[int | None]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The memory's Gram matrix (..., k, k), its products with g (..., k), and |g|² (...)."""
    k, dtype = len(memory), state.law.dtype
    units = [jax.tree.leaves(unit) for unit in memory]
    parts = []
    for i, g in enumerate(jax.tree.leaves(updates)):
        vectors = [unit[i] for unit in units]
        parts.append(_leaf_products(vectors, g, dtype, state.gram is None))
    empty = [jnp.zeros((), dtype)] * _num_products(k, state.gram is None)
    total = sum_groups(parts, groups, state.law.shape[:-1], empty)
    projection, square = jnp.stack(total[:k], axis=-1), total[k]
    if state.gram is not None:
        return state.gram, projection, square
    upper = dict(zip(_upper(k), total[k + 1 :], strict=True))
    rows = [jnp.stack([upper[min(i, j), max(i, j)] for j in range(k)], axis=-1) for i in range(k)]
    return jnp.stack(rows, axis=-2), projection, square


def _leaf_products(
    units: list[jax.Array], g: jax.Array, dtype: Any, with_gram: bool
) -> list[jax.Array]:
    """One leaf's part of M^T g, |g|² and, if asked for, the upper half of M^T M."""
    pairs = [(m, g) for m in units] + [(g, g)]
    if with_gram:
        pairs += [(units[i], units[j]) for i, j in _upper(len(units))]
    return inner_products(pairs, dtype)


def _upper(k: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(k) for j in range(i, k)]


def _num_products(k: int, with_gram: bool) -> int:
    return k + 1 + (k * (k + 1) // 2 if with_gram else 0)


def _corrected(law: jax.Array, change: jax.Array, rate: Any, bounds: Any, limit: Any) -> jax.Array:
    """L + c₂ M^+ g with the optional limits, in the law's own dtype."""
    if limit is not None:
        norm = jnp.linalg.norm(change, axis=-1, keepdims=True)
        change = change * jnp.minimum(1, limit / jnp.maximum(norm, jnp.finfo(law.dtype).tiny))
    law = (law + rate * change).astype(law.dtype)
    return law if bounds is None else jnp.clip(law, *bounds).astype(law.dtype)


def _combine(memory: Memory, updates: PyTree, law: jax.Array, groups: list[int | None]) -> PyTree:
    """M L, leaf by leaf, in the law's dtype and cast to the gradient's."""
    leaves, structure = jax.tree.flatten(updates)
    units = [jax.tree.leaves(unit) for unit in memory]
    step = []
    for i, (g, group) in enumerate(zip(leaves, groups, strict=True)):
        weights = law if group is None else law[group]
        terms = [weights[j] * unit[i].astype(weights.dtype) for j, unit in enumerate(units)]
        step.append(sum(terms[1:], terms[0]).astype(g.dtype))
    return jax.tree.unflatten(structure, step)
