"""Readers for the packages that carry text: a folder of files in, documents as bytes out.

- sympy: the modules of the wheel of SymPy 1.14.0, Python source (BSD licence);
- gcide: the entries of the Collaborative International Dictionary of English 0.48 (GPL 2 or newer),
  in the form of dictd: one compressed file, and an index of where each entry stands in it.
"""

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tasks.sources import formats, registries
from tasks.sources.formats import DataError

WHEEL = "sympy-1.14.0-py3-none-any.whl"
# Of dictd's index: numbers are written to base 64 with these digits, most significant first.
DIGITS = {
    digit: value
    for value, digit in enumerate(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    )
}


def read(dataset: str, folder: Path) -> list[bytes]:
    """The documents of a text from its package in `folder` or the sub-folder `dataset`.

    Raises:
      DataError: no such folder, no package in it, or one that is damaged.
    """
    if not folder.is_dir():
        raise DataError("no such folder")
    for place in (folder / dataset, folder):
        found = LAYOUTS[dataset](place) if place.is_dir() else None
        if found is not None:
            return found
    raise DataError(f"no {EXPECTED[dataset]} found")


def sympy_wheel(folder: Path) -> list[bytes] | None:
    """Every module of the wheel; None if it is not there."""
    path = folder / WHEEL
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as wheel:
            formats.check_size(path, sum(member.file_size for member in wheel.infolist()))
            return [wheel.read(name) for name in wheel.namelist() if name.endswith(".py")]
    except DataError:
        raise
    except Exception as error:  # a damaged or hostile archive raises nearly anything
        raise DataError(f"{path} is damaged: {error}") from error


def gcide(folder: Path) -> list[bytes] | None:
    """The entries from gcide.dict.dz and gcide.index, or from Debian's package with the two."""
    if (folder / "gcide.index").is_file():
        return dictd(folder / "gcide.dict.dz", folder / "gcide.index")
    package = next(folder.glob("dict-gcide_*.deb"), None)
    if package is None:
        return None
    with tempfile.TemporaryDirectory(prefix="rllc-") as unpacked:
        command = ("dpkg", "-x", str(package.resolve()), ".")
        registries.run(command, Path(unpacked), registries.PACKAGES["gcide"])
        return gcide(Path(unpacked, registries.PACKAGES["gcide"].folder))


def dictd(text: Path, index: Path) -> list[bytes]:
    """Entries in the order in which they stand; those about the database itself are left out.

    Args:
      text: gzip file.
      index: lines of headword, offset and length, separated by tabs; several words may have one
        entry.

    Raises:
      DataError: a file is damaged, or the index is one of another file.
    """
    whole, places = formats.contents(text), set()
    for line in formats.contents(index).splitlines():
        word, *numbers = line.split(b"\t")
        if len(numbers) != 2 or not all(set(number) <= set(DIGITS) for number in numbers):
            raise DataError(f"{index} is damaged: {line[:60]!r} is no word, offset and length")
        if not word.startswith(b"00-"):
            places.add((_number(numbers[0]), _number(numbers[1])))
    if any(start + length > len(whole) for start, length in places):
        raise DataError(f"{index} points behind the {len(whole):,} bytes of {text}")
    return [whole[start : start + length] for start, length in sorted(places)]


def _number(digits: bytes) -> int:
    value = 0
    for digit in digits:
        value = value * len(DIGITS) + DIGITS[digit]
    return value


LAYOUTS: dict[str, Callable[[Path], list[bytes] | None]] = {"sympy": sympy_wheel, "gcide": gcide}
EXPECTED = {"sympy": WHEEL, "gcide": "gcide.dict.dz and gcide.index, or dict-gcide_….deb"}
