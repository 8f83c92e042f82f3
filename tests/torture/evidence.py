"""What a records folder holds, so that two can be compared: curves by bytes, headers by value."""

import json
import time
from pathlib import Path
from typing import Any

from rllc.suite.records import folders

# Of a training's circumstances, not of its numbers; the checksum is of the whole header.
OF_THE_TIME = ("created", "wall_seconds", "sha256", "commit")


def of(folder: Path) -> dict[str, Any]:
    """Relative path -> bytes of curves, or what of a header must be the same every time."""
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _content(path: Path) -> Any:
    if path.suffix != ".json":
        return path.read_bytes()
    header = json.loads(path.read_text())
    packed = {name: _timeless(one) for name, one in header.get("pack", {}).items()}
    return _timeless(header) | ({"pack": packed} if packed else {})


def _timeless(header: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key not in OF_THE_TIME}


def difference(folder: Path, expected: dict[str, Any]) -> str:
    """What is not as expected in a folder; "" where all is."""
    found = of(folder)
    for path in sorted({*found, *expected}):
        if path not in expected:
            return f"{path} is left over"
        if path not in found:
            return f"{path} is missing"
        if found[path] != expected[path]:
            return f"{path} holds other numbers"
    return ""


def leftovers(folder: Path) -> str:
    """Files that nothing needs and that stay even after an hour; "" where there are none."""
    for place in (folder / "records", folder / "partial", folder / "packs"):
        if place.exists():
            folders.clear(place, time.time() + 3600)
    kept = [p for p in (folder / "partial").rglob("*") if p.is_file() and p.suffix != ".lock"]
    hidden = [p for p in folder.rglob(".*") if p.is_file()]
    return ", ".join(path.relative_to(folder).as_posix() for path in [*kept, *hidden])
