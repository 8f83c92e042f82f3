"""AggMo and QHM: linear memory with a fixed learning law, as `rllc.linear_memory` runs it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rllc


def aggmo(
    learning_rate: optax.ScalarOrSchedule,
    velocities: Any = 3,
    most: int = 4,
) -> optax.GradientTransformationExtraArgs:
    """Aggregated momentum: the mean of K heavy balls of decays 0, 0.9, 0.99, …

        v_i ← β_i v_i - g,  θ ← θ + α/K (v_0 + … + v_{K-1}),  β_i = 1 - 0.1^i

    The law (1/K, …, 1/K, 0, …) on M(0)+M(0.9)+M(0.99)+…, so K is a number of the law and not of
    the memory: optimizers of different K train as one program.

    Args:
      learning_rate: α, a number, a traced scalar or a schedule.
      velocities: K, 1 … `most`; may be traced.
      most: memory units kept, each as large as the parameters (the gradient is one of them).

    Returns:
      An optax optimizer.

    Raises:
      ValueError: `velocities` is a Python number and no whole number from 1 to `most`.

    Reference:
      Lucas et al., Aggregated Momentum: Stability Through Passive Damping, ICLR 2019,
      arXiv:1804.00325, with its exponential damping at a = 0.1.
    """
    concrete = isinstance(velocities, int | float)
    if concrete and velocities not in range(1, most + 1):
        raise ValueError(f"velocities={velocities} must be a whole number from 1 to most={most}")
    units = [rllc.momentum(1 - 0.1**i) for i in range(most)]
    array: Any = np if concrete else jnp
    law = array.where(np.arange(most) < velocities, 1 / array.asarray(velocities), 0.0)
    return rllc.linear_memory(rllc.union(*units), law, learning_rate)


def qhm(
    learning_rate: optax.ScalarOrSchedule,
    nu: jax.typing.ArrayLike = 0.7,
    beta: float = 0.999,
) -> optax.GradientTransformationExtraArgs:
    """Quasi-hyperbolic momentum: a mix of the gradient and the mean of gradients.

        m ← β m + (1-β) g,  θ ← θ - α ((1-ν) g + ν m)

    The law (ν(1-β), 1-ν) on M(β)+M(0).

    Args:
      learning_rate: α, a number, a traced scalar or a schedule.
      nu: ν, weight of the mean; 0 is SGD, 1 momentum on the mean of gradients; may be traced.
      beta: β, decay of the mean, per step; not traced.

    Returns:
      An optax optimizer with two buffers as large as the parameters.

    Reference:
      Ma & Yarats, Quasi-hyperbolic Momentum and Adam for Deep Learning, ICLR 2019,
      arXiv:1810.06801; its rule of thumb is ν = 0.7, β = 0.999.
    """
    memory = rllc.momentum(beta) + rllc.momentum(0.0)
    return rllc.linear_memory(memory, (nu * (1 - beta), 1 - nu), learning_rate)
