"""Peer (b) of the language model: the same network in PyTorch. Imports nothing of ours."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

try:
    torch: Any = importlib.import_module("torch")
except ImportError:  # whoever imports this without PyTorch, to read or to test it, may
    torch = None


def turns(length: int, channels: int, device: Any) -> tuple[Any, Any]:
    """Cosines and sines (t, c/2) of the angles of rotary positions."""
    half = channels // 2
    speeds = 10_000.0 ** (-torch.arange(half, device=device) / half)
    angles = torch.outer(torch.arange(length, device=device), speeds)
    return angles.cos(), angles.sin()


def rotary(x: Any, cos: Any, sin: Any) -> Any:
    """Rotary positions of queries or keys (b, h, t, c), channel i in a pair with i + c/2."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _block_class() -> Any:
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]  # untyped
        """Pre-norm causal attention and a feed-forward layer of four times the width."""

        def __init__(self, width: int, heads: int):
            super().__init__()
            self.heads = heads
            self.norm_1, self.norm_2 = (nn.RMSNorm(width, eps=1e-6) for _ in range(2))
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.attended = nn.Linear(width, width, bias=False)
            self.up = nn.Linear(width, 4 * width, bias=False)
            self.down = nn.Linear(4 * width, width, bias=False)

        def forward(self, x: Any, cos: Any, sin: Any) -> Any:
            batch, length, width = x.shape
            shape = (batch, length, self.heads, width // self.heads)
            parts = self.qkv(self.norm_1(x)).chunk(3, dim=-1)
            q, k, v = (part.reshape(shape).transpose(1, 2) for part in parts)
            q, k = rotary(q, cos, sin), rotary(k, cos, sin)
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.attended(attended.transpose(1, 2).reshape(x.shape))
            return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))

    return Block


def network(spec: dict[str, Any]) -> Any:
    """The network of the shapes in a spec; bytes (b, t) -> logits (b, t, vocabulary)."""
    nn, F, block = torch.nn, torch.nn.functional, _block_class()

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]  # untyped
        """Embedding and last layer tied."""

        def __init__(self, vocabulary: int, width: int, layers: int, heads: int):
            super().__init__()
            self.embed = nn.Embedding(vocabulary, width)
            nn.init.normal_(self.embed.weight, std=0.02)
            self.blocks = nn.ModuleList([block(width, heads) for _ in range(layers)])
            self.norm, self.channels = nn.RMSNorm(width, eps=1e-6), width // heads

        def forward(self, tokens: Any) -> Any:
            angles = turns(tokens.shape[1], self.channels, tokens.device)
            x = self.embed(tokens) * self.embed.embedding_dim**0.5
            for layer in self.blocks:
                x = layer(x, *angles)
            return F.linear(self.norm(x), self.embed.weight)

    return Transformer(*(spec[key] for key in ("vocabulary", "width", "layers", "heads")))


def next_byte(model: Any, windows: Any) -> Any:
    """Mean cross-entropy of the next byte, in nats, of windows (b, t + 1)."""
    tokens = windows.long()
    logits = model(tokens[:, :-1])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def make(spec: dict[str, Any]) -> Callable[[int], None]:
    """A function that trains so many steps and waits for the end.

    Args:
      spec: vocabulary, width, layers, heads, parameters (their number), batch, threads, windows
        (.npy).

    Raises:
      ValueError: another number of parameters.
    """
    if torch is None:
        raise ImportError("PyTorch is not installed (pip install torch)")
    torch.set_num_threads(spec["threads"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    windows, model = np.load(spec["windows"]), network(spec).to(device)
    count = sum(parameter.numel() for parameter in model.parameters())
    if count != spec["parameters"]:
        raise ValueError(f"{count} parameters in place of {spec['parameters']}")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    order, place = rng.permutation(len(windows)), 0

    def train(steps: int) -> None:
        nonlocal order, place
        for _ in range(steps):
            if place + spec["batch"] > len(order):
                order, place = rng.permutation(len(windows)), 0
            chosen = order[place : place + spec["batch"]]
            place += spec["batch"]
            optimizer.zero_grad()
            value = next_byte(model, torch.from_numpy(windows[chosen]).to(device))
            value.backward()
            optimizer.step()
        value.item()

    return train


def version() -> str:
    """Of what is measured."""
    return f"torch {torch.__version__}"
