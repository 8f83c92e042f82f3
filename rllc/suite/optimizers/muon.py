"""Muon (Jordan et al. 2024) from optax, told how to see a kernel of any rank as a matrix."""

from typing import Any

import jax
import optax


def kernels_as_matrices(params: optax.Params) -> Any:
    """Muon's view of each array: its last axis against all others, as training codes do.

    Args:
      params: parameters; weights have their output axis last, as Flax and Haiku store them.

    Returns:
      Like `params`: dimension numbers for arrays of two axes and more, None for the rest
      (biases, scales), which optax hands to AdamW.
    """

    def view(array: jax.Array) -> Any:
        if array.ndim < 2:
            return None
        last = array.ndim - 1
        return optax.contrib.MuonDimensionNumbers(
            reduction_axis=tuple(range(last)), output_axis=last
        )

    return jax.tree.map(view, params)


def muon(learning_rate: optax.ScalarOrSchedule, **settings: Any) -> optax.GradientTransformation:
    """`optax.contrib.muon` on every weight, convolution kernels included.

    Args:
      learning_rate: a number, a traced scalar or a schedule.
      **settings: of `optax.contrib.muon`.
    """
    return optax.contrib.muon(
        learning_rate, muon_weight_dimension_numbers=kernels_as_matrices, **settings
    )
