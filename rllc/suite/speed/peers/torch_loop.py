"""Peer (b): the same networks trained with PyTorch. Imports nothing of this project's."""

import importlib
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

try:
    torch: Any = importlib.import_module("torch")
except ImportError:  # whoever imports this without PyTorch, to read or to test it, may
    torch = None
MEAN = {"mnist": (0.1307,), "fashion_mnist": (0.3,), "cifar10": (0.4914, 0.4822, 0.4465)}
STD = {"mnist": (0.3081,), "fashion_mnist": (0.3,), "cifar10": (0.2023, 0.1994, 0.2010)}


def network(name: str, shape: tuple[int, ...]) -> Any:
    """The network of a task for images (h, w, c)."""
    nn = torch.nn
    height, width, channels = shape
    if name == "mlp":
        sizes = [height * width * channels, 128, 128, 128]
        hidden = [m for i, o in _steps(sizes) for m in (nn.Linear(i, o), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, 10))
    end = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    if name == "conv":
        layers = [(channels, 32, 2), (32, 64, 1), (64, 64, 1)]
        pairs = [(nn.Conv2d(i, o, 3, s, 1), nn.ReLU()) for i, o, s in layers]
        return nn.Sequential(*[m for pair in pairs for m in pair], *end)
    stem = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    block = _block_class()
    blocks = [block(i, o) for i, o in _steps([16, 16, 16, 16, 32, 32, 32, 64, 64, 64])]
    return nn.Sequential(*stem, *blocks, *end)


def _steps(sizes: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(sizes))


def _block_class() -> Any:
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]  # untyped
        """conv-BN-ReLU-conv-BN, shortcut padded with zeros."""

        def __init__(self, channels: int, features: int):
            super().__init__()
            self.stride = features // channels
            self.first = nn.Conv2d(channels, features, 3, self.stride, 1, bias=False)
            self.second = nn.Conv2d(features, features, 3, 1, 1, bias=False)
            self.norms = nn.ModuleList([nn.BatchNorm2d(features) for _ in range(2)])
            self.extra = features - channels

        def forward(self, x: Any) -> Any:
            y = F.relu(self.norms[0](self.first(x)))
            y = self.norms[1](self.second(y))
            if self.stride == 2:
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.extra))
            return F.relu(x + y)

    return Block


def augment(x: Any) -> Any:
    """Zoom 0.8–1.2, shift, flip and rotation up to 15 degrees, one bilinear resampling."""
    F, b = torch.nn.functional, len(x)
    draw = torch.rand(5, b, device=x.device)
    scale = 1 / (0.8 + 0.4 * draw[0])
    angle = math.radians(15) * (2 * draw[1] - 1)
    flip = torch.where(draw[2] < 0.5, -1.0, 1.0)
    shift = (1 - scale) * (2 * draw[3:] - 1)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([cos * flip, -sin, shift[0], sin * flip, cos, shift[1]], dim=1)
    grid = F.affine_grid(matrix.reshape(b, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def make(spec: dict[str, Any]) -> Callable[[int], None]:
    """A function that trains so many steps and waits for the end.

    Args:
      spec: network, dataset, optimizer, batch, threads, images and labels (.npy).
    """
    if torch is None:
        raise ImportError("PyTorch is not installed (pip install torch)")
    if spec["optimizer"] not in ("SGD", "Momentum SGD"):
        raise ValueError(f"no {spec['optimizer']} in PyTorch")
    torch.set_num_threads(spec["threads"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, labels = np.load(spec["images"]), np.load(spec["labels"]).astype(np.int64)
    images = images.transpose(0, 3, 1, 2)
    model = network(spec["network"], spec["shape"]).to(device, memory_format=torch.channels_last)
    momentum = 0.9 if spec["optimizer"] == "Momentum SGD" else 0.0
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=momentum)
    numbers = [torch.tensor(c[spec["dataset"]], device=device) for c in (MEAN, STD)]
    mean, std = (255 * value.reshape(1, -1, 1, 1) for value in numbers)
    rng = np.random.default_rng(0)
    order, place = rng.permutation(len(labels)), 0

    def train(steps: int) -> None:
        nonlocal order, place
        for _ in range(steps):
            if place + spec["batch"] > len(order):
                order, place = rng.permutation(len(labels)), 0
            chosen = order[place : place + spec["batch"]]
            place += spec["batch"]
            x = (torch.from_numpy(images[chosen]).to(device).float() - mean) / std
            if spec["network"] == "resnet20":
                x = augment(x)
            optimizer.zero_grad()
            y = torch.from_numpy(labels[chosen]).to(device)
            value = torch.nn.functional.cross_entropy(
                model(x.contiguous(memory_format=torch.channels_last)), y
            )
            value.backward()
            optimizer.step()
        value.item()

    return train


def version() -> str:
    """Of what is measured."""
    return f"torch {torch.__version__}"
