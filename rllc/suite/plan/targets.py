"""The object that a config names: a dotted path, or a file of the user's and a name in it.

What a config names is run; take configs from people you trust only.
"""

import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from rllc.suite.errors import PlanError


def resolve(target: str, key: str = "_target_") -> Callable[..., Any]:
    """The object a dotted path names, or ``path/to/file.py:name``.

    Args:
      target: the path.
      key: of the config, for the error.

    Raises:
      PlanError: nothing importable stands there.
    """
    file, _, name = str(target).rpartition(":")
    try:
        path = f"{_loaded(Path(file).resolve())}:{name}" if file.endswith(".py") else target
        found: Callable[..., Any] = pkgutil.resolve_name(path)
        return found
    except Exception as error:  # a module of the user's can fail in any way
        ours = isinstance(error, ImportError | AttributeError | ValueError | OSError)
        kind = "" if ours else f"{type(error).__name__}: "
        raise PlanError(f"{key}={target!r} cannot be imported: {kind}{error}") from None


@lru_cache(maxsize=64)
def _loaded(path: Path) -> str:
    """Runs a Python file as a module, whose name it returns."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    name = f"rllc_target_{path.stem}_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return name
