"""Normal forms: every linear memory is a union of Jordan block propagators (theorem 5.3).

Only the row vectors a^T B^i matter. From them follow a minimal pair (B̃, ã), whose eigenvalues own
one Jordan block each, and the matrix C with M = N C, where N is the memory of those blocks.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from rllc.notation import Block
from rllc.propagators import (
    NonDecayingMemoryWarning,
    Propagator,
    parse,
    recognise_blocks,
    union_of_blocks,
)

# How well the blocks must reproduce the abstract rules, relative to their largest entry.
TOLERANCE = 1e-10
# Below REDUNDANT (relative to |B|) a new Krylov direction is rounding, above INDEPENDENT it is not.
REDUNDANT, INDEPENDENT = 1e-12, 1e-9


class NormalForm(NamedTuple):
    """The Jordan block form of a propagator of k units.

    Attributes:
      propagator: the union of Jordan blocks, k' ≤ k units.
      law_map: C, shape (k', k), with M = N C for the memories M of the original and N of the form.
        The law L of the original is C L here, and the parameters follow the same trajectory.
    """

    propagator: Propagator
    law_map: np.ndarray


def normal_form(p: Propagator | str) -> NormalForm:
    """The Jordan block propagators that give the same optimizer, and the map for the law.

    Units whose content is a combination of others' (a non-minimal pair) are merged, so there is one
    block for each eigenvalue. A propagator that already is a union of blocks of different
    eigenvalues is returned as it is. With the exact pseudo-inverse (``epsilon=0``) the trajectory
    of ``lm_rllc(form.propagator, …, initial_law=form.law_map @ law)`` is that of
    ``lm_rllc(p, …, initial_law=law)``.

    In the first k steps the memory has rank below k: the law is not determined by M L then, and the
    shortest correction, which M^+ takes, differs from basis to basis. A ``law_learning_rate``
    schedule that is 0 for k steps makes the two trajectories equal from the start.

    Rounding moves a repeated eigenvalue of a matrix by about 1e-16 to the power 1/m, so that M2
    looks like two real units or a CM. Of all blocks that reproduce the abstract rules, those are
    taken whose law map has the smallest condition number. Units whose difference is below 1e-12 of
    the memory count as equal.

    Args:
      p: any propagator, or its notation.

    Returns:
      The form. Real blocks come first, by descending eigenvalue, then complex ones.

    Raises:
      ValueError: if eigenvalues are too close to decide in float64 whether they are equal; the
        message gives their distance. Or if the notation cannot be read.

    Example:
      >>> import numpy as np, rllc
      >>> cycle = rllc.Propagator(0.9 * np.roll(np.eye(4), 1, axis=1), [1, 0, 0, 0])
      >>> str(rllc.normal_form(cycle).propagator)
      'M(0.9)+M(-0.9)+CM(0.9i)'

    Reference: theorem 5.3, with the argument for pairs that are not minimal, which it leaves out.
    """
    p = parse(p)
    known = recognise_blocks(p)
    minimal = p.transition if known is not None else _minimal_transition(p)
    candidates = _candidates(np.linalg.eigvals(minimal)) if known is None else [_merged(known)]
    forms = [form for blocks in candidates if (form := _form(p, blocks)) is not None]
    if not forms:
        raise ValueError(_too_close(p, minimal))
    return min(forms, key=lambda form: np.linalg.cond(form.law_map))


def _form(p: Propagator, blocks: list[Block]) -> NormalForm | None:
    """The form with these blocks; None if they do not reproduce the rules, or one is not needed."""
    with warnings.catch_warnings():  # p itself has warned when it was made
        warnings.simplefilter("ignore", NonDecayingMemoryWarning)
        target = union_of_blocks(blocks)
    if target == p:
        return NormalForm(p, np.eye(p.num_units))
    law_map = _law_map(p, target)
    length = 4 * p.num_units
    ours, theirs = target.abstract_rule(length) @ law_map, p.abstract_rule(length)
    if np.abs(ours - theirs).max() > TOLERANCE * np.abs(theirs).max():
        return None
    if REDUNDANT * np.linalg.cond(law_map) > 1:
        return None
    return NormalForm(target, law_map)


def _law_map(p: Propagator, target: Propagator) -> np.ndarray:
    """The C with J C = C B and e^T C = a^T, by least squares; (J, e) is the target."""
    k, m = p.num_units, target.num_units
    commutes = np.kron(target.transition, np.eye(k)) - np.kron(np.eye(m), p.transition.T)
    starts = np.kron(target.injection, np.eye(k))
    right = np.concatenate([np.zeros(m * k), p.injection])
    solution: np.ndarray = np.linalg.lstsq(np.concatenate([commutes, starts]), right, rcond=None)[0]
    return solution.reshape(m, k)


def _merged(blocks: tuple[Block, ...]) -> list[Block]:
    """One block for each eigenvalue, of the largest size among its blocks; exact comparison."""
    largest: dict[complex, Block] = {}
    for block in blocks:
        value = complex(block.eigenvalue.real, abs(block.eigenvalue.imag))
        known = largest.get(value)
        if known is None or block.size > known.size:
            largest[value] = block
    return list(largest.values())


def _minimal_transition(p: Propagator) -> np.ndarray:
    """B̃ of a minimal pair: B on the span of the a^T B^i, in an orthonormal basis (Arnoldi)."""
    norm = np.linalg.norm(p.transition, 2)
    basis = [p.injection / np.linalg.norm(p.injection)]
    while len(basis) < p.num_units:
        row = basis[-1] @ p.transition
        for _ in range(2):  # orthogonalise twice: once is not enough
            row = row - sum((row @ q) * q for q in basis)
        size = np.linalg.norm(row)
        if size <= REDUNDANT * norm:
            break
        basis.append(row / size)
        if size < INDEPENDENT * norm:
            raise ValueError(_too_close(p, _restricted(p, basis)))
    return _restricted(p, basis)


def _restricted(p: Propagator, basis: list[np.ndarray]) -> np.ndarray:
    """B on the span of orthonormal rows."""
    rows = np.array(basis)
    restricted: np.ndarray = rows @ p.transition @ rows.T
    return restricted


def _candidates(values: np.ndarray) -> list[list[Block]]:
    """Block structures to try, finest first: eigenvalues within ever larger distances are merged.

    Repeated eigenvalues come out of floating point as a small cluster, whose mean is accurate.
    """
    distances = np.abs(values[:, None] - values[None, :])
    slack = 1 + 1e-6  # the distances of conjugates are equal but for rounding
    thresholds = np.unique(distances) * slack
    found: list[list[Block]] = []
    for threshold in thresholds:
        blocks = _blocks(_clusters(values, distances <= threshold))
        if sum(block.num_units for block in blocks) == len(values) and blocks not in found:
            found.append(blocks)
    return found


def _clusters(values: np.ndarray, near: np.ndarray) -> list[np.ndarray]:
    """Connected components of the graph of near eigenvalues."""
    reach = np.linalg.matrix_power(near.astype(float), len(values)) > 0
    return [values[row] for row in np.unique(reach, axis=0)]


def _blocks(clusters: list[np.ndarray]) -> list[Block]:
    """A real block for each cluster that holds its conjugates, a CM for each pair that does not."""
    real, imaginary = [], []
    for cluster in clusters:
        mean = _tidy(cluster.mean())
        if np.isin(cluster.conj(), cluster).all():
            real.append(Block(False, len(cluster), complex(mean.real)))
        elif mean.imag > 0:
            imaginary.append(Block(True, len(cluster), mean))
    real.sort(key=lambda block: -block.eigenvalue.real)
    imaginary.sort(key=lambda block: (-block.eigenvalue.real, block.eigenvalue.imag))
    return real + imaginary


def _tidy(value: complex) -> complex:
    """Short decimals for numbers that are within rounding of them: 0.9 for 0.9000000000000001."""
    parts = (float(value.real), float(value.imag))
    short = [round(x, 10) + 0.0 for x in parts]
    return complex(*(s if abs(s - x) < 1e-13 else x for s, x in zip(short, parts, strict=True)))


def _too_close(p: Propagator, reached: np.ndarray) -> str:
    """The message, with the eigenvalues of B nearest to the closest two on the reached subspace."""
    left, right = _closest(np.linalg.eigvals(reached))
    values = list(np.linalg.eigvals(p.transition))
    pair = [values.pop(np.abs(np.array(values) - near).argmin()) for near in (left, right)]
    return (
        f"the eigenvalues {pair[0]:.12g} and {pair[1]:.12g} of the transition are "
        f"{abs(pair[0] - pair[1]):.3g} apart: too close to decide in float64 whether they are "
        "equal; write the propagator as a union of blocks instead"
    )


def _closest(values: np.ndarray) -> np.ndarray:
    """The two closest values."""
    distances = np.abs(values[:, None] - values[None, :]) + np.diag(np.full(len(values), np.inf))
    return values[list(np.unravel_index(distances.argmin(), distances.shape))]
