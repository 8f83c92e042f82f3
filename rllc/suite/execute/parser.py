"""Command lines of the scripts: misspelt options are named with what was meant."""

import argparse
import re
from difflib import get_close_matches
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` without abbreviations, which suggests the nearest option."""

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", argparse.RawTextHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Ends with status 2, as argparse does."""
        known = [word for action in self._actions for word in action.option_strings]
        if message.startswith("unrecognized arguments"):
            for word in re.findall(r"--[\w-]+", message):
                if near := get_close_matches(word, known, 1):
                    message += f"; did you mean {near[0]} instead of {word}?"
        super().error(message)
