"""Memory rules: any way of keeping k vectors beside the parameters (definition 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.linear import Memory, PyTree, advance, empty_unit
from rllc.propagators import Propagator, parse


class MemoryRule(NamedTuple):
    r"""A memory update rule :math:`(M_t, H_t) = U(M_{t-1}, H_{t-1}, g_t)`.

    Memory is a tuple of k trees, one for each unit, each shaped and sharded like the parameters.
    Give the rule to `rllc.scale_by_rllc`.

    Attributes:
      init: ``init(params) -> (memory, hidden)``.
      update: ``update(gradient, memory, hidden, params=None, **extra) -> (memory, hidden)``;
        ``extra`` holds the extra arguments given to the optimizer's own ``update``.

    Example:
      >>> import jax.numpy as jnp, rllc
      >>> last_gradient = rllc.MemoryRule(
      ...     init=lambda params: ((jnp.zeros_like(params),), ()),
      ...     update=lambda g, memory, hidden, params=None, **extra: ((g,), hidden),
      ... )
      >>> tx = rllc.scale_by_rllc(last_gradient, law_learning_rate=0.1)
      >>> _, state = tx.update(jnp.ones(3), tx.init(jnp.zeros(3)))
      >>> _, state = tx.update(jnp.ones(3), state)
      >>> round(float(rllc.get_law(state)[0]), 4)  # 1 + 0.1 <g_1, g_2> / |g_1|²
      1.1

    Reference: section 3, definition 3.2.
    """

    init: Callable[..., tuple[Memory, PyTree]]
    update: Callable[..., tuple[Memory, PyTree]]


def waiting_rule(rule: Propagator | MemoryRule, dtype: Any = None) -> MemoryRule:
    """Any rule, linear memory too, as the engine runs it: ``update(gradient, memory, hidden, one,
    params, **extra)`` may overwrite the old memory once ``one`` is known (see `one_after`).

    Args:
      rule: a propagator, or a rule.
      dtype: dtype of the memory; None for what the rule has.
    """
    if isinstance(rule, Propagator):
        p = rule

        def empty(params: PyTree) -> tuple[Memory, PyTree]:
            return tuple(empty_unit(params, dtype) for _ in range(p.num_units)), ()

        def linear(
            gradient: PyTree, memory: Memory, hidden: PyTree, one: Any, *_: Any, **extra: Any
        ) -> tuple[Memory, PyTree]:
            del extra
            return advance(p, memory, gradient, one), hidden

        return MemoryRule(empty, linear)
    return _waiting(rule, dtype)


def _waiting(rule: MemoryRule, dtype: Any) -> MemoryRule:
    def init(params: PyTree) -> tuple[Memory, PyTree]:
        memory, hidden = rule.init(params)
        if dtype is not None:
            memory = jax.tree.map(lambda m: m.astype(dtype), memory)
        return tuple(memory), hidden

    def update(
        gradient: PyTree, memory: Memory, hidden: PyTree, one: Any, params: PyTree, **extra: Any
    ) -> tuple[Memory, PyTree]:
        memory, gradient = jax.tree.map(lambda x: (x * one).astype(x.dtype), (memory, gradient))
        return rule.update(gradient, memory, hidden, params, **extra)

    return MemoryRule(init, update)


def gradient_history(ages: tuple[int, ...]) -> MemoryRule:
    """Gradients of several ages: unit j holds g_{t − ages[j]}, age 0 being the gradient just seen.

    The ages in between are the hidden state, so max(ages) + 1 gradients are kept in all.

    Args:
      ages: different integers of at least 0.

    Returns:
      A rule of len(ages) units.

    Raises:
      ValueError: if ages are not different non-negative integers, or there is none.
    """
    ages = tuple(ages)
    if not ages or len(set(ages)) < len(ages) or any(int(age) != age or age < 0 for age in ages):
        raise ValueError(f"ages is {ages}; it must hold different integers of at least 0")
    between = tuple(age for age in range(max(ages)) if age not in ages)

    def init(params: PyTree) -> tuple[Memory, PyTree]:
        return tuple(empty_unit(params) for _ in ages), tuple(empty_unit(params) for _ in between)

    def update(
        gradient: PyTree, memory: Memory, hidden: PyTree, params: PyTree = None, **extra: Any
    ) -> tuple[Memory, PyTree]:
        del params, extra
        old = dict(zip((*ages, *between), (*memory, *hidden), strict=True))
        new = {age: gradient if age == 0 else old[age - 1] for age in old}
        new = {age: _like(new[age], old[age]) for age in old}
        return tuple(new[age] for age in ages), tuple(new[age] for age in between)

    return MemoryRule(init, update)


def sign_momentum(*betas: float) -> MemoryRule:
    r"""Signs of momenta: unit j holds :math:`\mathrm{sign}(h_j)`, with :math:`h_j ← β_j h_j + g`.

    Args:
      *betas: one decay for each unit; the momenta h are the hidden state.

    Returns:
      A rule of len(betas) units.

    Raises:
      ValueError: if there is no beta, or one is not a finite real number.
    """
    if not betas:
        raise ValueError("sign_momentum of no betas; give at least one")
    momenta = parse("+".join(f"M({float(beta)!r})" for beta in betas))

    def init(params: PyTree) -> tuple[Memory, PyTree]:
        return tuple(empty_unit(params) for _ in betas), tuple(empty_unit(params) for _ in betas)

    def update(
        gradient: PyTree, memory: Memory, hidden: PyTree, params: PyTree = None, **extra: Any
    ) -> tuple[Memory, PyTree]:
        del params, extra
        hidden = advance(momenta, hidden, gradient)
        return _like(jax.tree.map(jnp.sign, hidden), memory), hidden

    return MemoryRule(init, update)


def adam_and_momentum(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, beta: float = 0.9
) -> MemoryRule:
    r"""Two units: Adam's direction :math:`\hat m / (\sqrt{\hat v} + ε)`, and raw momentum M(β).

    Args:
      b1, b2, eps: of Adam, whose moments are the hidden state.
      beta: decay of the momentum.

    Returns:
      A rule of two units.
    """
    adam = filtered("M(0.0)", optax.scale_by_adam(b1, b2, eps))
    momentum = parse(f"M({float(beta)!r})")

    def init(params: PyTree) -> tuple[Memory, PyTree]:
        memory, hidden = adam.init(params)
        return (*memory, empty_unit(params)), hidden

    def update(
        gradient: PyTree, memory: Memory, hidden: PyTree, params: PyTree = None, **extra: Any
    ) -> tuple[Memory, PyTree]:
        direction, hidden = adam.update(gradient, memory[:1], hidden, params, **extra)
        return (*direction, *advance(momentum, memory[1:], gradient)), hidden

    return MemoryRule(init, update)


def filtered(
    propagator: Propagator | str, transformation: optax.GradientTransformation
) -> MemoryRule:
    r"""Linear memory of a transformed gradient: :math:`M_t = M_{t-1} B + d_t a^\top`.

    :math:`d_t` is the output of any optax transformation whose output points uphill, as the
    gradient does: ``scale_by_adam``, ``clip``, … For a whole optimizer, whose output is a step
    downhill, see `rllc.wrap`. The law is still corrected by the gradient itself.

    Args:
      propagator: (B, a), or its notation.
      transformation: the transformation; its state is the hidden state.

    Returns:
      A rule of as many units as the propagator has.
    """
    p, inner = parse(propagator), optax.with_extra_args_support(transformation)

    def init(params: PyTree) -> tuple[Memory, PyTree]:
        return tuple(empty_unit(params) for _ in range(p.num_units)), inner.init(params)

    def update(
        gradient: PyTree, memory: Memory, hidden: PyTree, params: PyTree = None, **extra: Any
    ) -> tuple[Memory, PyTree]:
        direction, hidden = inner.update(gradient, hidden, params, **extra)
        return advance(p, memory, direction), hidden

    return MemoryRule(init, update)


def last_steps(*optimizers: optax.GradientTransformation) -> MemoryRule:
    """The last learning step of each optimizer, turned uphill so that M L is again subtracted.

    Args:
      *optimizers: whole optax optimizers (their updates are added to the parameters).

    Returns:
      A rule with one unit for each; their states are the hidden state.

    Raises:
      ValueError: if there is none, or one that is not an optimizer.
    """
    if not optimizers:
        raise ValueError("last steps of no optimizers; give at least one")
    for optimizer in optimizers:
        if type(optimizer) in (list, tuple):
            raise ValueError(
                f"a {type(optimizer).__name__} of {len(optimizer)} is not an optax optimizer; "
                "unpack it, as in mix(*optimizers)"
            )
        methods = [getattr(optimizer, name, None) for name in ("init", "update")]
        if isinstance(optimizer, MemoryRule) or not all(map(callable, methods)):
            raise ValueError(
                f"{optimizer!r} is not an optax optimizer; give one with its arguments, such as "
                "optax.adam(1e-3)"
            )
    inners = [optax.with_extra_args_support(optimizer) for optimizer in optimizers]

    def init(params: PyTree) -> tuple[Memory, PyTree]:
        states = tuple(inner.init(params) for inner in inners)
        return tuple(empty_unit(params) for _ in inners), states

    def update(
        gradient: PyTree, memory: Memory, hidden: PyTree, params: PyTree = None, **extra: Any
    ) -> tuple[Memory, PyTree]:
        results = [
            inner.update(gradient, state, params, **extra)
            for inner, state in zip(inners, hidden, strict=True)
        ]
        units = tuple(jax.tree.map(jnp.negative, step) for step, _ in results)
        return _like(units, memory), tuple(state for _, state in results)

    return MemoryRule(init, update)


def _like(new: PyTree, old: PyTree) -> PyTree:
    """The new values in the dtypes of the old ones, which ``memory_dtype`` may have set."""
    return jax.tree.map(lambda n, o: n.astype(o.dtype), new, old)
