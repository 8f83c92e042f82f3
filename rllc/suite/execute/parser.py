"""Command lines of the scripts: misspelt options are named with what was meant."""

import argparse
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from rllc.suite.records import folder


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` without abbreviations, which suggests the nearest option."""

    def __init__(self, **kwargs: Any):
        kwargs.setdefault("formatter_class", argparse.RawTextHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def add_data_folder(self) -> None:
        """Adds ``--data-folder``, a Path or None."""
        self.add_argument(
            "--data-folder", type=folder, metavar="FOLDER",
            help="cache of the data sets (default: RLLC_DATA, else ~/.cache/rllc/data)",
        )  # fmt: skip

    def add_yes(self) -> None:
        """Adds ``-y``: no question before a long training (see `estimates.Announcer`)."""
        self.add_argument("-y", "--yes", action="store_true", help="begin long trainings unasked")

    def refuse(self, given: Any, options: Sequence[str], why: str) -> None:
        """Ends with status 2 where one of the options was given, as it would have no effect.

        Args:
          given: the parsed command line.
          options: without dashes before them, such as ``data-folder``.
          why: "with --list".
        """
        for option in options:
            name = option.replace("-", "_")
            if getattr(given, name) != self.get_default(name):
                self.error(f"--{option} says nothing {why}")

    def error(self, message: str) -> NoReturn:
        """Ends with status 2, as argparse does."""
        known = [word for action in self._actions for word in action.option_strings]
        if message.startswith("unrecognized arguments"):
            for word in re.findall(r"--[\w-]+", message):
                if near := get_close_matches(word, known, 1):
                    message += f"; did you mean {near[0]} instead of {word}?"
        super().error(message)
