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
