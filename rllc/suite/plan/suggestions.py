"""What was probably meant by a misspelt word of a command line in Hydra's grammar."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from rllc.suite.plan.configuration import Conf
from rllc.suite.plan.plan import PROTOCOL

PLAIN = re.compile(r"[\w.\-/]+")  # values that are names; not glob(…), range(…), quoted ones


def did_you_mean(conf: Conf, words: Sequence[str]) -> str:
    """One line about the first misspelt word; empty if none is, or nothing is like it.

    Args:
      conf: where configs are found.
      words: ``KEY=VALUE``, among others, which are passed over.
    """
    chosen: dict[str, list[str]] = {}
    groups, own = _groups(conf), _own_folder(words)
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key.startswith(("-", "~", "hydra")):
            continue
        if key in groups:
            chosen[key] = [value for value in text.split(",") if PLAIN.fullmatch(value)]
            for value in chosen[key]:
                if own and (own / key / f"{value}.yaml").is_file():
                    continue
                if near := _near(value, conf.names(key, value)):
                    return f"unknown {key} {value!r}; did you mean {near!r}?"
    for word in words:
        key, equals, _ = word.partition("=")
        ours = equals and not key.startswith(("-", "+", "~", "hydra"))
        if ours and (near := _near_key(conf, key, chosen, groups)):
            return f"unknown option {key!r}; did you mean {near!r}?"
    return ""


def _own_folder(words: Sequence[str]) -> Path | None:
    """The folder of Hydra's option ``--config-dir``, which may hold configs of the user's.

    >>> found = _own_folder(["--config-dir", "mine", "seed=1"])
    >>> str(found), str(_own_folder(["-cd=mine"])), _own_folder(["seed=1"])
    ('mine', 'mine', None)
    """
    for word, following in zip(words, [*words[1:], ""], strict=False):
        option, equals, value = word.partition("=")
        if option in ("--config-dir", "-cd"):
            return Path(value if equals else following)
    return None


def _groups(conf: Conf) -> list[str]:
    """Config groups that `config.yaml` chooses from, Hydra's own left out."""
    loaded: Any = OmegaConf.load(conf.main / "config.yaml")
    groups = [str(key) for entry in loaded.defaults if not isinstance(entry, str) for key in entry]
    return [group for group in groups if not group.startswith("override ")]


def _near_key(conf: Conf, key: str, chosen: dict[str, list[str]], groups: Sequence[str]) -> str:
    head, dot, rest = key.partition(".")
    top = [*_keys(conf, "config"), *groups]
    if head not in top:
        near = _near(head, top)
        return f"{near}{dot}{rest}" if near else ""
    if not dot or head not in ("optimizer", "task", "protocol"):
        return ""
    known = set(PROTOCOL) if head == "protocol" else set()
    for name in chosen.get(head) or [_default(conf, head)]:
        if name not in conf.names(head):
            return ""
        known |= _keys(conf, name, head)
    near = _near(rest.partition(".")[0], sorted(known))
    return f"{head}.{near}" if near else ""


def _near(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = [] if word in known else get_close_matches(word, known, 1)
    return near[0] if near else ""


def _default(conf: Conf, group: str) -> str:
    """The option of a group that `config.yaml` names."""
    loaded: Any = OmegaConf.load(conf.main / "config.yaml")
    return next((str(d[group]) for d in loaded.defaults if group in d), "")


def _keys(conf: Conf, name: str, group: str = "") -> set[str]:
    """Keys of a config, with those of the configs beside it that its defaults name."""
    path = conf.file(group, name) if group else conf.main / f"{name}.yaml"
    loaded: Any = OmegaConf.load(path)
    keys = {str(key) for key in loaded} - {"defaults"}
    for entry in loaded.get("defaults", []):
        other = str(entry).partition("@")[0]
        if group and (conf.main / group / f"{other}.yaml").exists():
            base: Any = OmegaConf.load(conf.main / group / f"{other}.yaml")
            keys |= {str(key) for key in base}
    return keys
