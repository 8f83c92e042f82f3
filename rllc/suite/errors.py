"""Errors that a person can mend; each message is one line for the user."""


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
