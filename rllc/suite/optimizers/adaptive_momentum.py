r"""Momentum whose decay moves, too: the adaptive memory that the paper names as future work.

Section 8 asks for linear memory :math:`M_t = M_{t-1} B + g_t a^\top` whose B and a adapt. For one
unit, :math:`M_t = β_t M_{t-1} + g_t`, B is the decay β and a only a unit of the law. The loss that
the last step led to, :math:`f(θ - c_1 L M_{t-1})`, is the one-step objective that corrects the law;
its derivative in the decay that made :math:`M_{t-1}` is :math:`-c_1 L ⟨g_t, M_{t-2}⟩`. As for the
law, only a ratio counts:

.. math:: β_t = \mathrm{clip}(β_{t-1} + c_3 \cos(g_t, M_{t-2}), 0, β_{max})

The law's sign is taken to be positive, since a memory rule does not see the law. With
:math:`c_3 = 0` it is ``M(β)``.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

import rllc

MOST = 0.99


def adaptive_momentum(
    learning_rate: jax.typing.ArrayLike,
    law_learning_rate: jax.typing.ArrayLike = 0.003,
    decay_learning_rate: jax.typing.ArrayLike = 1e-3,
    decay: float = 0.9,
    **settings: Any,
) -> optax.GradientTransformationExtraArgs:
    """RLLC on one momentum whose decay follows the one-step objective.

    Args:
      learning_rate: c₁, a number or a traced scalar.
      law_learning_rate: c₂, likewise.
      decay_learning_rate: c₃, likewise: change of the decay per step and unit of the cosine.
      decay: β at the start, from 0 to `MOST`.
      **settings: of `rllc.scale_by_rllc`.

    Raises:
      ValueError: a decay out of bounds.
    """
    if not 0 <= decay <= MOST:
        raise ValueError(f"decay={decay!r} must be a number from 0 to {MOST}")
    rule = moving_momentum(decay_learning_rate, decay)
    return optax.chain(
        rllc.scale_by_rllc(rule, law_learning_rate, **settings),
        optax.scale_by_learning_rate(learning_rate),
    )


def moving_momentum(decay_learning_rate: jax.typing.ArrayLike, decay: float) -> rllc.MemoryRule:
    """The memory: one unit; its hidden state is the decay and the memory a step before."""

    def init(params: Any) -> tuple[Any, Any]:
        empty = optax.tree.zeros_like(params)
        return (empty,), {"decay": jnp.float32(decay), "before": optax.tree.zeros_like(params)}

    def update(
        gradient: Any, memory: Any, hidden: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        del params, extra
        moved = hidden["decay"] + decay_learning_rate * cosine(gradient, hidden["before"])
        beta = jnp.clip(moved, 0.0, MOST).astype(jnp.float32)
        unit = jax.tree.map(lambda m, g: (beta * m + g).astype(m.dtype), memory[0], gradient)
        return (unit,), {"decay": beta, "before": memory[0]}

    return rllc.MemoryRule(init, update)


def cosine(a: Any, b: Any) -> jax.Array:
    """Of the angle between two trees; 0 where one is zero or not finite."""
    lengths = optax.tree.norm(a) * optax.tree.norm(b)
    value = optax.tree.vdot(a, b) / jnp.where(lengths > 0, lengths, 1)
    return jnp.where(jnp.isfinite(value) & (lengths > 0), value, 0.0)


def get_decay(opt_state: Any) -> jax.Array:
    """The decay β inside the state of `adaptive_momentum`, shape (1,); batched as the state is."""
    hidden = optax.tree.get(opt_state, "hidden")
    return jnp.asarray(hidden["decay"])[..., None]
