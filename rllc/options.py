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
from rllc.moving import LAW_UPDATES

ScalarOrSchedule = Any  # float | jax.Array (possibly traced) | Callable[[count], scalar]
MAX_GRADIENT_RATIO = 300.0  # real training stays below 50, see docs/guards.md
MAX_RELATIVE_STEP = 0.1  # of a multiplicative law, see docs/guards.md
MEMORY_DTYPES = ("bfloat16", "float16", "float32", "float64")  # JAX promotes no smaller ones
F = TypeVar("F", bound=Callable[..., Any])


class LawOptions(NamedTuple):
    """Keyword arguments of every optimizer with a law; described at `rllc.scale_by_rllc`."""

    epsilon: Any = 1e-6
    epsilon_mode: str = "relative"
    gram: str = "exact"
    correct_with: str = "old"
    law_update: str = "additive"
    correction_decay: Any = None
    law_groups: Any = None
    law_bounds: tuple[Any, Any] | None = None
    max_correction: Any = None
    max_law_step: Any = "auto"
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
    check_rate("epsilon", options.epsilon, scheduled=False)
    if options.epsilon_mode not in EPSILON_MODES:
        modes = ", ".join(EPSILON_MODES)
        raise ValueError(f"epsilon_mode is {options.epsilon_mode!r}; the modes are {modes}")
    _check_name("gram", options.gram, ("recursive", "exact"))
    _check_name("correct_with", options.correct_with, ("old", "updated"))
    if options.correct_with == "updated" and options.gram == "recursive":
        raise ValueError("correct_with='updated' needs gram='exact'; gram is 'recursive'")
    _check_name("law_update", options.law_update, LAW_UPDATES)
    _check_decay(options.correction_decay)
    _check_bounds(options.law_bounds)
    options = _without_auto(options, linear)
    for name in ("max_correction", "max_law_step", "max_gradient_ratio"):
        _check_limit(name, getattr(options, name))
    _check_dtype(options.memory_dtype)
    return options


def _without_auto(options: LawOptions, linear: bool) -> LawOptions:
    """The options with a number or None in place of "auto"."""
    automatic: dict[str, Any] = {
        "max_law_step": MAX_RELATIVE_STEP if options.law_update == "multiplicative" else None,
        "max_gradient_ratio": MAX_GRADIENT_RATIO if linear else None,
    }
    for name, value in automatic.items():
        if isinstance(getattr(options, name), str):
            _check_name(name, getattr(options, name), ("auto",))
            options = options._replace(**{name: value})
    return options


def check_start(law: Any, options: LawOptions) -> None:
    """Raise a ValueError for an initial law (k,) that its updates could never move in some unit, or
    bounds of the law for another number of units."""
    _check_units(options.law_bounds, law.shape)
    if options.law_update == "additive" or isinstance(law, jax.core.Tracer):
        return
    if not np.all(np.asarray(law)):
        raise ValueError(
            f"initial_law is {np.asarray(law).tolist()}; law_update='multiplicative' multiplies, "
            "so a coefficient that starts at 0 stays 0: give it a small value, or leave its unit "
            "out of the memory"
        )


def value_at(rate: ScalarOrSchedule, count: jax.Array) -> Any:
    """The rate itself, or the schedule's value at this count."""
    return rate(count) if callable(rate) else rate


def check_rate(name: str, rate: ScalarOrSchedule, scheduled: bool = True) -> None:
    """Raise a ValueError for what is no schedule, where one is taken, nor a scalar that is traced
    or a finite number of at least 0."""
    if isinstance(rate, jax.core.Tracer) or (callable(rate) and scheduled):
        return
    if callable(rate):
        raise ValueError(
            f"{name} is {rate!r}; it takes no schedule, only one finite number of at least 0 "
            "(optax.inject_hyperparams can change it from step to step)"
        )
    number = _number(rate)
    if number is None or not np.isfinite(number) or number < 0:
        also = ", or a schedule" if scheduled else ""
        raise ValueError(f"{name} is {rate!r}; it must be one finite number of at least 0{also}")


def _number(value: Any) -> float | None:
    """A concrete real scalar as a float; None for anything else, True and False too."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # lists of unequal lengths
        return None
    real = any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.floating, jnp.integer))
    return float(array) if real and array.ndim == 0 else None


def _check_name(option: str, name: Any, names: tuple[str, ...]) -> None:
    if name not in names:
        raise ValueError(f"{option} is {name!r}; it must be {' or '.join(map(repr, names))}")


def _check_decay(decay: Any) -> None:
    """Raise a ValueError for a concrete decay that is not in [0, 1)."""
    if decay is None or isinstance(decay, jax.core.Tracer):
        return
    number = _number(decay)
    if number is None or not 0 <= number < 1:
        raise ValueError(
            f"correction_decay is {decay!r}; it must be one number of at least 0 and less than 1"
        )


def _check_bounds(bounds: Any) -> None:
    """Raise a ValueError for bounds that are no ordered pair."""
    wanted = f"law_bounds is {bounds!r}; it must be a pair (low, high) with low <= high"
    try:
        low, high = (None, None) if bounds is None else bounds
        if any(isinstance(x, jax.core.Tracer) for x in (low, high)):
            return
        least = -np.inf if low is None else np.asarray(low, np.float64)
        most = np.inf if high is None else np.asarray(high, np.float64)
        ordered = np.all(least <= most)
    except (TypeError, ValueError) as error:
        raise ValueError(wanted) from error
    if not ordered:
        raise ValueError(wanted)


def _check_units(bounds: Any, shape: tuple[int, ...]) -> None:
    """Raise a ValueError for bounds that are neither scalars nor of the law's shape (k,)."""
    if bounds is not None and not all(np.shape(bound) in ((), shape) for bound in bounds):
        raise ValueError(
            f"law_bounds is {bounds!r}; a bound is one number, or one for each of the "
            f"{shape[0]} memory units"
        )


def _check_limit(name: str, limit: Any) -> None:
    if limit is None or isinstance(limit, jax.core.Tracer):
        return
    number = _number(limit)
    if number is None or not number >= 0:
        raise ValueError(f"{name} is {limit!r}; it must be one number of at least 0")


def _check_dtype(dtype: Any) -> None:
    if dtype is None:
        return
    if isinstance(dtype, jax.Array):  # optax.inject_hyperparams calls what can be called
        raise ValueError(
            f"memory_dtype is the array {dtype}; if optax.inject_hyperparams called a type such as "
            "jnp.bfloat16 like a schedule, give its name, 'bfloat16'"
        )
    wanted = f"memory_dtype is {dtype!r}; it must be a floating dtype: {', '.join(MEMORY_DTYPES)}"
    try:
        found = jnp.dtype(dtype).name
    except TypeError as error:
        raise ValueError(wanted) from error
    if found not in MEMORY_DTYPES:
        raise ValueError(wanted)
