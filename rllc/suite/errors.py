"""Errors that a person can mend; each message is one line for the user."""


class PlanError(ValueError):
    """A request that cannot be trained."""


class RecordsError(ValueError):
    """A records folder that cannot be used."""
