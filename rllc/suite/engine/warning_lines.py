"""Warnings of a script as plain lines, each once: JAX makes Python forget which it has shown."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def shown_once() -> Iterator[None]:
    """Within the block a warning is one line on stderr, and the same text is shown once."""
    usual, seen = warnings.showwarning, set()

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None,
             line: Any = None) -> None:  # fmt: skip
        if file is not None:
            return usual(message, category, filename, lineno, file, line)
        if (text := str(message)) not in seen:
            seen.add(text)
            ours = "rllc" in category.__module__
            print(f"warning: {text}" if ours else f"{category.__name__}: {text}", file=sys.stderr)
        return None

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual
