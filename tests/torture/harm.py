"""Ways to damage a file."""

from collections.abc import Callable

import numpy as np

Harm = Callable[[bytes, bytes, np.random.Generator], bytes]


def flip(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One bit."""
    content = bytearray(whole)
    content[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
    return bytes(content)


def cut(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing."""
    return whole[: rng.integers(1, len(whole))]


def empty(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Nothing is left."""
    return b""


def foreign(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """The file of another run, right in itself."""
    return other


def zeros(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """A block of zeros, as after a loss of power."""
    start = int(rng.integers(len(whole)))
    length = min(int(rng.integers(1, 513)), len(whole) - start)
    return whole[:start] + bytes(length) + whole[start + length :]


def noise(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """A block of random bytes."""
    start = int(rng.integers(len(whole)))
    length = min(int(rng.integers(1, 65)), len(whole) - start)
    return whole[:start] + rng.bytes(length) + whole[start + length :]


def longer(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Something stands behind the end."""
    return whole + rng.bytes(int(rng.integers(1, 65)))


HARMS: dict[str, Harm] = {
    "one bit flipped": flip,
    "cut off": cut,
    "empty": empty,
    "of another run": foreign,
    "a block of zeros": zeros,
    "a block of noise": noise,
    "more at the end": longer,
}
