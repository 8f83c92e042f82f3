"""Checks of a problem's settings: a bad one ends in a line with its value and what would do."""

import math
from collections.abc import Sequence
from typing import Any


def number(name: str, value: Any, least: float = -math.inf, above: float = -math.inf) -> float:
    """A finite number.

    Args:
      name: of the setting.
      value: as given.
      least: the smallest it may be.
      above: what it must be greater than.

    Raises:
      ValueError: it is something else.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < least or value <= above:
        bound = f" of at least {least:g}" if least > -math.inf else ""
        bound = f" above {above:g}" if above > -math.inf else bound
        raise ValueError(f"{name}={value!r} must be a finite number{bound}")
    return float(value)


def whole(name: str, value: Any, least: int, most: int | None = None, why: str = "") -> int:
    """A whole number from `least` to `most`; `why` says what the latter comes from.

    Raises:
      ValueError: it is something else.
    """
    if type(value) is not int or value < least or (most is not None and value > most):
        bound = f"of at least {least}" if most is None else f"from {least} to {most}{why}"
        raise ValueError(f"{name}={value!r} must be a whole number {bound}")
    return value


def choice(name: str, value: Any, options: Sequence[str]) -> str:
    """One of some words.

    Raises:
      ValueError: it is something else.
    """
    if value not in options:
        raise ValueError(f"{name}={value!r} must be {' or '.join(options)}")
    return str(value)
