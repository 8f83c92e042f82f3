"""Canonical order, checksums, splits and the cache, on 50 + 20 made-up images."""

import os

import numpy as np
import pytest

from scripts import prepare_data
from tasks import canonical, datasets
from tasks.sources import DataError, Splits

SHAPES = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}


def made_up(shape, train=50, test=20, seed=0):
    generator = np.random.default_rng(seed)

    def draw(count):
        images = generator.integers(0, 256, (count, *shape), dtype=np.uint8)
        return images, generator.integers(0, 10, count)

    return Splits(*draw(train), *draw(test))


def tiny_spec(name="mnist", seed=0):
    spec = canonical.Spec(name, SHAPES[name], 50, 20, "")
    splits = made_up(spec.image_shape, seed=seed)
    arrays = canonical.canonicalise(canonical.conform(spec, splits))
    return spec._replace(checksum=canonical.checksum(arrays)), splits


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """MNIST replaced by 70 images, kept as an .npz in a folder; the cache is elsewhere."""
    spec, splits = tiny_spec()
    monkeypatch.setitem(datasets.SPECS, "mnist", spec)
    monkeypatch.setenv("RLLC_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    raw = tmp_path / "raw"
    raw.mkdir()
    np.savez(raw / "mnist.npz", **splits._asdict())
    return raw


def test_the_three_data_sets_have_the_published_sizes_and_shapes():
    for name, shape in SHAPES.items():
        spec = datasets.SPECS[name]
        assert spec.image_shape == shape
        assert (spec.train, spec.test) == (50_000 if name == "cifar10" else 60_000, 10_000)
        assert len(spec.checksum) == 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", (54_000, 6_000, 10_000)),
        ("fashion_mnist", (54_000, 6_000, 10_000)),
        ("cifar10", (45_000, 5_000, 10_000)),
    ],
)
def test_split_sizes(name, expected):
    spec = datasets.SPECS[name]
    empty = (np.zeros((spec.train, 0), np.uint8), np.zeros(spec.train, np.uint8))
    data = datasets.split(Splits(*empty, *(array[: spec.test] for array in empty)), name, "x")
    for split, count in zip(data[:3], expected, strict=True):
        assert {key: len(array) for key, array in split.items()} == {"x": count, "y": count}


def test_canonical_order_does_not_depend_on_the_delivered_order():
    _, splits = tiny_spec("cifar10")
    # Two equal images with different labels, and one exact double: ties are settled by label.
    splits.train_images[1:3] = splits.train_images[0]
    splits.train_labels[:3] = 7, 3, 3
    shuffled = Splits(*(array[::-1] for array in splits))
    for one, other in zip(
        canonical.canonicalise(splits), canonical.canonicalise(shuffled), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_canonical_order_keeps_every_image_with_its_label():
    _, splits = tiny_spec()
    before = dict(zip((x.tobytes() for x in splits.train_images), splits.train_labels, strict=True))
    arrays = canonical.canonicalise(splits)
    assert len(before) == 50
    for image, label in zip(arrays.train_images, arrays.train_labels, strict=True):
        assert before[image.tobytes()] == label


def test_order_of_three_images_by_hand():
    """SHA-256 of bytes 0, 1 and 2 begins with 6e, 4b and db."""
    images = np.array([[0], [1], [2]], np.uint8)
    np.testing.assert_array_equal(canonical.order(images, np.zeros(3)), [1, 0, 2])


def test_checksum_sees_every_array():
    _, splits = tiny_spec()
    sums = {canonical.checksum(splits)}
    for name, array in splits._asdict().items():
        changed = array.copy()
        changed.flat[-1] += 1
        sums.add(canonical.checksum(splits._replace(**{name: changed})))
    assert len(sums) == 5


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train_images", np.zeros((49, 28, 28), np.uint8), "training images are uint8"),
        ("test_images", np.zeros((20, 28, 28), np.float32), "test images are float32"),
        ("train_labels", np.zeros(49, np.int64), "expected 50 training labels"),
        ("test_labels", np.full(20, 10), "labels from 0 to 9"),
    ],
)
def test_arrays_that_do_not_fit_are_named(field, value, message):
    spec, splits = tiny_spec()
    with pytest.raises(DataError, match=message):
        canonical.conform(spec, splits._replace(**{field: value}))


def test_the_script_fills_the_cache_and_says_how_many_images(tiny, tmp_path, capsys):
    assert prepare_data.main(["mnist", "--folder", str(tiny)]) == 0
    assert "mnist.npz, 45 / 5 / 20 images, SHA-256" in capsys.readouterr().out
    assert (tmp_path / "cache" / "mnist.npz").exists()


def test_load_fills_the_cache_once_and_checks_it(tiny, tmp_path):
    datasets.fill("mnist", sources=["folder"], raw_folder=tiny)
    (tiny / "mnist.npz").unlink()
    data = datasets.load("mnist")
    assert data.train["x"].shape == (45, 28, 28, 1)
    assert data.train["x"].dtype == np.uint8
    assert data.train["y"].dtype == data.test["y"].dtype == np.int32
    assert (len(data.validation["y"]), len(data.test["y"])) == (5, 20)
    assert data.checksum == datasets.SPECS["mnist"].checksum
    assert os.listdir(tmp_path / "cache") == ["mnist.npz"]


def test_load_from_a_named_cache_folder(tiny, tmp_path):
    datasets.fill("mnist", tmp_path / "other", ["folder"], tiny)
    assert len(datasets.load("mnist", tmp_path / "other").test["y"]) == 20
    assert not (tmp_path / "cache").exists()


def test_corrupted_bytes_are_refused_and_nothing_is_stored(tiny, tmp_path):
    splits = made_up(SHAPES["mnist"], seed=0)
    splits.train_images[10, 5, 5] ^= 1
    np.savez(tiny / "mnist.npz", **splits._asdict())
    with pytest.raises(DataError, match="corrupted or different data"):
        datasets.fill("mnist", sources=["folder"], raw_folder=tiny)
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "not an archive"])
def test_a_damaged_cache_is_refused(tiny, damage):
    path = datasets.fill("mnist", sources=["folder"], raw_folder=tiny)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "truncated": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "not an archive": b"hello",
        }[damage]
    )
    with pytest.raises(DataError, match="--force"):
        datasets.load("mnist")


def test_a_cache_with_other_content_is_refused(tiny):
    path = datasets.fill("mnist", sources=["folder"], raw_folder=tiny)
    np.savez(path, **made_up(SHAPES["mnist"], seed=1)._asdict())
    with pytest.raises(DataError, match="does not have the SHA-256"):
        datasets.load("mnist")


def test_a_folder_that_cannot_be_written(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RLLC_DATA", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="cannot be written"):
        datasets.load("mnist")


def test_a_failed_write_leaves_no_part_behind(tiny, tmp_path, monkeypatch):
    def full(file, **arrays):
        file.write(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataError, match="No space left"):
        datasets.fill("mnist", sources=["folder"], raw_folder=tiny)
    assert os.listdir(tmp_path / "cache") == []


def test_unknown_names():
    with pytest.raises(DataError, match="unknown data set 'svhn'; known: mnist, fashion_mnist"):
        datasets.load("svhn")
    with pytest.raises(DataError, match="unknown data set"):
        datasets.synthetic("svhn")


@pytest.mark.parametrize("name", SHAPES)
def test_synthetic_has_the_shape_and_classes_one_can_learn(name):
    data = datasets.synthetic(name, size=500, seed=3)
    assert data.train["x"].shape == (450, *SHAPES[name])
    assert data.train["x"].dtype == np.uint8
    assert data.train["y"].dtype == np.int32
    assert len(data.validation["y"]) == 50
    assert len(data.test["y"]) == (100 if name == "cifar10" else 83)
    assert set(data.test["y"]) == set(range(10))
    assert data.checksum.startswith("synthetic-")
    # The nearest class mean of the training images classifies every test image.
    train = data.train["x"].reshape(450, -1).astype(np.float64)
    means = np.stack([train[data.train["y"] == c].mean(0) for c in range(10)])
    distances = ((data.test["x"].reshape(-1, 1, means.shape[1]) - means) ** 2).sum(-1)
    np.testing.assert_array_equal(distances.argmin(1), data.test["y"])


def test_synthetic_is_a_function_of_its_seed():
    one, same, other = (datasets.synthetic("mnist", 50, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.train["x"], same.train["x"])
    assert one.checksum == same.checksum != other.checksum
