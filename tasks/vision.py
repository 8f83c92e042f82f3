"""A small vision transformer: patches, learned positions, blocks of attention, a mean, ten logits.

As in Dosovitskiy et al. (2021), with the mean over patches in place of a class token (Beyer et al.
2022, section 2). The blocks are those of `tasks.transformer`: norms by the root mean square, no
biases in attention and feed-forward layers. The head's weights start at 0.02, so that logits start
near 0. Nothing is dropped out.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from tasks import datasets
from tasks.augmentation import Augmentation
from tasks.canonical import CLASSES
from tasks.images import check_choices, classification
from tasks.task import Task
from tasks.transformer import STD, Block, Linear, Norm


class VisionTransformer(nn.Module):
    """Images (b, h, w, c) -> logits (b, 10).

    Attributes:
      patch: edge of a square patch, in pixels; divides height and width.
      width: of the residual stream; `heads` divides it.
      layers: blocks.
      heads: attention heads.
    """

    patch: int = 4
    width: int = 128
    layers: int = 6
    heads: int = 4
    compute_dtype: str = "float32"

    @nn.compact
    def __call__(self, x, train):
        del train
        h = Linear(self.width, name="embedding")(patches(x.astype(self.compute_dtype), self.patch))
        positions = self.param("positions", nn.initializers.normal(STD), h.shape[1:])
        h = h + positions.astype(h.dtype)
        for i in range(self.layers):
            scale = (2 * self.layers) ** -0.5
            h = Block(self.heads, scale, ordered=False, name=f"block_{i}")(h)
        pooled = jnp.mean(Norm(name="norm_out")(h), axis=1, dtype=jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (CLASSES,))
        return Linear(CLASSES, STD * self.width**0.5, name="head")(pooled) + bias


def patches(x: Any, size: int) -> Any:
    """Square patches as rows of pixels, row by row: (b, h, w, c) -> (b, h·w/size², size²·c)."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // size, size, w // size, size, c)
    return x.swapaxes(2, 3).reshape(b, -1, size * size * c)


def vision_transformer(
    name: str = "cifar10_vit",
    dataset: str = "cifar10",
    patch: int = 4,
    width: int = 128,
    layers: int = 6,
    heads: int = 4,
    compute_dtype: str = "float32",
    zoom: Any = (0.8, 1.2),
    aspect: float = 1.0,
    flip: bool = True,
    rotation: float = 15.0,
    fill: str = "mean",
) -> Task:
    """A `VisionTransformer` trained by the mean cross-entropy on augmented images.

    Args:
      name: label in the records.
      dataset: "mnist" | "fashion_mnist" | "cifar10".
      patch: see `VisionTransformer`, as are the following.
      width: see there.
      layers: see there.
      heads: see there.
      compute_dtype: "float32" | "bfloat16".
      zoom: see `tasks.augmentation.Augmentation`, as are the following.
      aspect: see there.
      flip: see there.
      rotation: see there.
      fill: see there.

    Raises:
      DataError: unknown data set.
      ValueError: a setting that makes no sense.
    """
    shape = datasets.find(dataset).image_shape
    for key, value in {"patch": patch, "width": width, "layers": layers, "heads": heads}.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{key}={value!r} must be a positive integer")
    if shape[0] % patch or shape[1] % patch:
        raise ValueError(f"patch={patch} must divide {shape[0]} and {shape[1]}, the images' edges")
    if width % heads:
        raise ValueError(f"width={width} must be a multiple of heads={heads}")
    check_choices({"compute_dtype": compute_dtype, "fill": fill})
    augmentation = Augmentation(tuple(zoom), aspect, flip, rotation, fill)
    network = VisionTransformer(patch, width, layers, heads, compute_dtype)
    return classification(
        network, dataset, name, augmentation, one_at_a_time=True, part_by_part=True
    )
