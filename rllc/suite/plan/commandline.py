"""Words of a command line that Hydra's grammar would trip over.

``optimizer.propagator=M(0.95)+CM(0.5i)`` reaches the program without the quotes a shell took
away, and Hydra reads ``M(…)`` as a function call. Propagators hold no commas, so a comma
still separates the values of a sweep.
"""

import re
from collections.abc import Sequence

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
