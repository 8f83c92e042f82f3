"""Words of a command line that Hydra's grammar would trip over.

``optimizer.propagator=M(0.95)+CM(0.5i)`` reaches the program without the quotes a shell took
away, and Hydra reads ``M(…)`` as a function call. Propagators hold no commas, so a comma
still separates the values of a sweep.
"""

import re
from collections.abc import Container, Sequence

from rllc.suite.errors import PlanError

_PROPAGATOR = re.compile(r"(\+{0,2}optimizer\.propagator)=(.*)", re.DOTALL)


def quote_propagators(words: Sequence[str]) -> list[str]:
    """Quotes the values of ``optimizer.propagator`` for Hydra; leaves all other words alone.

    Example:
      >>> quote_propagators(["optimizer.propagator=M(0.9),M2(0.6)+M(0)", "seed=0"])
      ["optimizer.propagator='M(0.9)','M2(0.6)+M(0)'", 'seed=0']
    """
    return [_quoted(word) for word in words]


def _quoted(word: str) -> str:
    match = _PROPAGATOR.fullmatch(word)
    if not match or not match[2] or match[2][0] in "'\"$" or match[2].startswith("choice("):
        return word
    values = ",".join(f"'{value.strip()}'" for value in match[2].split(","))
    return f"{match[1]}={values}"


def check_groups(words: Sequence[str], groups: Container[str]) -> None:
    """Refuses a config group that is set to no name, over which Hydra ends in a traceback.

    Args:
      words: of a command line, options of Hydra among them.
      groups: names of config groups, such as optimizer.

    Raises:
      PlanError: ``optimizer=0.1``, ``task=null``, ``~task=3``.
    """
    for word in words:
        match = re.fullmatch(r"([~+]*)([a-z_/]+)=(.*)", word, re.DOTALL)
        if match and match[2] in groups and _is_no_name(match[3].strip()):
            raise PlanError(f"{word}: {match[2]} takes the name of a config; see --help")


def _is_no_name(value: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    try:
        (parsed,) = OverridesParser.create().parse_overrides([f"x={value}"])
    except Exception:
        return False  # Hydra says in one line what is wrong with it
    found = parsed.value()
    return not isinstance(found, str | list) and not parsed.is_sweep_override()
