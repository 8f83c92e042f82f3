"""Another metric: an optimizer in coordinates scaled by the gradients' second moments."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

PyTree = Any


class RmsMetricState(NamedTuple):
    """State of `precondition_by_rms`.

    Attributes:
      count: number of steps taken, int32, shape ().
      nu: running mean of squared gradients, shaped and placed like the parameters, at least
        float32.
      inner: state of the inner optimizer.
    """

    count: jax.Array  # type: ignore[assignment]  # a field, not tuple.count
    nu: PyTree
    inner: PyTree


def precondition_by_rms(
    inner: optax.GradientTransformation, decay: Any = 0.999, eps: Any = 1e-8
) -> optax.GradientTransformationExtraArgs:
    r"""Run an optimizer in the metric of Adam's second moments.

    .. math::
      v_t = d\, v_{t-1} + (1-d)\, g_t^2, \quad
      s_t = \bigl(\sqrt{v_t / (1 - d^t)} + ε\bigr)^{-1/2}, \quad
      u_t = s_t \odot \operatorname{inner}(s_t \odot g_t)

    That is the inner optimizer on the parameters :math:`θ / s`, whose gradients are
    :math:`s \odot g`. A step of plain SGD becomes one of Adam without momentum. Inner products of
    what the inner optimizer sees are :math:`g^\top \operatorname{diag}(s^2)\, g'`, about
    :math:`\sum g_i g'_i / \sqrt{v_i}`: a learning law inside projects in this inner product, and
    its corrections stay ratios without a unit. Coordinates of large gradients then decide less of
    it. (In `rllc.filtered` with `optax.scale_by_rms` the memory is preconditioned, but projects
    the raw gradient.)

    Args:
      inner: any optimizer, such as ``rllc.lm_rllc("M(0.9)", 0.001)``. Its learning rate has the
        unit of a parameter, as Adam's has. Weight decay belongs outside, behind it in a chain.
      decay: d of the squared gradients, per step.
      eps: ε, added to the root of the second moment (unit of a gradient).

    Returns:
      An optax optimizer that keeps one number per parameter more than the inner one.

    Example:
      >>> import jax.numpy as jnp, rllc
      >>> tx = rllc.precondition_by_rms(rllc.lm_rllc("M(0.9)", 0.001))
      >>> params = jnp.array([1.0, 100.0])
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> [round(float(u), 6) for u in updates]  # the gradient's size does not matter
      [-0.001, -0.001]
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: PyTree) -> RmsMetricState:
        nu = jax.tree.map(lambda p: jnp.zeros_like(p, _at_least_float32(p)), params)
        return RmsMetricState(jnp.zeros((), jnp.int32), nu, inner.init(params))

    def update(
        updates: PyTree, state: RmsMetricState, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, RmsMetricState]:
        count = optax.safe_increment(state.count)
        unbiased = 1 - decay ** count.astype(jnp.float32)
        nu = jax.tree.map(
            lambda v, g: (decay * v + (1 - decay) * jnp.square(g.astype(v.dtype))).astype(v.dtype),
            state.nu,
            updates,
        )
        scale = jax.tree.map(lambda v: jax.lax.rsqrt(jnp.sqrt(v / unbiased) + eps), nu)
        step, inside = inner.update(_times(scale, updates), state.inner, params, **extra)
        return _times(scale, step), RmsMetricState(count, nu, inside)

    return optax.GradientTransformationExtraArgs(init, update)


def _at_least_float32(x: Any) -> Any:
    return jnp.promote_types(jnp.result_type(x), jnp.float32)


def _times(scale: PyTree, tree: PyTree) -> PyTree:
    """The products in the dtype of the tree."""
    return jax.tree.map(lambda s, x: (s * x).astype(x.dtype), scale, tree)
