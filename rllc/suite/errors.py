"""Errors that a person can mend; each message is one line for the user."""

import sysconfig
import traceback
from pathlib import Path


class PlanError(ValueError):
    """A request that cannot be trained."""


class RecordsError(ValueError):
    """A records folder that cannot be used."""


LONGEST = 500  # letters of another library's message that are shown


def first_words(error: BaseException) -> str:
    """Type and message of an error of another library, in one line.

    >>> first_words(ValueError("a\\n  b"))
    'ValueError: a b'
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def first_line(error: BaseException) -> str:
    """Type and first line of an error of another library; JAX goes on with much more.

    >>> first_line(ValueError("a\\nb"))
    'ValueError: a'
    """
    line = next(iter(str(error).strip().splitlines()), "")
    text = f"{type(error).__name__}: {line}"
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def place(error: BaseException) -> str:
    """File and line of the user's own code where an error arose, in brackets; else empty.

    The user's is what is neither installed nor this package.
    """
    paths = sysconfig.get_paths()
    theirs = (paths["purelib"], paths["platlib"], paths["stdlib"], str(Path(__file__).parents[1]))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_file()]
    own = [f for f in frames if not str(Path(f.filename).resolve()).startswith(theirs)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
