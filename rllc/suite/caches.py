"""Where things are kept that can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Folder for everything that can be made again: ``RLLC_CACHE`` or ``~/.cache/rllc``."""
    return Path(os.environ.get("RLLC_CACHE") or "~/.cache/rllc").expanduser()
