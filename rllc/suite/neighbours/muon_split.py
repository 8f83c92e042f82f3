"""Muon for hidden weights alone; first and last layer, biases and scales by AdamW."""

import re
from typing import Any

import jax
import optax

from rllc.suite.neighbours.muon import kernels_as_matrices


def hidden_kernels_as_matrices(params: optax.Params) -> Any:
    """`kernels_as_matrices`, without the first and the last of the weights.

    Layers are taken in the order of their paths, numbers in them by value: Dense_2 is before
    Dense_10, and convolutions before the dense head. The first layer reads the input as an
    embedding does, the last makes the logits: Muon's author leaves both to AdamW.

    Args:
      params: parameters; weights have their output axis last, as Flax and Haiku store them.

    Returns:
      Like `params`: dimension numbers for hidden weights, None for the rest.
    """
    views = kernels_as_matrices(params)
    is_view = lambda x: x is None or isinstance(x, optax.contrib.MuonDimensionNumbers)  # noqa: E731
    named, structure = jax.tree_util.tree_flatten_with_path(views, is_leaf=is_view)
    kernels = [i for i, (_, view) in enumerate(named) if view is not None]
    kernels.sort(key=lambda i: _natural(jax.tree_util.keystr(named[i][0])))
    hidden = set(kernels[1:-1])
    return jax.tree.unflatten(
        structure, [view if i in hidden else None for i, (_, view) in enumerate(named)]
    )


def muon_split(
    learning_rate: optax.ScalarOrSchedule, **settings: Any
) -> optax.GradientTransformation:
    """`optax.contrib.muon` on hidden weights, convolution kernels included.

    Args:
      learning_rate: of Muon; a number, a traced scalar or a schedule.
      **settings: of `optax.contrib.muon`; `adam_learning_rate` is AdamW's.

    Reference:
      Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024,
      kellerjordan.github.io/posts/muon.
    """
    return optax.contrib.muon(
        learning_rate, muon_weight_dimension_numbers=hidden_kernels_as_matrices, **settings
    )


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts Dense_2 before Dense_10: text and numbers in turn, as (number, text)."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", path)]
