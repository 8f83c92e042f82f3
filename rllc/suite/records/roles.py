"""What a run is for: its role stands in its config and its record, not in its seed's number.

- ``final``: a number of the tables. Sees test data, chooses nothing.
- ``tune``: chooses hyperparameters, on validation data.
- ``candidate``: likewise, of an optimizer that a search only tries (family `CANDIDATE`).
- ``question``: asks what a setting does; neither chooses hyperparameters nor enters a table.
- ``untuned``: as final, but at the values that the optimizer's config has under ``untuned``,
  whatever tuning chose; stands beside the tuned numbers.

Each role has seeds of its own, so that no final run shares one with the run that chose its rates.
Questions may have those of untuned runs.
"""

from collections.abc import Mapping
from typing import Any

UNTUNED = "untuned"
ROLES = ("final", "tune", "candidate", "question", UNTUNED)
CHOOSING = ("tune", "candidate")  # roles whose runs choose hyperparameters
CANDIDATE = "candidate"  # family of what is only tried in a search, not a row of the tables

# Seeds by role where a study does not say otherwise.
SEEDS: Mapping[str, range] = {
    "final": range(100),
    "tune": range(100, 200),
    "candidate": range(100, 200),
    "question": range(200, 2**31),
    UNTUNED: range(1000, 1100),
}


def of_seed(seed: int, family: Any = None) -> str:
    """Role of a run recorded before roles were, which its seed told.

    >>> of_seed(0), of_seed(100), of_seed(100, "candidate"), of_seed(200)
    ('final', 'tune', 'candidate', 'question')
    """
    if seed in SEEDS["tune"]:
        return CANDIDATE if family == CANDIDATE else "tune"
    return "final" if seed in SEEDS["final"] else "question"


def complaint(role: Any, seed: int, seeds: Mapping[str, Any] = SEEDS) -> str:
    """Why a run of this role may not have this seed; empty if it may.

    Args:
      role: one of `ROLES`.
      seed: an integer.
      seeds: the seeds of each role; a role it does not name may have any that no other has.
    """
    if role not in ROLES:
        return f"role={role!r} must be one of {', '.join(ROLES)}"
    if seed in seeds.get(role, ()):
        return ""
    owners = [name for name in ROLES if seed in seeds.get(name, ())]
    if role not in seeds and not owners:
        return ""
    whose = (
        f"seed {seed} is one for {' or '.join(owners)} runs" if owners else "it has no such seed"
    )
    return f"role={role} with seed={seed}: {whose}; {role} runs take {_in_words(seeds.get(role))}"


def _in_words(seeds: Any) -> str:
    if seeds is None:
        return "seeds that no other role has"
    if isinstance(seeds, range):
        return f"seeds from {seeds.start} to {seeds.stop - 1}"
    return f"the seeds {', '.join(map(str, seeds))}"
