"""Files that lie about their size or place: one line, little memory, nothing outside."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

from tasks.sources import archives, formats


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Limits small enough to exceed them in a test."""
    monkeypatch.setattr(formats, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(formats, "MOST_PIXELS", 1 << 12)


def test_a_gzip_bomb_is_refused(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(1 << 22)))
    with pytest.raises(formats.DataError, match="unpacks to more than 1 MiB"):
        formats.read_idx(path)


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **dict.fromkeys(formats.Splits._fields, np.zeros(1 << 20, np.uint8)))
    assert path.stat().st_size < 1 << 14
    with pytest.raises(formats.DataError, match="unpacks to more than"):
        formats.read_npz(path)


def test_an_array_that_claims_a_huge_shape_is_damage(tmp_path):
    path = tmp_path / "mnist.npz"
    header = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(path, "w") as archive:
        for name in formats.Splits._fields:
            archive.writestr(f"{name}.npy", header.getvalue())
    with pytest.raises(formats.DataError, match="is damaged"):
        formats.read_npz(path)


@pytest.mark.parametrize("shape", [(1 << 31, 1 << 31, 4), (0, 1 << 31), (5,)])
def test_sizes_of_an_idx_file_are_those_of_its_bytes(tmp_path, shape):
    """The first product is 2 to the 64, which 64 bits take for zero."""
    path = tmp_path / "a-ubyte"
    sizes = struct.pack(f">{len(shape)}I", *shape)
    path.write_bytes(
        b"\0\0\x08" + bytes([len(shape)]) + sizes + (b"" if shape[0] != 5 else b"1234")
    )
    if 0 in shape:
        assert formats.read_idx(path).size == 0
        return
    with pytest.raises(formats.DataError, match="is damaged"):
        formats.read_idx(path)


@pytest.mark.parametrize("width", [1 << 10, 1 << 14, 1 << 16])
def test_a_picture_that_claims_to_be_huge_is_refused(tmp_path, width):
    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0))
    path = tmp_path / "data_batch_1.png"
    data = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + data)
    with pytest.raises(formats.DataError, match="is damaged"):
        formats._read_strip(path)


def archive(path, name, size=4):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = size
        tar.addfile(member, io.BytesIO(bytes(size)))
    return tarfile.open(path)


def test_members_of_a_package_stay_in_its_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with archive(tmp_path / "a.tgz", "../outside") as tar, pytest.raises(tarfile.TarError):
        archives.extract(tar, folder)
    assert not (tmp_path / "outside").exists()


def test_a_package_that_unpacks_to_too_much_is_refused(tmp_path):
    with (
        archive(tmp_path / "a.tgz", "big", 1 << 21) as tar,
        pytest.raises(formats.DataError, match="unpacks to more"),
    ):
        archives.extract(tar, tmp_path)
    assert not (tmp_path / "big").exists()
