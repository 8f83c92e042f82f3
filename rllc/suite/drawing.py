"""Figures drawn only where what they show has changed, and several at once.

To place the axes of a figure and draw it takes longer than to build it. A built figure, pickled, is
everything that it shows; a `Drawer` remembers of each what the files drawn of it were, and draws it
where these are not there. Other processes draw, while the caller goes on.
"""

import hashlib
import importlib.metadata
import io
import json
import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from types import FunctionType
from typing import Any, Self

from matplotlib.figure import Figure
from matplotlib.transforms import TransformNode

from rllc.suite import plotting

# What else the bytes of a file depend on. Fonts come with matplotlib, zlib with Python and Pillow.
PACKAGES = ("matplotlib", "numpy", "pillow", "fonttools", "contourpy", "kiwisolver", "pyparsing")
MOST_REMEMBERED = 1000
CODE = (FunctionType, type)

Save = Callable[[Figure, Path], list[Path]]  # draws a figure to a path without a suffix


class Drawer:
    """Draws figures as `plotting.save` does, byte for byte; use it as a context.

    On leaving it every figure is drawn.

    Attributes:
      memory: JSON file, digest of a figure -> SHA-256 sums of what was drawn of it.
      every: draw all figures, whatever is remembered.
      drawn: how many had to be drawn.
    """

    def __init__(self, memory: Path, every: bool = False, processes: int | None = None):
        self.memory, self.every, self.drawn = memory, every, 0
        self.processes = processes or max(1, (os.cpu_count() or 1) - 1)
        self._pool: ProcessPoolExecutor | None = None
        self._known = _read(memory)
        self._open: dict[str, Future[list[str]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            new = {key: future.result() for key, future in self._open.items()}
            _write(self.memory, _read(self.memory) | new)  # others may have drawn meanwhile

    def save(self, figure: Figure, path: Path) -> list[Path]:
        """Has PNG and PDF of a figure drawn, unless they are there already; returns their paths.

        Args:
          figure: any; one that cannot be pickled is drawn at once.
          path: without a suffix.
        """
        files = plotting.files(path)
        try:
            digest = shown(figure)
        except (pickle.PicklingError, AttributeError, TypeError):
            return plotting.save(figure, path)
        if self.every or self._known.get(digest) != _sums(files):
            self.drawn += 1
            self._open[digest] = self._processes().submit(draw, pickle.dumps(figure), path)
        return files

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None:  # spawned: JAX, which others of ours import, cannot be forked
            spawned = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.processes, spawned)
        return self._pool


def draw(pickled: bytes, path: Path) -> list[str]:
    """Draws a pickled figure; returns the sums of its files."""
    return _sums(plotting.save(pickle.loads(pickled), path))


def shown(figure: Figure) -> str:
    """A digest of everything that decides what is drawn of a figure.

    That is the figure, pickled; the code of our functions that a pickle holds by name, such as
    those of tick labels; how figures are written, and the versions of what draws.
    """
    stream = io.BytesIO()
    pickler = _Pickler(stream, protocol=5)
    pickler.dump(figure)
    parts = [sys.version, *map(importlib.metadata.version, PACKAGES), repr(plotting.RC)]
    code = [Path(file).read_bytes() for file in sorted({*pickler.sources, plotting.__file__})]
    found = hashlib.sha256("\n".join(parts).encode())
    for part in (*code, stream.getvalue()):
        found.update(hashlib.sha256(part).digest())
    return found.hexdigest()


class _Pickler(pickle.Pickler):
    """Makes pickles that are the same in every process, not to be loaded.

    It notes the files of functions and classes of ours. Of a transform it leaves out those that
    follow it: they are listed by their addresses, and such as are drawn are reached otherwise.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.sources: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, CODE) and value.__module__.startswith("rllc."):
            self.sources.add(str(sys.modules[value.__module__].__file__))
        if not isinstance(value, TransformNode):
            return NotImplemented
        reduced: Any = value.__reduce_ex__(5)
        make, arguments, state, *rest = reduced
        return make, arguments, {**state, "_parents": {}}, *rest


def _sums(files: list[Path]) -> list[str]:
    return [hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.exists()]


def _read(memory: Path) -> dict[str, list[str]]:
    """What is remembered; nothing where it cannot be read."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(memory: Path, known: dict[str, list[str]]) -> None:
    """Remembers the newest; a folder that cannot be written costs time only."""
    last = dict(list(known.items())[-MOST_REMEMBERED:])
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        beside = memory.with_name(f"{memory.name}.{os.getpid()}")
        beside.write_text(json.dumps(last), encoding="utf-8")
        beside.replace(memory)
    except OSError:
        return
