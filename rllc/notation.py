"""The paper's notation for Jordan block propagators: reading it, and recognising it in a table."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np


class Block(NamedTuple):
    """A Jordan block propagator by name: M(λ), M_m(λ), CM(α+βi) or CM_m(α+βi).

    Attributes:
      is_complex: True for CM blocks, which take two memory units for each unit of size.
      size: the size m of the Jordan block.
      eigenvalue: λ; its imaginary part is 0 for real blocks.

    Reference: section 5, "Propagators of Jordan type".
    """

    is_complex: bool
    size: int
    eigenvalue: complex

    @property
    def num_units(self) -> int:
        """The number of memory units."""
        return self.size * (2 if self.is_complex else 1)

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """The transition B, shape (k, k), and the injection a = e_1, shape (k,)."""
        real, imag = self.eigenvalue.real, self.eigenvalue.imag
        cell = np.array([[real, -imag], [imag, real]] if self.is_complex else [[real]])
        chain = np.kron(np.eye(self.size, k=1), np.eye(len(cell)))
        return np.kron(np.eye(self.size), cell) + chain, np.eye(self.num_units)[0]

    def __str__(self) -> str:
        size = "" if self.size == 1 else str(self.size)
        real, imag = float(self.eigenvalue.real), float(self.eigenvalue.imag)
        if not self.is_complex:
            return f"M{size}({real!r})"
        text = f"{imag!r}i"
        if real != 0:
            text = repr(real) + ("+" if imag > 0 else "") + text
        return f"CM{size}({text})"


def real_block(beta: Any, size: int) -> Block:
    """M_m(β), checked: β real and finite, size a positive integer; a ValueError otherwise."""
    if np.iscomplexobj(beta):
        raise ValueError(f"beta is {beta}; M needs a real number (CM takes a complex one)")
    return Block(False, _positive(size), _finite("beta", complex(beta)))


def complex_block(gamma: Any, size: int) -> Block:
    """CM_m(γ), checked: γ finite, not real, size a positive integer; a ValueError otherwise."""
    gamma = _finite("gamma", complex(gamma))
    if gamma.imag == 0:
        raise ValueError(f"gamma is {gamma.real}; CM needs an imaginary part (M takes a real one)")
    return Block(True, _positive(size), gamma)


# The signs of print, each one character long, so that positions stay: M₂(−0.6) is M2(-0.6).
_PRINTED = str.maketrans("−₀₁₂₃₄₅₆₇₈₉", "-0123456789")
# What is matched is never given back (*+), so that reading takes linear time.
_PART = re.compile(r"\s*+(?P<kind>CM|M)_?(?P<size>\d*+)\s*+\(")
_DIGITS = r"(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?\d++)?+"
_SIGNED = rf"(?:[+-]\s*+)?+{_DIGITS}"
_REAL = re.compile(rf"\s*+(?P<real>{_SIGNED})\s*+\)\s*+")
_COMPLEX = re.compile(
    rf"\s*+(?:(?P<real>{_SIGNED})\s*+(?=[+-]))?(?P<imag>(?:[+-]\s*+)?+(?:{_DIGITS})?+)\s*+[ij]\s*+\)\s*+"
)
MOST_UNITS = 64  # of a propagator in notation: each unit is a copy of the parameters


def parse_blocks(text: str) -> list[Block]:
    """Read blocks such as M(0.9), M2(0.6), M_2(0.6), M₂(−0.6), CM(0.3+0.2i), joined by + or ⊕.

    Raises:
      ValueError: if the text cannot be read, or has more than 64 memory units; the message gives
        the position, counted from 0.
    """
    blocks, position, units = [], 0, 0
    while True:
        start = position
        block, position = _parse_block(text, position)
        blocks.append(block)
        units += block.num_units
        if units > MOST_UNITS:
            raise ValueError(
                f"cannot read propagator {_shown(text)}, position {start}: {units} memory units, "
                f"each a copy of the parameters; the notation goes up to {MOST_UNITS}"
            )
        if position == len(text):
            return blocks
        if text[position] not in "+⊕":
            raise _error(text, position, "'+' or '⊕' between parts")
        position += 1


def _parse_block(text: str, position: int) -> tuple[Block, int]:
    """Read one block at ``position``; return it and the position behind it."""
    position += len(text[position:]) - len(text[position:].lstrip())
    plain = text.translate(_PRINTED)
    head = _PART.match(plain, position)
    if head is None:
        raise _error(text, position, "a part such as M(0.9), M2(0.6) or CM(0.3+0.2i)")
    real_value = _REAL.match(plain, head.end())
    value = real_value or _COMPLEX.match(plain, head.end())
    if value is None:
        raise _error(text, head.end(), "a number such as 0.9 or 0.3+0.2i, and ')'")
    number = complex(_float(value["real"]), 0 if real_value else _float(value["imag"]))
    try:
        size = int(head["size"][:9] or 1)  # a longer one is too large all the same
        if head["kind"] == "CM":
            return complex_block(number, size), value.end()
        return real_block(number.real if real_value else number, size), value.end()
    except ValueError as error:
        shown = _shown(text)
        raise ValueError(f"cannot read propagator {shown}, position {position}: {error}") from None


def recognise(transition: np.ndarray, injection: np.ndarray) -> tuple[Block, ...] | None:
    """The Jordan blocks whose union is exactly this table, in order; None where there are none."""
    blocks = []
    for start, stop in _diagonal_parts(transition):
        block = _as_block(transition[start:stop, start:stop], injection[start:stop])
        if block is None:
            return None
        blocks.append(block)
    return tuple(blocks)


def _as_block(transition: np.ndarray, injection: np.ndarray) -> Block | None:
    """Name one indecomposable part, or None."""
    size, corner = len(transition), float(transition[0, 0])
    block = Block(False, size, complex(corner))
    if size % 2 == 0 and transition[1, 0] != 0:
        block = Block(True, size // 2, complex(corner, float(transition[1, 0])))
    table = block.table()
    same = np.array_equal(table[0], transition) and np.array_equal(table[1], injection)
    return block if same else None


def _diagonal_parts(transition: np.ndarray) -> list[tuple[int, int]]:
    """The finest split of the index range into consecutive diagonal parts."""
    size = len(transition)
    cuts = [
        i for i in range(1, size) if not transition[:i, i:].any() and not transition[i:, :i].any()
    ]
    return list(zip([0, *cuts], [*cuts, size], strict=True))


def _float(text: str | None) -> float:
    """A signed number that may be absent (0) or a bare sign (as in 'i' or '-i': 1)."""
    if text is None:
        return 0.0
    text = re.sub(r"\s", "", text)
    return float(text + "1" if text in ("", "+", "-") else text)


def _finite(name: str, value: complex) -> complex:
    if not np.isfinite(value):
        shown = value if value.imag else value.real
        raise ValueError(f"{name} is {shown}; it must be finite")
    return value


def _positive(size: int) -> int:
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"size is {size!r}; it must be an integer of at least 1")
    return int(size)


def _error(text: str, position: int, expected: str) -> ValueError:
    found = repr(text[position]) if position < len(text) else "the end of the text"
    return ValueError(
        f"cannot read propagator {_shown(text)}, position {position}: found {found}, expected "
        f"{expected}"
    )


def _shown(text: str) -> str:
    """The text as it stands in a message: a long one is cut."""
    return repr(text if len(text) <= 200 else text[:200] + "…")
