"""`scale_by_rllc`: the one engine that runs every propagator and every memory rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.groups import law_labels, leaf_groups
from rllc.law import correction, is_trusted, propagate_gram, resolve_initial_law
from rllc.linear import Memory, PyTree, one_after
from rllc.moving import CorrectionAverage, at_most, averaged, empty_average, moved
from rllc.options import (
    LawOptions,
    ScalarOrSchedule,
    check_options,
    check_rate,
    check_start,
    takes_law_options,
    value_at,
)
from rllc.projection import products
from rllc.propagators import Propagator, parse
from rllc.rules import MemoryRule, waiting_rule
from rllc.trees import checked_gradient, law_dtype


class RllcState(NamedTuple):
    """State of `scale_by_rllc`.

    Attributes:
      count: number of steps taken t, int32, shape ().
      law: the learning law L_t, shape (k,), or (groups, k) where there is a law per group.
      memory: M_t, a tuple of k trees, each shaped, sharded and placed like the parameters.
      gram: M_tᵀM_t, shape (k, k) or (groups, k, k); None where each step computes it from the
        memory (``gram="exact"``).
      hidden: H_t, the hidden state of a memory rule; () for linear memory.
      average: the running average of corrections; None without ``correction_decay``.
    """

    count: jax.Array  # type: ignore[assignment]  # a field, not tuple.count
    law: jax.Array
    memory: Memory
    gram: jax.Array | None
    hidden: PyTree
    average: CorrectionAverage | None = None


@takes_law_options()
def scale_by_rllc(
    rule: Propagator | str | MemoryRule,
    law_learning_rate: ScalarOrSchedule | None = 0.01,
    initial_law: Any = "ones",
    **options: Any,
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
      law_update: "additive" adds the correction (the paper); "multiplicative" takes it as a
        relative change, :math:`L_j ← L_j e^{\pm c_2 (M^+ g)_j}` with the sign of L_j, which a
        coefficient keeps; see `rllc.moving.moved`. None may start at 0, where it would stay.
      correction_decay: None corrects by the newest M^+ g (the paper); a number d in [0, 1) by an
        exponential moving average of it, of decay d and without bias at the start.
      law_groups: None for one law over the whole tree (the paper); "leaf" for a law per leaf; or a
        tree of labels (a prefix of the parameters), or a callable from the parameters to one, for a
        law per label.
      law_bounds: (low, high), the law's coefficients are clipped to it; low at most high, None
        for no bound on that side. Either may be k values, a fraction of the initial law, say.
      max_correction: an upper bound for the Euclidean norm of M^+ g; a longer one is shortened.
      max_law_step: likewise for c₂ M^+ g (averaged, if it is), how far the law moves in one step:
        in its own unit, or relative to itself where it is multiplicative. "auto" is None for an
        additive law (the paper) and 0.1 for a multiplicative one; None for no limit.
      max_gradient_ratio: the law stays as it is where |g| is more than this many times the root
        mean square of the memory's columns, √(tr G / k): after a spike, or where the memory passes
        zero. "auto" is 300 for linear memory, above what real training reaches, and None for other
        rules, whose memory need not have the gradient's unit; None for no limit (the paper).
      memory_dtype: dtype of the memory, by name or type; None for the parameters' own. The law
        stays in at least float32.
      axis_name: inside `jax.shard_map`, the name (or a tuple of names) of the mapped axes over
        which the leaves are split: products are summed over them, so all shards have one law. With
        ``check_vma=False`` every leaf must be split over them. () for a law per shard.

    The law also stays as it is where M^+ g is not finite, or where the memory is so small that its
    products lose digits (a mean square below 1e-30 in float32).

    Returns:
      An optax transformation with state RllcState. Its output points uphill, like the gradient;
      `rllc.lm_rllc` appends the step −c₁.

    Raises:
      ValueError: for rates, laws, modes or rules that cannot be meant; from ``init`` for
        parameters that are not real floating numbers; from ``update`` for a gradient with other
        leaves than the parameters, and for one that varies over mapped axes without ``axis_name``.

    Example:
      >>> import jax.numpy as jnp, optax, rllc
      >>> tx = optax.chain(rllc.scale_by_rllc("M(0.9)"), optax.scale(-0.1))
      >>> state = tx.init(jnp.zeros(3))
      >>> updates, state = tx.update(jnp.ones(3), state)
      >>> updates.tolist(), rllc.get_law(state).tolist()
      ([-0.10000000149011612, -0.10000000149011612, -0.10000000149011612], [1.0])

    Reference: section 3, definition 3.2; section 5, definition 5.1 (with L_t where it prints L).
    """
    rule = rule if isinstance(rule, MemoryRule) else parse(rule)
    propagator = rule if isinstance(rule, Propagator) else None
    law_options = check_options(LawOptions(**options), linear=propagator is not None)
    check_rate("law_learning_rate", 0.0 if law_learning_rate is None else law_learning_rate)

    def start_of(k: int) -> Any:
        law = resolve_initial_law(initial_law, k)
        check_start(law, law_options)
        return law

    if propagator is not None:
        start_of(propagator.num_units)
    keeper = waiting_rule(rule, law_options.memory_dtype)
    moves, groups_of = law_learning_rate is not None, law_options.law_groups
    before, after = (moves and law_options.correct_with == when for when in ("old", "updated"))
    averages = moves and law_options.correction_decay is not None
    recursive = moves and propagator is not None and law_options.gram == "recursive"

    def init(params: PyTree) -> RllcState:
        dtype = law_dtype(params)
        memory, hidden = keeper.init(params)
        k = len(memory)
        shape = () if groups_of is None else (len(law_labels(groups_of, params)),)
        law = jnp.broadcast_to(jnp.asarray(start_of(k), dtype), (*shape, k))
        return RllcState(
            count=jnp.zeros((), jnp.int32),
            law=law,
            memory=memory,
            gram=jnp.zeros((*shape, k, k), dtype) if recursive else None,
            hidden=hidden,
            average=empty_average(law) if averages else None,
        )

    def correct(memory: Memory, gradient: PyTree, state: RllcState) -> tuple[Any, Any, Any]:
        """The law corrected with this memory; the average and the next Gram matrix, if carried."""
        groups = leaf_groups(groups_of, gradient)
        axes = law_options.axis_name
        known = products(memory, gradient, groups, state.law, state.gram, axes)
        trusted = is_trusted(*known, law_options.max_gradient_ratio)
        change = correction(
            *known[:2], law_options.epsilon, law_options.epsilon_mode, where=trusted
        )
        change, average = at_most(law_options.max_correction, change), state.average
        if average is not None:
            average, change = averaged(average, change, law_options.correction_decay, trusted)
        law = moved(state.law, change, value_at(law_learning_rate, state.count), law_options)
        gram = propagate_gram(propagator, *known) if recursive and propagator else None
        return law, average, gram

    def update(
        updates: PyTree, state: RllcState, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, RllcState]:
        updates = checked_gradient(updates, state.memory)
        one: Any = 1.0
        law, average, gram = state.law, state.average, state.gram
        if before:
            law, average, gram = correct(state.memory, updates, state)
            one = one_after(jnp.sum(law))  # the old memory has been read: now overwrite it
        memory, hidden = keeper.update(updates, state.memory, state.hidden, one, params, **extra)
        if after:
            law, average, gram = correct(memory, updates, state)
        step = _combine(memory, updates, law, leaf_groups(groups_of, updates))
        count = optax.safe_increment(state.count)
        return step, RllcState(count, law, memory, gram, hidden, average)

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
        message = f"the optimizer state holds {len(found)} laws; get_law needs exactly one"
        if not found:
            message += (
                "; a checkpoint restored without a target has lost its types: restore it into the "
                "structure of tx.init(params), whose law is in an RllcState"
            )
        raise ValueError(message)
    return found[0].law


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
