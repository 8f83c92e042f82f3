"""Texts: their packages, splits of documents, windows, files of the user's; a line per mistake."""

import gzip
import types
import zipfile

import numpy as np
import pytest

from scripts import prepare_data
from tasks import text
from tasks.sources import DataError, registries, texts

DOCUMENTS = [f"def f{i}():\n    return {i}\n".encode() for i in range(400)]


def wheel(folder, documents=DOCUMENTS):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / texts.WHEEL, "w") as file:
        for i, document in enumerate(documents):
            file.writestr(f"sympy/m{i}.py", document)
        file.writestr("sympy/empty.py", "")
        file.writestr("sympy-1.14.0.dist-info/METADATA", "no source")
    return folder / texts.WHEEL


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """SymPy replaced by 400 short documents; the cache is empty."""
    monkeypatch.setenv("RLLC_DATA", str(tmp_path / "cache"))
    monkeypatch.setitem(text.SETS, "sympy", text.checksum(text.divided(DOCUMENTS)))
    return tmp_path / "cache"


def documents_of(split):
    return set(split.tobytes().split(text.END)) - {b""}


def test_splits_are_disjoint_whole_and_of_the_promised_shares():
    parts = [documents_of(split) for split in text.divided(DOCUMENTS)]
    assert set.union(*parts) == set(DOCUMENTS)
    assert sum(map(len, parts)) == len(DOCUMENTS)  # so no two share a document
    shares = np.array([len(part) for part in parts]) / len(DOCUMENTS)
    deviation = np.sqrt(np.array(text.SHARES) * (1 - np.array(text.SHARES)) / len(DOCUMENTS))
    assert (np.abs(shares - text.SHARES) < 3 * deviation).all()


def test_splits_do_not_depend_on_order_or_repeats():
    again = text.divided([*reversed(DOCUMENTS), *DOCUMENTS[:50], b""])
    assert text.checksum(again) == text.checksum(text.divided(DOCUMENTS))
    assert text.checksum(text.divided(DOCUMENTS[1:])) != text.checksum(again)


def test_windows_predict_every_byte_but_the_first_once():
    values = np.arange(100, dtype=np.uint8)
    data = text.windows(text.Text(values, values[:31], values[:30]), 10, 99, "counted")
    assert [len(split["x"]) for split in data[:3]] == [9, 3, 2]
    assert data.train["x"].shape == (9, 11)
    np.testing.assert_array_equal(data.train["x"][:, 1:].ravel(), np.arange(1, 91))
    np.testing.assert_array_equal(data.train["x"][:, 0], np.arange(0, 90, 10))


def test_held_out_windows_are_spaced_over_the_whole_split():
    values = np.arange(201, dtype=np.uint8)
    data = text.windows(text.Text(values, values, values), 10, 4, "counted")
    assert data.validation["x"][:, 0].tolist() == [0, 50, 100, 150]
    assert len(data.train["x"]) == 20


def test_a_split_shorter_than_a_window_is_named():
    values = np.zeros(10, np.uint8)
    with pytest.raises(DataError, match="the train split of it has 10 bytes, a window of 10 and"):
        text.windows(text.Text(values, values, values), 10, 1, "it")


def test_a_set_is_read_once_and_kept(cache):
    path = wheel(cache / "sympy")
    loaded = text.load("sympy")
    path.unlink()
    assert text.checksum(text.load("sympy")) == text.checksum(loaded)
    assert documents_of(loaded.train) < set(DOCUMENTS)


def test_a_damaged_cache_and_a_changed_package_are_refused(cache):
    wheel(cache / "sympy", DOCUMENTS[1:])
    with pytest.raises(DataError, match="corrupted or different data: SHA-256"):
        text.fill("sympy", sources=["folder"])
    assert not (cache / "sympy.npz").exists()
    wheel(cache / "sympy")
    text.load("sympy")
    np.savez(cache / "sympy.npz", **text.divided(DOCUMENTS[1:])._asdict())
    with pytest.raises(DataError, match="does not have the SHA-256"):
        text.load("sympy")
    (cache / "sympy.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"cannot be read .*prepare_data.py sympy --force"):
        text.load("sympy")


def test_a_damaged_wheel_and_an_unknown_set(cache):
    path = wheel(cache / "sympy")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="is damaged"):
        texts.read("sympy", cache)
    with pytest.raises(DataError, match="unknown text 'shakespeare'; known: sympy, gcide"):
        text.load("shakespeare")


def test_pip_is_asked_for_one_wheel(tmp_path, monkeypatch):
    made, asked = wheel(tmp_path / "made"), tmp_path / "asked"
    client = tmp_path / "python"
    client.write_text(f'#!/bin/sh\necho "$@" > {asked}\ncp {made} .\n')
    client.chmod(0o755)
    monkeypatch.setattr(registries, "sys", types.SimpleNamespace(executable=str(client)))
    assert set(registries.read("sympy", texts.read)) == {*DOCUMENTS, b""}
    assert asked.read_text().startswith("-m pip download sympy==1.14.0 --no-deps --only-binary")
    client.write_text("#!/bin/sh\necho 'ERROR: no such version' >&2\nexit 1\n")
    with pytest.raises(DataError, match="pip failed: ERROR: no such version"):
        registries.read("sympy", texts.read)


def write_dictd(folder, index):
    (folder / "gcide.dict.dz").write_bytes(gzip.compress(b"about usA word.\nB word\x92.\n"))
    (folder / "gcide.index").write_text(index)


def test_entries_of_a_dictd_dictionary(tmp_path):
    """Offsets 8 and 16 are I and Q to base 64; two headwords have one entry."""
    write_dictd(tmp_path, "00-database-info\tA\tI\nb\tQ\tJ\na\tI\tI\nalpha\tI\tI\n")
    assert texts.read("gcide", tmp_path) == [b"A word.\n", b"B word\x92.\n"]
    assert texts._number(b"BA") == 64


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("a\tI\n", "is no word, offset and length"),
        ("a\t!\tI\n", "is no word"),
        ("a\tI\tZZ", "behind"),
    ],
)
def test_an_index_that_cannot_be(tmp_path, index, message):
    write_dictd(tmp_path, index)
    with pytest.raises(DataError, match=message):
        texts.read("gcide", tmp_path)


def test_a_file_of_ones_own_is_cut_in_its_order(tmp_path):
    content = bytes(range(200))  # not UTF-8
    (tmp_path / "mine.bin").write_bytes(content)
    found = text.own(tmp_path / "mine.bin")
    assert [len(split) for split in found] == [180, 10, 10]
    assert b"".join(split.tobytes() for split in found) == content


def test_a_folder_of_ones_own_is_divided_by_file(tmp_path):
    for i, document in enumerate(DOCUMENTS):
        (tmp_path / f"{i}.py").write_bytes(document)
    (tmp_path / "picture.png").write_bytes(b"not text")
    assert text.checksum(text.own(tmp_path)) == text.checksum(text.divided(DOCUMENTS))


def test_texts_of_ones_own_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    (tmp_path / "blank").mkdir()
    for path in ("empty.txt", "blank/a.txt", "blank/b.md"):
        (tmp_path / path).touch()
    (tmp_path / "long.txt").write_bytes(b"12345")
    monkeypatch.setattr(text, "MOST_BYTES", 4)
    for name, message in {
        "nowhere": "does not exist",
        "empty.txt": "is empty",
        "none": "holds no file that ends in .txt, .md, .rst, .py",
        "blank": "all 2 files of .* are empty",
        "long.txt": "the most is",
    }.items():
        with pytest.raises(DataError, match=message) as caught:
            text.own(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_texts_are_prepared_only_when_named(cache, capsys):
    wheel(cache / "sympy")
    assert prepare_data.main(["sympy", "--source", "folder"]) == 0
    assert "sympy: " in capsys.readouterr().out
    assert prepare_data.parse([]).datasets == []
    assert not set(text.SETS) & set(prepare_data.datasets.SPECS)
    assert prepare_data.main(["sympy", "--prepare"]) == 1
    assert "tensorflow-datasets has no sympy" in capsys.readouterr().err


def test_made_up_text_has_the_shape_of_a_real_one():
    data = text.synthetic(16, count=64)
    assert [split["x"].shape for split in data[:3]] == [(64, 17), (32, 17), (32, 17)]
    assert data.checksum.startswith("synthetic-")
    assert data.checksum == text.synthetic(16, count=64).checksum
