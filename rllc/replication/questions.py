"""The questions that the paper leaves open, and how a setting answers them.

An *answer* is a variant of a cell (`selection.variant`) that differs from today's default in the
settings of one question only.
"""

import json
from typing import Any, NamedTuple


class Question(NamedTuple):
    """One thing the paper leaves open.

    Attributes:
      name: as in ``conf/experiment/question_<name>.yaml``.
      title: for people.
      settings: what answers it, as paths into a variant; none for the reported value.
      open: why it is open.
      note: what to know when reading its table.
    """

    name: str
    title: str
    settings: tuple[str, ...]
    open: str
    note: str = ""


REPORTED = Question(
    "reported",
    "Which value is reported, and what selects the rates",
    (),
    "the paper reports one number per cell without saying at which step, or by which validation "
    "metric rates are chosen",
    "`last`, `validated` and `best` as in Table 1; by accuracy or by loss, both the rates and the "
    "validated step. Tuning runs only, so that every point of the grid can be the one chosen.",
)
QUESTIONS = (
    REPORTED,
    Question(
        "pooling", "Pooling of Conv", ("task.pooling",),
        "the text says max, the framework the paper started from pools by average",
    ),
    Question(
        "initial_law", "The initial law", ("traced.initial_law",),
        "“not initialised to be 0”, no value",
        "`mean` with rates (c₁, c₂) is exactly `ones` with (c₁ / k, k c₂), and a number x in every "
        "unit is `ones` with (x c₁, c₂ / x): these answers differ only in which points the grid "
        "reaches. `first` starts in another direction. With one unit all but the number coincide.",
    ),
    Question(
        "epsilon", "The relaxation of the pseudo-inverse",
        ("optimizer.epsilon_mode", "optimizer.epsilon"),
        "“a small number”, no value",
    ),
    Question(
        "adam", "Adam's eps_root", ("optimizer.eps_root",),
        "1e-8 in the framework the paper started from, 0 in optax",
    ),
    Question(
        "initialisation", "Initial weights", ("task.initialisation",),
        "not given; the framework's default is a truncated normal of 1/√fan_in before the cut",
    ),
    Question(
        "augmentation", "Augmentation of ResNet-20: rotation (degrees) and filling",
        ("task.rotation", "task.fill"), "“random rotation”, no angle and no filling",
    ),
)  # fmt: skip


def by_name(name: str) -> Question:
    """The question of that name."""
    return next(question for question in QUESTIONS if question.name == name)


# What a setting is in records that leave it to the optimizer.
LEFT_OUT = {"optimizer.epsilon_mode": "relative"}


class Answer(NamedTuple):
    """A variant's answer to a question ("" where it does not arise), and everything else in it."""

    answer: str
    rest: str


def answer(question: Question, text: str) -> Answer:
    """Takes a variant apart.

    Args:
      question: any with settings.
      text: from `selection.variant`.
    """
    variant = json.loads(text)
    values = [_taken(variant, path) for path in question.settings]
    rest = json.dumps(variant, sort_keys=True)
    if all(value is None for value in values):
        return Answer("", rest)
    whole = zip(question.settings, values, strict=True)
    words = [LEFT_OUT.get(path) if value is None else value for path, value in whole]
    numbers = [f"{word:g}" if isinstance(word, float) else str(word) for word in words]
    return Answer(", ".join(numbers), rest)


def _taken(variant: dict[str, Any], path: str) -> Any:
    *folders, key = path.split(".")
    for folder in folders:
        variant = variant.get(folder) or {}
    return variant.pop(key, None)
