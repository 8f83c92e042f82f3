"""Imports the learned_optimization package, which was written for a JAX of 2022."""

import importlib
import types
import warnings
from typing import Any

import jax

ADVICE = (
    "learned_optimization does not import ({error}); `make test-learned` sets up an environment "
    "with it and what it needs (requirements/learned.in)"
)


def load(module: str) -> Any:
    """Imports ``learned_optimization.<module>`` and makes it work with today's JAX.

    The package calls names that JAX has since moved: `jax.tree_map` and its like,
    `jax.ShapedArray`, `jax.lib.xla_client.Device`. Those that are missing are put back, each
    as its successor; nothing that JAX has is changed.

    Args:
      module: path below the package, such as ``optimizers.base``.

    Returns:
      The module.

    Raises:
      ImportError: the package, or something that it needs, is not installed.
    """
    _put_back_names()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TensorFlow and Haiku, on import
            return importlib.import_module(f"learned_optimization.{module}")
    except ImportError as error:
        raise ImportError(ADVICE.format(error=error), name=error.name) from error


def _put_back_names() -> None:
    tree = ("map", "leaves", "structure", "flatten", "unflatten")
    successors = {f"tree_{name}": getattr(jax.tree, name) for name in tree}
    successors["tree_multimap"] = jax.tree.map
    successors["ShapedArray"] = jax.ShapeDtypeStruct
    for name, successor in successors.items():
        if not hasattr(jax, name):
            setattr(jax, name, successor)
    library: Any = jax.lib
    if not hasattr(library, "xla_client"):
        library.xla_client = types.SimpleNamespace(Device=jax.Device)
