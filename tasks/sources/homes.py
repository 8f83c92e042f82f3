"""Direct downloads from where the data sets live, by pooch, each file checked by its SHA-256.

The sums are those of the published files (tensorflow-datasets has the same).
"""

import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from tasks.sources.archives import extract
from tasks.sources.formats import DataError

T = TypeVar("T")
TIMEOUT = (5.0, 60.0)  # seconds to connect, and for each answer after that
MIRROR = "RLLC_MIRROR"  # environment variable: one address instead of all below


class File(NamedTuple):
    """A published file."""

    name: str
    sha256: str
    megabytes: int


class Home(NamedTuple):
    """A data set's files and the addresses they are under, the first that answers is taken."""

    addresses: tuple[str, ...]
    files: tuple[File, ...]


def _idx(*sums: str, megabytes: int) -> tuple[File, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    sizes = (megabytes, 1, megabytes // 6, 1)
    return tuple(
        File(f"{name}-ubyte.gz", digest, size)
        for name, digest, size in zip(names, sums, sizes, strict=True)
    )


HOMES = {
    "mnist": Home(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        _idx(
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            megabytes=10,
        ),
    ),
    "fashion_mnist": Home(
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        _idx(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            megabytes=26,
        ),
    ),
    "cifar10": Home(
        ("https://www.cs.toronto.edu/~kriz/",),
        (
            File(
                "cifar-10-binary.tar.gz",
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                170,
            ),
        ),
    ),
    "sympy": Home(
        (
            "https://files.pythonhosted.org/packages/a2/09/"
            "77d55d46fd61b4a135c444fc97158ef34a095e5681d0a6c10b75bf356191/",
        ),
        (
            File(
                "sympy-1.14.0-py3-none-any.whl",
                "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5",
                6,
            ),
        ),
    ),
    "gcide": Home(
        ("https://deb.debian.org/debian/pool/main/d/dict-gcide/",),
        (
            File(
                "dict-gcide_0.48.5+nmu2_all.deb",
                "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f",
                15,
            ),
        ),
    ),
}


def addresses(dataset: str) -> tuple[str, ...]:
    """Where the files of a data set are looked for: its homes, or the mirror of the variable."""
    mirror = os.environ.get(MIRROR)
    return (f"{mirror.rstrip('/')}/{dataset}/",) if mirror else HOMES[dataset].addresses


def describe(dataset: str) -> str:
    """The downloads in words."""
    return f"download from {' or '.join(addresses(dataset))}"


def by_hand(dataset: str) -> str:
    """The files with their sums, for whoever fetches them with something else.

    Example:
      >>> by_hand("cifar10")[:55]
      'cifar-10-binary.tar.gz (170 MB, SHA-256 c4a38c50a1bc5f3'
    """
    files = HOMES[dataset].files
    unpacked = ", unpacked" if files[0].name.endswith(".tar.gz") else ""
    told = ", ".join(f"{f.name} ({f.megabytes} MB, SHA-256 {f.sha256})" for f in files)
    return told + unpacked


def read(dataset: str, reader: Callable[[str, Path], T]) -> T:
    """Downloads the files of a data set and reads them with `reader`; nothing is left behind.

    Raises:
      DataError: no address answers, or none has the right bytes.
    """
    failures = []
    with tempfile.TemporaryDirectory(prefix="rllc-") as folder:
        for address in addresses(dataset):
            try:
                for file in HOMES[dataset].files:
                    _fetch(address, file, Path(folder))
                return reader(dataset, Path(folder))
            except DataError as error:
                failures.append(f"{address}: {error}")
    raise DataError("; ".join(failures))


def _fetch(address: str, file: File, folder: Path) -> None:
    """Downloads a file, and unpacks it if it is a tar archive.

    Raises:
      DataError: it cannot be had, or is another file.
    """
    try:
        import pooch
    except ImportError as error:
        raise DataError(f"pooch is not installed ({error})") from error
    pooch.get_logger().setLevel("ERROR")
    size = f"{file.name} ({file.megabytes} MB)"
    with tqdm(desc=size, total=file.megabytes * 10**6, unit="B", unit_scale=True, delay=1.0) as bar:
        downloader = pooch.HTTPDownloader(timeout=TIMEOUT, progressbar=bar)
        try:
            path = pooch.retrieve(
                address + file.name, f"sha256:{file.sha256}", file.name, folder,
                downloader=downloader,
            )  # fmt: skip
        except Exception as error:  # of requests, of urllib3, or a sum that is not the file's
            raise DataError(_in_words(error)) from error
    if file.name.endswith((".tar.gz", ".tgz")):
        try:
            with tarfile.open(path) as tar:
                extract(tar, folder)
        except (OSError, EOFError, tarfile.TarError) as error:
            raise DataError(f"{file.name} is damaged: {error}") from error


def _in_words(error: Exception) -> str:
    """A failed download in a line."""
    if type(error).__name__ in ("ConnectionError", "ConnectTimeout", "SSLError", "ProxyError"):
        return f"not reachable ({type(error).__name__})"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
