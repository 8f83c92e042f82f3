"""Whole optimizers: `lm_rllc`, `linear_memory`, and `wrap` and `mix` for other optimizers."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.law import resolve_initial_law
from rllc.linear import PyTree
from rllc.options import ScalarOrSchedule, check_rate, takes_law_options, value_at
from rllc.propagators import Propagator, parse
from rllc.rules import last_steps
from rllc.transform import scale_by_rllc

MAX_LAW_STEP = 0.01  # of `wrap` and `mix`, see docs/guards.md


class StepState(NamedTuple):
    """State of the step −c₁·u under a schedule: the number of steps taken, int32, shape ()."""

    count: jax.Array  # type: ignore[assignment]  # a field, not tuple.count


@takes_law_options()
def lm_rllc(
    propagator: Propagator | str,
    learning_rate: ScalarOrSchedule,
    law_learning_rate: ScalarOrSchedule = 0.01,
    initial_law: Any = "ones",
    epsilon: Any = 1e-6,
    *,
    weight_decay: Any = None,
    mask: Any = None,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""LM-RLLC: linear memory combined by a self-correcting learning law.

    .. math::
      L_t = L_{t-1} + c_2 M_{t-1}^+ g_t, \quad M_t = M_{t-1} B + g_t a^\top, \quad
      θ_t = θ_{t-1} - c_1 M_t L_t

    Args:
      propagator: (B, a), or its notation such as "M(0.9)+M(0.0)".
      learning_rate: c₁, a number, traced scalar or schedule.
      law_learning_rate: c₂, likewise. The paper tunes it over 0.003, 0.01, 0.03.
      initial_law: L_0, see `rllc.initial_law`; a choice the paper leaves open.
      epsilon: ε of the relaxed pseudo-inverse, see `rllc.law.correction`; a choice the paper leaves
        open.
      **options: epsilon_mode, gram, correct_with, law_update, correction_decay, law_groups,
        law_bounds, max_correction, max_law_step, max_gradient_ratio, memory_dtype, axis_name: as in
        `rllc.scale_by_rllc`.
      weight_decay: decoupled decay λ: adds c₁ λ θ to the step. None for none (the paper).
      mask: which parameters decay, as in `optax.add_decayed_weights`.

    Returns:
      An optax optimizer.

    Raises:
      ValueError: for a propagator that cannot be read, a negative or non-finite rate, an initial
        law of the wrong length, or a mask without ``weight_decay``.

    Example:
      >>> import jax, jax.numpy as jnp, optax, rllc
      >>> loss = lambda params: jnp.sum(jnp.arange(1, 101) / 100 * params**2)
      >>> tx = rllc.lm_rllc("M(0.9)+M(0.0)", learning_rate=0.03)
      >>> params = jnp.ones(100)
      >>> state = tx.init(params)
      >>> @jax.jit
      ... def step(params, state):
      ...     updates, state = tx.update(jax.grad(loss)(params), state)
      ...     return optax.apply_updates(params, updates), state
      >>> for _ in range(50):
      ...     params, state = step(params, state)
      >>> bool(loss(params) < 0.05 * loss(jnp.ones(100)))
      True

    Reference: section 5, definition 5.1.
    """
    check_rate("learning_rate", learning_rate)
    direction = scale_by_rllc(
        parse(propagator), law_learning_rate, initial_law, epsilon=epsilon, **options
    )
    return optax.chain(direction, *_decay(weight_decay, mask), scale_by_step(learning_rate))


def linear_memory(
    propagator: Propagator | str,
    law: Any,
    learning_rate: ScalarOrSchedule,
    *,
    memory_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Linear memory with a fixed law: :math:`M_t = M_{t-1} B + g_t a^\top,\ θ_t = θ_{t-1} - c_1
    M_t L`.

    The class L(B, a, L) of the paper. With "M(β)+M(0)" the law (0, 1) is SGD, (1, 0) is momentum
    SGD, and (β, 1) is Nesterov's accelerated gradient (lemma 4.1).

    Args:
      propagator: (B, a), or its notation.
      law: L, k values, or a name of `rllc.initial_law`.
      learning_rate: c₁, a number, traced scalar or schedule.
      memory_dtype: dtype of the memory; None for the parameters' own.

    Returns:
      An optax optimizer.

    Raises:
      ValueError: for a propagator that cannot be read, a bad rate, or a law of the wrong length.

    Example:
      >>> import jax.numpy as jnp, optax, rllc
      >>> ours = rllc.linear_memory("M(0.9)+M(0.0)", (0.9, 1), 0.1)
      >>> theirs = optax.sgd(0.1, momentum=0.9, nesterov=True)
      >>> g = jnp.array([1.0, 2.0])
      >>> u, _ = ours.update(g, ours.init(g))
      >>> v, _ = theirs.update(g, theirs.init(g))
      >>> bool(jnp.allclose(u, v))
      True

    Reference: section 4, "Linear memory optimizers with fixed learning law".
    """
    check_rate("learning_rate", learning_rate)
    p = parse(propagator)
    resolve_initial_law(law, p.num_units)
    fixed = scale_by_rllc(p, None, law, memory_dtype=memory_dtype)
    return optax.chain(fixed, scale_by_step(learning_rate))


@takes_law_options(max_law_step=MAX_LAW_STEP)
def wrap(
    inner: optax.GradientTransformation,
    learning_rate: ScalarOrSchedule = 1.0,
    law_learning_rate: ScalarOrSchedule = 0.001,
    initial_law: Any = "ones",
    epsilon: Any = 1e-6,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""An adaptive learning rate for any optax optimizer.

    The only memory unit is the inner optimizer's last step :math:`u_t`, and
    :math:`θ_t = θ_{t-1} + c_1 L_t u_t`. With ``learning_rate=1`` and L_0 = 1 it starts as the inner
    optimizer itself; then L grows while gradients agree with the step before, and shrinks while
    they oppose it.

    Args:
      inner: a whole optimizer, such as ``optax.adam(1e-3)``.
      learning_rate: c₁, a factor on the inner optimizer's own rate.
      law_learning_rate: c₂. The correction is :math:`-\langle u_{t-1}, g_t\rangle / |u_{t-1}|^2`,
        so c₂ has the unit of a step over a gradient, and no default suits all: if steps are rates
        times gradients begin at 0.003 … 0.03 times the inner optimizer's rate
        (``wrap(optax.sgd(r), 1, c * r, max_law_step=None)`` is ``lm_rllc("M(0.0)", r, c,
        max_gradient_ratio=None)``), and take less wherever the law falls to 0 within some hundred
        steps. Too large a c₂ is harmless up to a point: the law moves by at most ``max_law_step``.
      initial_law: L_0, see `rllc.initial_law`.
      **options: as in `rllc.scale_by_rllc`, but ``max_law_step`` is 0.01; None for no limit.

    Returns:
      An optax optimizer.

    Example:
      >>> import jax.numpy as jnp, optax, rllc
      >>> tx = rllc.wrap(optax.sgd(0.1))
      >>> params = jnp.array([1.0, 2.0])
      >>> state = tx.init(params)
      >>> for _ in range(3):
      ...     updates, state = tx.update(params, state, params)  # the gradient of |params|²/2
      ...     params = optax.apply_updates(params, updates)
      >>> bool(rllc.get_law(state)[0] > 1)  # all three gradients agree: larger steps
      True

    Reference: section 3, the paragraph on adaptive learning rates for any optimizer.
    """
    return mix(
        inner,
        learning_rate=learning_rate,
        law_learning_rate=law_learning_rate,
        initial_law=initial_law,
        epsilon=epsilon,
        **options,
    )


@takes_law_options(max_law_step=MAX_LAW_STEP)
def mix(
    *optimizers: optax.GradientTransformation,
    learning_rate: ScalarOrSchedule = 1.0,
    law_learning_rate: ScalarOrSchedule = 0.001,
    initial_law: Any = "mean",
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """Several optax optimizers mixed by one learning law.

    Memory unit j is the last step of optimizer j; the law weighs the steps. All see the same
    gradients, at the parameters of the mixture.

    Args:
      *optimizers: whole optimizers, such as ``optax.sgd(0.1), optax.adam(1e-3)``.
      learning_rate: c₁, a factor on all steps.
      law_learning_rate: c₂ in the unit of a step over a gradient, see `rllc.wrap`.
      initial_law: L_0; by default each optimizer has the same share and the shares sum to 1.
      **options: as in `rllc.scale_by_rllc`, but ``max_law_step`` is 0.01; None for no limit.

    Returns:
      An optax optimizer.

    Raises:
      ValueError: if there is no optimizer, or for bad rates or laws.

    Example:
      >>> import jax.numpy as jnp, optax, rllc
      >>> tx = rllc.mix(optax.sgd(0.1), optax.adam(1e-3))
      >>> state = tx.init(jnp.ones(2))
      >>> rllc.get_law(state).tolist()
      [0.5, 0.5]
    """
    if not optimizers:
        raise ValueError("mix of no optimizers; give at least one")
    check_rate("learning_rate", learning_rate)
    resolve_initial_law(initial_law, len(optimizers))
    direction = scale_by_rllc(last_steps(*optimizers), law_learning_rate, initial_law, **options)
    return optax.chain(direction, scale_by_step(learning_rate))


def scale_by_step(learning_rate: ScalarOrSchedule) -> optax.GradientTransformation:
    """The step −c₁·u in the dtype of u, for numbers, traced scalars and schedules.

    Unlike `optax.scale_by_learning_rate`, a float32 rate does not turn bfloat16 updates into
    float32.
    """

    def init(params: PyTree) -> StepState | optax.EmptyState:
        del params
        return (
            StepState(jnp.zeros((), jnp.int32)) if callable(learning_rate) else optax.EmptyState()
        )

    def update(updates: PyTree, state: Any, params: PyTree = None) -> tuple[PyTree, Any]:
        del params
        count = state.count if callable(learning_rate) else jnp.zeros((), jnp.int32)
        rate = value_at(learning_rate, count)
        updates = jax.tree.map(lambda u: (-rate * u).astype(u.dtype), updates)
        return updates, StepState(optax.safe_increment(count)) if callable(learning_rate) else state

    return optax.GradientTransformation(init, update)


def _decay(weight_decay: Any, mask: Any) -> list[optax.GradientTransformation]:
    """+ λ θ in the dtype of the step; optax's lets a float32 λ turn bfloat16 steps into float32."""
    if weight_decay is None:
        if mask is not None:
            raise ValueError(f"mask is {mask!r}, but weight_decay is None: give both, or no mask")
        return []
    check_rate("weight_decay", weight_decay)
    plain = optax.add_decayed_weights(weight_decay, mask)

    def update(updates: PyTree, state: Any, params: PyTree = None) -> tuple[PyTree, Any]:
        decayed, state = plain.update(updates, state, params)
        return jax.tree.map(lambda new, u: new.astype(u.dtype), decayed, updates), state

    return [optax.GradientTransformation(plain.init, update)]
