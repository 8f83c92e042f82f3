"""Runs picked by words such as ``optimizer=sgd learning_rate=0.01,0.1``, and how they differ.

Runs that differ in their seed only are one *line*: a mean with an interval. Its label names what
tells it from the other lines of its task and optimizer.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from rllc.suite.choose.selection import CELL, hyper_names
from rllc.suite.errors import RecordsError

PLAIN = ["task", "optimizer", "role", "seed", "steps", "status"]
LINE = [*CELL, "line"]


def described(runs: pd.DataFrame) -> pd.DataFrame:
    """Tidy runs with a column for each setting: of the protocol, the optimizer and the task.

    Args:
      runs: from `selection.tidy`.
    """
    parsed = {text: _flat(json.loads(text)) for text in runs.settings.unique()}
    rows = [parsed[text] for text in runs.settings]
    extra = pd.DataFrame(rows, index=runs.index).drop(columns=list(runs), errors="ignore")
    return pd.concat([runs, extra], axis=1)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in ("traced", "optimizer", "task", "protocol"):
        for key, value in (settings.get(part) or {}).items():
            if key not in ("id", "name", "_target_"):
                found.setdefault(key, value if isinstance(value, int | float) else _text(value))
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def keys(runs: pd.DataFrame) -> list[str]:
    """What `pick` can ask for: columns of `described` runs."""
    told = {"run", "shard", "hyper", "settings", "group", "variant", "diverged_at", "device"}
    return [str(name) for name in runs if name not in told]


def pick(
    runs: pd.DataFrame, words: Sequence[str], labels: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """The runs that all words are true of, by hyperparameters, and in the order of the words.

    Args:
      runs: from `described`.
      words: ``KEY=VALUE`` or ``KEY=VALUE,VALUE``, any of which will do.
      labels: further names of optimizers -> their labels.

    Raises:
      RecordsError: a word that is none, or a key or value that no run has; it names the nearest.
    """
    runs = runs.sort_values(hyper_names(runs), kind="stable")
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not text:
            raise RecordsError(f"{word!r} must look like KEY=VALUE, such as optimizer=sgd")
        if key not in keys(runs):
            raise RecordsError(f"no run has a {key!r}; {_near(key, keys(runs))}")
        wanted = [value.strip() for value in re.split(r",(?![^\[(]*[\])])", text)]
        if any(_same(value, text) for value in runs[key].unique()):
            wanted = [text]  # a label may hold a comma
        place = _places(runs[key], wanted, labels or {} if key == "optimizer" else {})
        runs = runs[place >= 0].iloc[np.argsort(place[place >= 0], kind="stable")]
    return runs


def _places(column: pd.Series, wanted: Sequence[str], labels: Mapping[str, str]) -> np.ndarray:
    """For each value of a column its place in `wanted`, -1 where it is none of them."""
    found = np.full(len(column), -1)
    for place, value in enumerate(wanted):
        alike = np.array([_same(x, labels.get(value, value)) for x in column], bool)
        if not alike.any():
            there = [_shown(x) for x in column.dropna().unique()]
            known = [*there, *(name for name, label in labels.items() if label in there)]
            near = _near(value, known, there)
            raise RecordsError(f"no run picked so far has {column.name}={value}; {near}")
        found[alike] = place
    return found


def _same(value: Any, text: str) -> bool:
    if isinstance(value, str):
        return value.lower() == text.lower()
    try:
        return math.isclose(value, float(text), rel_tol=1e-5)
    except ValueError:
        return str(value).lower() == text.lower()


def _near(text: str, known: Sequence[str], shown: Sequence[str] | None = None) -> str:
    near = get_close_matches(text, known, 1)
    listed = ", ".join(sorted(shown or known)[:30])
    return f"did you mean {near[0]!r}?" if near else f"there are {listed}"


def preferred(runs: pd.DataFrame, words: Sequence[str]) -> pd.DataFrame:
    """The final runs of cells that have some, unless the words ask for a role or a seed."""
    if any(word.partition("=")[0] in ("role", "seed") for word in words):
        return runs
    has_final = runs.role.eq("final").groupby([runs[key] for key in CELL]).transform("any")
    return runs[(runs.role == "final") | ~has_final]


def lines(runs: pd.DataFrame) -> pd.DataFrame:
    """Picked runs with ``line``: the label of the runs that differ from them in the seed only.

    The newest record of a seed counts; what no two runs of a cell have different is not told.
    """
    parts = [_labelled(members) for _, members in runs.groupby(CELL, sort=False)]
    found = pd.concat(parts) if parts else runs.assign(line=[])
    return found.drop_duplicates([*LINE, "seed"], keep="last")


def _labelled(runs: pd.DataFrame) -> pd.DataFrame:
    hyper = hyper_names(runs)
    others = [key for key in keys(runs) if key not in (*CELL, "seed", "status", "family", *hyper)]
    telling = [key for key in (*hyper, *others) if runs[key].nunique(dropna=False) > 1]
    labels = [
        ", ".join(
            f"{key.replace('_', ' ')} {_shown(value)}"
            for key, value in zip(telling, row, strict=True)
            if not _absent(value)
        )
        for row in runs[telling].itertuples(index=False, name=None)
    ]
    return runs.assign(line=labels)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
