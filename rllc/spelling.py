"""One spelling for what can be written in several: names of runs and caches hang on it."""

from collections.abc import Mapping
from typing import Any

from rllc.law import resolve_initial_law
from rllc.propagators import parse


def canonical_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `lm_rllc` or `linear_memory`, with propagator and initial law in one spelling.

    Args:
      arguments: keyword arguments; ``propagator`` as notation or a Propagator.

    Returns:
      The same with ``propagator`` as its notation and ``initial_law`` or ``law`` as k floats.

    Raises:
      ValueError: a propagator or a law that cannot be meant.

    Example:
      >>> import rllc
      >>> rllc.canonical_arguments({"propagator": "M(.9) ⊕ M(0)", "initial_law": "first"})
      {'propagator': 'M(0.9)+M(0.0)', 'initial_law': (1.0, 0.0)}
    """
    out = dict(arguments)
    if "propagator" not in out:
        return out
    try:
        propagator = parse(out["propagator"])
    except ValueError as error:
        raise ValueError(f"propagator: {error}") from None
    out["propagator"] = str(propagator)
    for name in ("initial_law", "law"):
        if name in out:
            try:
                law = resolve_initial_law(out[name], propagator.num_units)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{name}={out[name]}: {error}") from None
            out[name] = tuple(float(x) for x in law)
    return out
