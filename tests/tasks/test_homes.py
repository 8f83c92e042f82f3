"""Direct downloads, from a server of the test's own: right files, wrong ones, no server."""

import functools
import hashlib
import http.server
import tarfile
import threading
import zipfile

import pytest

from tasks import datasets, sources
from tasks.sources import DataError, formats, homes, texts
from tests.tasks.raw_files import (
    canonical,
    made_up,
    same,
    write_cifar_binary,
    write_idx,
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder whose files are at RLLC_MIRROR."""
    root = tmp_path / "served"
    for name in homes.HOMES:
        (root / name).mkdir(parents=True)
    handler = functools.partial(Quiet, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv(homes.MIRROR, f"http://127.0.0.1:{httpd.server_port}/")
        yield root
        httpd.shutdown()
        thread.join()


def published(monkeypatch, dataset, folder):
    """Makes the sums of the files in a folder those that are asked for."""
    files = tuple(
        homes.File(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), 1)
        for path in sorted(folder.iterdir())
    )
    homes_ = {**homes.HOMES, dataset: homes.HOMES[dataset]._replace(files=files)}
    monkeypatch.setattr(homes, "HOMES", homes_)


def test_four_files_are_fetched_and_read(server, monkeypatch):
    write_idx(server / "mnist", zipped=True)
    published(monkeypatch, "mnist", server / "mnist")
    assert same(
        canonical("mnist", homes.read("mnist", formats.read)), canonical("mnist", made_up("mnist"))
    )


def test_a_wheel_is_fetched_and_read_as_text(server, monkeypatch):
    with zipfile.ZipFile(server / "sympy" / texts.WHEEL, "w") as wheel:
        wheel.writestr("sympy/a.py", "x = 1")
    published(monkeypatch, "sympy", server / "sympy")
    assert homes.read("sympy", texts.read) == [b"x = 1"]


def test_an_archive_is_unpacked(server, tmp_path, monkeypatch):
    batches = tmp_path / "cifar-10-batches-bin"
    batches.mkdir()
    write_cifar_binary(batches)
    with tarfile.open(server / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(batches, batches.name)
    published(monkeypatch, "cifar10", server / "cifar10")
    found = sources.fetch("cifar10", ["download"], tmp_path)
    assert same(canonical("cifar10", found), canonical("cifar10", made_up("cifar10")))


def test_a_file_with_another_sum_is_not_read(server, tmp_path, monkeypatch):
    write_idx(server / "mnist", zipped=True)
    published(monkeypatch, "mnist", server / "mnist")
    path = server / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match="hash"):
        homes.read("mnist", formats.read)


def test_where_nothing_is_reachable_files_sums_and_places_are_named(server, tmp_path):
    with pytest.raises(DataError) as error:
        sources.fetch("mnist", ["folder", "download"], tmp_path / "cache" / "mnist")
    text = str(error.value)
    assert "\n" not in text
    for file in homes.HOMES["mnist"].files:
        assert f"{file.name} (" in text
        assert file.sha256 in text
    assert f"into {tmp_path / 'cache' / 'mnist'}; they are at https://ossci" in text
    assert "404" in text


def test_the_second_home_is_tried(server, monkeypatch):
    write_idx(server / "mnist", zipped=True)
    published(monkeypatch, "mnist", server / "mnist")
    right = homes.addresses("mnist")[0]
    monkeypatch.setattr(homes, "addresses", lambda dataset: ("http://127.0.0.1:9/", right))
    assert len(homes.read("mnist", formats.read).test_labels) == 20


def test_downloads_come_before_registries_and_after_what_is_here():
    assert sources.NAMES.index("folder") < sources.NAMES.index("download")
    assert sources.NAMES.index("download") < sources.NAMES.index("registry")


@pytest.mark.parametrize("dataset", datasets.SPECS)
def test_every_data_set_has_a_home_and_whole_sums(dataset):
    home = homes.HOMES[dataset]
    assert all(address.endswith("/") for address in home.addresses)
    sums = [file.sha256 for file in home.files]
    assert len(set(sums)) == len(sums)
    assert all(len(bytes.fromhex(digest)) == 32 for digest in sums)


def test_the_sums_are_those_that_tensorflow_datasets_has():
    folder = pytest.importorskip("tensorflow_datasets").__path__[0]
    for dataset in datasets.SPECS:
        home = homes.HOMES[dataset]
        with open(f"{folder}/url_checksums/{dataset}.txt") as file:
            theirs = {line.split("\t")[-1].strip(): line.split("\t")[2] for line in file}
        assert {f.name: f.sha256 for f in home.files}.items() <= theirs.items()
