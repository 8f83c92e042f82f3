"""Code for one CPU: the help XLA's CPU backend needs to be fast does not survive being split."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jax.sharding import AxisType

Tree = TypeVar("Tree")


def on_one_cpu(
    one: Callable[..., Tree], otherwise: Callable[..., Tree], *arrays: jax.Array
) -> Tree:
    """What ``one`` makes of the arrays in a program of one CPU device, and ``otherwise`` elsewhere.

    Which it is shows when the program is lowered, so both are traced and must return alike. Some
    types tell it before: a shard of `jax.shard_map` over a whole mesh is a program of one device;
    what is sharded by its type, or along the axes a shard_map leaves, is split.
    """
    kinds = {kind for x in arrays for kind in jax.typeof(x).sharding.mesh.axis_types}
    if not kinds <= {AxisType.Auto} and kinds != {AxisType.Manual}:
        return otherwise(*arrays)
    cpu = one if AxisType.Manual in kinds else functools.partial(_by_devices, one, otherwise)
    chosen: Tree = jax.lax.platform_dependent(*arrays, cpu=cpu, default=otherwise)
    return chosen


def varying(x: jax.Array) -> frozenset[Any]:
    """The mapped axes of `jax.shard_map` over which the type of x says that it varies."""
    kind = jax.typeof(x)
    manual = getattr(kind, "manual_axis_type", None)
    return getattr(kind, "vma", frozenset()) if manual is None else manual.varying


_choice = Primitive("rllc_by_devices")
_choice.multiple_results = True


def _by_devices(one: Callable[..., Tree], otherwise: Callable[..., Tree], *arrays: Any) -> Tree:
    """``one`` in a program of one device, ``otherwise`` in one that is split over several."""
    structure = jax.tree.structure(jax.eval_shape(otherwise, *arrays))
    flat = [_Flat(one), _Flat(otherwise)]
    leaves = _choice.bind(*arrays, one=flat[0], otherwise=flat[1])
    chosen: Tree = jax.tree.unflatten(structure, leaves)
    return chosen


class _Flat:
    """A function that returns the leaves of its result."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *arrays: Any) -> list[Any]:
        return jax.tree.leaves(self.function(*arrays))


def _now(*arrays: Any, one: _Flat, otherwise: _Flat) -> list[Any]:
    """Outside of any program, as under `jax.disable_jit`."""
    return (one if all(len(x.devices()) == 1 for x in arrays) else otherwise)(*arrays)


def _types(*arrays: Any, one: _Flat, otherwise: _Flat) -> list[Any]:
    del one
    return [jax.typeof(x) for x in jax.eval_shape(otherwise, *arrays)]


def _batched(arrays: Any, axes: Any, one: _Flat, otherwise: _Flat) -> tuple[list[Any], list[int]]:
    mapped = [_Flat(jax.vmap(f, in_axes=axes)) for f in (one, otherwise)]
    results = _choice.bind(*arrays, one=mapped[0], otherwise=mapped[1])
    return results, [0] * len(results)


def _lowered(ctx: mlir.LoweringRuleContext, *values: Any, one: _Flat, otherwise: _Flat) -> Any:
    devices = getattr(ctx.module_context.axis_context, "num_devices", 1)
    return mlir.lower_fun(one if devices == 1 else otherwise, multiple_results=True)(ctx, *values)


_choice.def_impl(_now)
_choice.def_abstract_eval(_types)
batching.primitive_batchers[_choice] = _batched
mlir.register_lowering(_choice, _lowered)
