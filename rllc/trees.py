"""What an optimizer asks of the trees it is given: real floating leaves, and always the same."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

PyTree = Any


def law_dtype(params: PyTree) -> Any:
    """The law's dtype for these parameters: at least float32, float64 for float64 parameters.

    Raises:
      ValueError: for parameters that are complex, or no floating numbers.
    """
    named = [(path, jnp.result_type(leaf)) for path, leaf in _named_leaves(params)]
    for path, dtype in named:
        if jnp.issubdtype(dtype, jnp.complexfloating):
            raise ValueError(
                f"parameter{path} is complex; wrap with optax.contrib.split_real_and_imaginary"
            )
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"parameter{path} has dtype {dtype}, which no gradient moves; leave it out, for "
                "example with optax.masked"
            )
    return jnp.result_type(jnp.float32, *(dtype for _, dtype in named))


def checked_gradient(gradient: PyTree, memory: tuple[PyTree, ...]) -> PyTree:
    """The gradient, its leaves as arrays.

    Raises:
      ValueError: if the state is of parameters with other leaves; it names the first.
    """
    found = {path: jnp.shape(leaf) for path, leaf in _named_leaves(gradient)}
    expected = {path: jnp.shape(leaf) for path, leaf in _named_leaves(memory[0])}
    for path in {**expected, **found}:
        if path not in found:
            raise ValueError(
                f"gradient{path} is missing or None, but the state was made for parameters that "
                "have this leaf; freeze it with optax.masked or optax.partition"
            )
        if path not in expected:
            raise ValueError(f"gradient{path} is not a leaf of the parameters the state is of")
        if found[path] != expected[path]:
            raise ValueError(
                f"gradient{path} has shape {found[path]}; the state is of a parameter of shape "
                f"{expected[path]}"
            )
    return jax.tree.map(jnp.asarray, gradient)


def _named_leaves(tree: PyTree) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]
