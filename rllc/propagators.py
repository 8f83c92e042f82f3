"""Propagators: fixed linear rules (B, a) that update k memory units together.

The method is data. A linear-memory optimizer is a frozen, validated NumPy table, never a class of
its own; one engine (`rllc.transform`) runs every table. Paper: section 4, "Linear memory updates".
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from rllc.notation import Block, complex_block, parse_blocks, real_block, recognise


class NonDecayingMemoryWarning(UserWarning):
    """An eigenvalue of the transition has modulus 1 or more: the memory does not decay."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Propagator:
    r"""A fixed linear memory rule :math:`M_t = M_{t-1} B + g_t a^\top`.

    Column j of the memory :math:`M \in \mathbb{R}^{n \times k}` is memory unit j. It holds
    :math:`\sum_i (a^\top B^i)_j\, g_{t-i}`. Propagators compare and hash by value, so they can be
    static arguments of `jax.jit`.

    Args:
      transition: the matrix B, shape (k, k). It is copied to read-only float64.
      injection: the vector a, shape (k,). It is copied to read-only float64.

    Raises:
      ValueError: if the shapes do not agree, k is 0, an entry is not finite, or a is zero (such
        memory stays empty).

    Warns:
      NonDecayingMemoryWarning: if an eigenvalue of B has modulus 1 or more.

    Example:
      >>> import rllc
      >>> p = rllc.Propagator(transition=[[0.9]], injection=[1.0])
      >>> p == rllc.momentum(0.9), str(p), p.num_units
      (True, 'M(0.9)', 1)

    Reference: section 4, equation (1).
    """

    transition: np.ndarray
    injection: np.ndarray

    def __post_init__(self) -> None:
        transition = _frozen(self.transition, "transition")
        injection = _frozen(self.injection, "injection")
        _check_table(transition, injection)
        object.__setattr__(self, "transition", transition)
        object.__setattr__(self, "injection", injection)
        _warn_if_not_decaying(self)

    def __setstate__(self, state: dict[str, np.ndarray]) -> None:
        for name, array in state.items():
            array.flags.writeable = False  # as copies and unpickled arrays are not
            object.__setattr__(self, name, array)

    @property
    def num_units(self) -> int:
        """The number of memory units k."""
        return len(self.injection)

    def abstract_rule(self, length: int) -> np.ndarray:
        r"""Weights of past gradients in each unit: row i is :math:`a^\top B^i`, the weight of
        :math:`g_{t-i}`.

        Args:
          length: the number of rows.

        Returns:
          A float64 array of shape (length, k).

        Example:
          >>> import rllc
          >>> rllc.jordan(0.5, 2).abstract_rule(3).tolist()
          [[1.0, 0.0], [0.5, 1.0], [0.25, 1.0]]

        Reference: section 4, equation (2).
        """
        rows = np.empty((length, self.num_units))
        row = self.injection
        for i in range(length):
            rows[i] = row
            row = row @ self.transition
        return rows

    def __add__(self, other: Propagator) -> Propagator:
        if not isinstance(other, Propagator):
            return NotImplemented
        return union(self, other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Propagator):
            return NotImplemented
        return np.array_equal(self.transition, other.transition) and np.array_equal(
            self.injection, other.injection
        )

    def __hash__(self) -> int:
        return hash((self.num_units, self.transition.tobytes(), self.injection.tobytes()))

    def __str__(self) -> str:
        """The canonical notation, such as ``M(0.9)+M2(0.6)``; the repr if there is none."""
        blocks = recognise_blocks(self)
        return repr(self) if blocks is None else "+".join(map(str, blocks))

    def __repr__(self) -> str:
        table = f"transition={self.transition.tolist()}, injection={self.injection.tolist()}"
        return f"Propagator({table})"


def momentum(beta: float) -> Propagator:
    r"""M(β): one unit, :math:`m \leftarrow \beta m + g`.

    Args:
      beta: the decay β.

    Returns:
      A propagator of one unit.

    Reference: section 4, "Real momentum".
    """
    return jordan(beta, 1)


def jordan(beta: float, size: int) -> Propagator:
    r"""M_m(β): a Jordan block, momentum of momentum.

    :math:`m_1 \leftarrow \beta m_1 + g` and :math:`m_i \leftarrow \beta m_i + m_{i-1}`, all from
    the old memory.

    Args:
      beta: the eigenvalue β, a real number.
      size: the number of units m, at least 1.

    Returns:
      A propagator of m units.

    Raises:
      ValueError: if size is not a positive integer or beta is not real.

    Reference: section 4, "Jordan block of size 2"; section 5, "Propagators of Jordan type".
    """
    return Propagator(*real_block(beta, size).table())


def complex_momentum(gamma: complex) -> Propagator:
    """CM(γ): two units, the real and imaginary parts of a momentum with complex decay γ.

    Args:
      gamma: the decay γ = α + βi, with β not 0.

    Returns:
      A propagator of two units.

    Reference: section 4, "Complex momentum".
    """
    return complex_jordan(gamma, 1)


def complex_jordan(gamma: complex, size: int) -> Propagator:
    """CM_m(γ): the real Jordan block of γ and its conjugate.

    Args:
      gamma: the eigenvalue γ = α + βi, with β not 0.
      size: the size m of the complex block, at least 1.

    Returns:
      A propagator of 2m units.

    Raises:
      ValueError: if size is not a positive integer, or γ is real (then the second unit would stay
        empty).

    Reference: section 5, "Real Jordan normal form".
    """
    return Propagator(*complex_block(gamma, size).table())


def union(*propagators: Propagator | str) -> Propagator:
    """P ⊕ Q ⊕ …: all units side by side, block-diagonal B and concatenated a.

    Args:
      *propagators: one or more propagators, or their notation. ``p + q`` is the union of two.

    Returns:
      The propagator of all their units, in the order given.

    Raises:
      ValueError: if there is none, or one cannot be read.

    Reference: section 4, "Propagators and their unions".
    """
    if not propagators:
        raise ValueError("union of no propagators; give at least one")
    parts = [parse(p) for p in propagators]
    ends = np.cumsum([0] + [p.num_units for p in parts])
    transition = np.zeros((ends[-1], ends[-1]))
    for start, p in zip(ends[:-1], parts, strict=True):
        transition[start : start + p.num_units, start : start + p.num_units] = p.transition
    with warnings.catch_warnings():  # each part has warned when it was made
        warnings.simplefilter("ignore", NonDecayingMemoryWarning)
        return Propagator(transition, np.concatenate([p.injection for p in parts]))


def parse(text: str | Propagator) -> Propagator:
    """Read a propagator from the paper's notation.

    Parts ``M(λ)``, ``M2(λ)``, ``CM(α+βi)``, ``CM2(α+βi)``, … joined by ``+`` or ``⊕``; ``M_2`` and
    ``M₂`` are the same as ``M2``.

    Args:
      text: the notation. A Propagator is returned as it is.

    Returns:
      The union of the parts.

    Raises:
      ValueError: if the text cannot be read; the message gives the position, counted from 0.

    Example:
      >>> import rllc
      >>> p = rllc.parse("M(0.9) ⊕ M_2(0.6) ⊕ CM2(0.3+0.2i)")
      >>> str(p), p.num_units
      ('M(0.9)+M2(0.6)+CM2(0.3+0.2i)', 7)
    """
    if isinstance(text, Propagator):
        return text
    if not isinstance(text, str):
        raise ValueError(
            f"propagator is {text!r}; give a Propagator or a text such as 'M(0.9)+M(0.0)'"
        )
    return union_of_blocks(parse_blocks(text))


def union_of_blocks(blocks: Iterable[Block]) -> Propagator:
    """The propagator of these Jordan blocks, in order."""
    return union(*(Propagator(*block.table()) for block in blocks))


def recognise_blocks(p: Propagator) -> tuple[Block, ...] | None:
    """The Jordan blocks whose union is exactly ``p``, in order; None where it is no such union."""
    return recognise(p.transition, p.injection)


def _frozen(values: Any, name: str) -> np.ndarray:
    """A read-only float64 copy, with -0.0 written as 0.0 so that equal tables hash alike."""
    if np.iscomplexobj(values):
        raise ValueError(
            f"{name} is complex; write a complex decay as a real block, see complex_momentum"
        )
    array = np.array(values, dtype=np.float64)
    array[array == 0] = 0.0
    array.flags.writeable = False
    return array


def _check_table(transition: np.ndarray, injection: np.ndarray) -> None:
    k = injection.shape[0] if injection.ndim == 1 else 0
    if k == 0 or transition.shape != (k, k):
        raise ValueError(
            f"transition has shape {transition.shape} and injection {injection.shape}; "
            "they must be (k, k) and (k,) with k at least 1"
        )
    if not (np.isfinite(transition).all() and np.isfinite(injection).all()):
        raise ValueError("transition and injection must be finite")
    if not injection.any():
        raise ValueError("injection is zero; no gradient would ever reach the memory")


def _warn_if_not_decaying(p: Propagator) -> None:
    radius = np.abs(np.linalg.eigvals(p.transition)).max()
    if radius >= 1 - 1e-12:
        warnings.warn(
            f"memory does not decay: {p} has an eigenvalue of modulus {radius:.6g}, not below 1",
            NonDecayingMemoryWarning,
            stacklevel=4,
        )
