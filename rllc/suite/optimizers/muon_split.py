"""Muon for hidden weights alone; first and last layer, biases and scales by AdamW."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rllc.suite.optimizers.muon import muon

HIDDEN, OTHER = "hidden", "other"


def split(params: optax.Params) -> Any:
    """Which arrays are hidden weights: of two axes and more, without the first and the last.

    Layers are taken in the order of their paths, numbers in them by value: Dense_2 is before
    Dense_10, and convolutions before the dense head. The first layer reads the input as an
    embedding does, the last makes the logits: Muon's author leaves both to AdamW.

    Args:
      params: parameters, as Flax and Haiku name them.

    Returns:
      Like `params`: "hidden" or "other".
    """
    named, structure = jax.tree.flatten_with_path(params)
    kernels = [i for i, (_, array) in enumerate(named) if jnp.ndim(array) >= 2]
    kernels.sort(key=lambda i: _natural(jax.tree_util.keystr(named[i][0])))
    hidden = set(kernels[1:-1])
    return jax.tree.unflatten(
        structure, [HIDDEN if i in hidden else OTHER for i in range(len(named))]
    )


def muon_split(
    learning_rate: optax.ScalarOrSchedule,
    adam_learning_rate: optax.ScalarOrSchedule,
    **settings: Any,
) -> optax.GradientTransformationExtraArgs:
    """Muon on hidden weights, convolution kernels included, AdamW without decay on all others.

    Args:
      learning_rate: of Muon; a number, a traced scalar or a schedule.
      adam_learning_rate: of AdamW, whose step is Nesterov's as beside Muon in optax; likewise.
      **settings: of `optax.contrib.muon`.

    Reference:
      Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024,
      kellerjordan.github.io/posts/muon.
    """
    adam = optax.adamw(adam_learning_rate, weight_decay=0.0, nesterov=True)
    return optax.partition({HIDDEN: muon(learning_rate, **settings), OTHER: adam}, split)


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts Dense_2 before Dense_10: text and numbers in turn, as (number, text)."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", path)]
