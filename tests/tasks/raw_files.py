"""Made-up data sets as the raw files in which people have them."""

import gzip

import numpy as np

from tasks.canonical import Spec, canonicalise, conform
from tasks.sources import Splits

SPECS = {
    "mnist": Spec("mnist", (28, 28, 1), 50, 20, ""),
    "cifar10": Spec("cifar10", (32, 32, 3), 50, 10, ""),
}


def made_up(name):
    """The data set in the order in which the raw files below hold it."""
    spec, generator = SPECS[name], np.random.default_rng(0)

    def draw(count):
        images = generator.integers(0, 256, (count, *spec.image_shape), dtype=np.uint8)
        return images, generator.integers(0, 10, count)

    return Splits(*draw(spec.train), *draw(spec.test))


def canonical(name, splits):
    return canonicalise(conform(SPECS[name], splits))


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def idx_bytes(array):
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_idx(folder, zipped=False, dotted=False):
    data = made_up("mnist")
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    arrays = (data.train_images[..., 0], data.train_labels, data.test_images[..., 0], data[3])
    for name, array in zip(names, arrays, strict=True):
        name, content = f"{name}-ubyte", idx_bytes(array)
        name = name.replace("-idx", ".idx") if dotted else name
        if zipped:
            name, content = f"{name}.gz", gzip.compress(content)
        (folder / name).write_bytes(content)


def batches():
    data = made_up("cifar10")
    for i in range(5):
        part = slice(10 * i, 10 * i + 10)
        yield f"data_batch_{i + 1}", data.train_images[part], data.train_labels[part]
    yield "test_batch", data.test_images, data.test_labels


def channels_first(images):
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_cifar_binary(folder):
    for name, images, labels in batches():
        rows = np.c_[labels.astype(np.uint8), channels_first(images)]
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
