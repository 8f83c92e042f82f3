"""How a ``study.yaml`` says what the lines of its optimizers look like."""

import re
from collections.abc import Mapping
from typing import Any

LINES = {"solid": "-", "dashed": "--", "dotted": ":", "dash-dotted": "-."}
KEYS = ("colour", "line")


def parsed(name: str, given: Any) -> tuple[str, str]:
    """Colour and matplotlib's line style of one optimizer; "" for what is left to the suite.

    Args:
      name: of the optimizer, for errors.
      given: a mapping with ``colour`` (#rrggbb), ``line`` (one of `LINES`) or both.

    Raises:
      ValueError: anything else; one line that says what is right.

    Example:
      >>> parsed("adam", {"colour": "#0072B2", "line": "dashed"})
      ('#0072B2', '--')
    """
    if not isinstance(given, Mapping) or not given or set(given) - set(KEYS):
        raise ValueError(f"styles.{name} must be a mapping with colour, line or both, not {given}")
    colour, line = given.get("colour"), given.get("line")
    if colour is not None and not re.fullmatch("#[0-9a-fA-F]{6}", str(colour)):
        raise ValueError(f"styles.{name}.colour must look like '#0072B2', in quotes, not {colour}")
    if line is not None and line not in LINES:
        raise ValueError(f"styles.{name}.line must be one of {', '.join(LINES)}, not {line}")
    return str(colour or ""), LINES.get(str(line), "")
