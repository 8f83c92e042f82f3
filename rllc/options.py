"""Options of the law, spelt and checked once for every optimizer that has a law."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rllc.law import EPSILON_MODES

ScalarOrSchedule = Any  # float | jax.Array (possibly traced) | Callable[[count], scalar]
MAX_GRADIENT_RATIO = 300.0  # real training stays below 50, see docs/guards.md
F = TypeVar("F", bound=Callable[..., Any])


class LawOptions(NamedTuple):
    """Keyword arguments of every optimizer with a law; described at `rllc.scale_by_rllc`."""

    epsilon: Any = 1e-6
    epsilon_mode: str = "relative"
    gram: str = "exact"
    correct_with: str = "old"
    law_groups: Any = None
    law_bounds: tuple[Any, Any] | None = None
    max_correction: Any = None
    max_law_step: Any = None
    max_gradient_ratio: Any = "auto"
    memory_dtype: Any = None
    axis_name: Any = None


def takes_law_options(**defaults: Any) -> Callable[[F], F]:
    """Give a function ``f(..., **options)`` the options of the law as keyword arguments.

    They appear in its signature, which `optax.inject_hyperparams` and help() read, with the
    defaults of LawOptions or these; a name that is no option is a TypeError.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        further = {**LawOptions._field_defaults, **defaults}
        for p in own:
            further.pop(p.name, None)
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=LawOptions.__annotations__[name],
            )
            for name, default in further.items()
        ]
        signature = signature.replace(parameters=[*own, *keywords])

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            signature.bind(*args, **kwargs)
            return function(*args, **{**further, **kwargs})

        call.__signature__ = signature  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return decorate


def check_options(options: LawOptions, linear: bool) -> LawOptions:
    """The options with "auto" resolved, for linear memory or for another rule.

    Raises:
      ValueError: for an option that cannot be meant.
    """
    check_rate("epsilon", options.epsilon)
    if options.epsilon_mode not in EPSILON_MODES:
        modes = ", ".join(EPSILON_MODES)
        raise ValueError(f"epsilon_mode is {options.epsilon_mode!r}; the modes are {modes}")
    _check_name("gram", options.gram, ("recursive", "exact"))
    _check_name("correct_with", options.correct_with, ("old", "updated"))
    if options.correct_with == "updated" and options.gram == "recursive":
        raise ValueError("correct_with='updated' needs gram='exact'; gram is 'recursive'")
    _check_bounds(options.law_bounds)
    if isinstance(options.max_gradient_ratio, str):
        _check_name("max_gradient_ratio", options.max_gradient_ratio, ("auto",))
        options = options._replace(max_gradient_ratio=MAX_GRADIENT_RATIO if linear else None)
    for name in ("max_correction", "max_law_step", "max_gradient_ratio"):
        _check_limit(name, getattr(options, name))
    _check_dtype(options.memory_dtype)
    return options


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


def _check_name(option: str, name: Any, names: tuple[str, ...]) -> None:
    if name not in names:
        raise ValueError(f"{option} is {name!r}; it must be {' or '.join(map(repr, names))}")


def _check_bounds(bounds: Any) -> None:
    """Raise a ValueError for bounds that are no ordered pair."""
    wanted = f"law_bounds is {bounds!r}; it must be a pair (low, high) with low <= high"
    try:
        low, high = (None, None) if bounds is None else bounds
    except (TypeError, ValueError) as error:
        raise ValueError(wanted) from error
    if low is None or high is None or any(isinstance(x, jax.core.Tracer) for x in (low, high)):
        return
    if not np.all(np.asarray(low) <= np.asarray(high)):
        raise ValueError(wanted)


def _check_limit(name: str, limit: Any) -> None:
    if limit is None or isinstance(limit, jax.core.Tracer):
        return
    if callable(limit) or isinstance(limit, str) or not np.all(np.asarray(limit) >= 0):
        raise ValueError(f"{name} is {limit!r}; it must be a number of at least 0")


def _check_dtype(dtype: Any) -> None:
    if isinstance(dtype, jax.Array):  # optax.inject_hyperparams calls what can be called
        raise ValueError(
            f"memory_dtype is the array {dtype}; if optax.inject_hyperparams called a type such as "
            "jnp.bfloat16 like a schedule, give its name, 'bfloat16'"
        )
    if dtype is not None and not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"memory_dtype is {dtype!r}; it must be a floating dtype")
