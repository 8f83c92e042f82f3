"""Peers as processes that wait for their turn, so that they can be interleaved with the engine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rllc.suite.engine import devices
from rllc.suite.plan.plan import Run

WORKER = Path(__file__).with_name("peers") / "worker.py"
LOOP = "Flax + optax loop"
PEERS = {
    "flax": LOOP, "torch": "PyTorch", "learned": "learned_optimization",
    "flax_language": LOOP, "torch_language": "PyTorch",
}  # fmt: skip


class PeerError(RuntimeError):
    """A peer that cannot be measured, and why; the message becomes a note beside the table."""


class Peer:
    """One peer's process; calling it trains so many steps and gives the seconds they took.

    Args:
      kind: key of `PEERS`.
      spec: see the ``make`` of ``peers/<kind>_loop.py``.
      python: interpreter of the peer's environment.

    Raises:
      PeerError: it does not start.
    """

    def __init__(self, kind: str, spec: dict[str, Any], python: str = sys.executable):
        self.kind = kind
        self.process = subprocess.Popen(
            [python, str(WORKER), kind, json.dumps(spec)], env=environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.version = self._answer()["version"]

    def __call__(self, units: int) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{units}\n")
        self.process.stdin.flush()
        return float(self._answer()["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            self.close()
            raise PeerError(f"{PEERS[self.kind]}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Ends the process."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def environment() -> dict[str, str]:
    """What an ordinary user has: one host device with all threads, memory taken as needed."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    ours = " ".join(flag for flag in flags if not flag.startswith(devices.HOST_DEVICES))
    return {**os.environ, "XLA_FLAGS": ours, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


@contextmanager
def running(
    kinds: dict[str, str], spec: dict[str, Any]
) -> Iterator[tuple[dict[str, Peer], list[str]]]:
    """Starts peers.

    Args:
      kinds: key of `PEERS` -> interpreter.
      spec: what they train, see `of_images`.

    Yields:
      The peers that started, and why the others did not.
    """
    peers: dict[str, Peer] = {}
    notes = []
    try:
        for kind, python in kinds.items():
            try:
                peers[kind] = Peer(kind, spec, python)
            except (PeerError, OSError) as error:
                notes.append(f"{kind} not measured: {error}")
        yield peers, notes
    finally:
        for peer in peers.values():
            peer.close()


def of_images(run: Run, network: str, data: Any, folder: Path) -> dict[str, Any]:
    """What the peers of an image task are told.

    Args:
      run: what they train.
      network: ``mlp``, ``conv`` or ``resnet20``.
      data: its Dataset.
      folder: where the training set is put for them.
    """
    name = run.task["name"]
    dataset = name.removesuffix(f"_{network}")
    images, labels = folder / f"{dataset}-images.npy", folder / f"{dataset}-labels.npy"
    if not labels.exists():
        np.save(images, data.train["x"])
        np.save(labels, np.asarray(data.train["y"], np.int32))
    return {
        "task": name, "network": network, "dataset": dataset, "optimizer": run.optimizer["name"],
        "batch": run.protocol["batch_size"], "threads": devices.cores(),
        "shape": list(data.train["x"].shape[1:]), "images": str(images), "labels": str(labels),
    }  # fmt: skip
