"""Test code in a process of its own, for what is fixed once JAX has started."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


def output_on_two_devices(code: str) -> str:
    """What `code` prints where a CPU shows JAX two devices; its error, if it fails."""
    return output_on_devices(code, 2)


def output_on_devices(code: str, count: int) -> str:
    """What `code` prints where a CPU shows JAX this many devices; its error, if it fails."""
    flags = f"--xla_force_host_platform_device_count={count}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ".", "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        cwd=ROOT,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr[-2000:]


class Ended(NamedTuple):
    """What a process left behind."""

    status: int
    out: str
    error: str


def free_address() -> str:
    """HOST:PORT of this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return f"localhost:{taken.getsockname()[1]}"


def end_of_all(
    commands: Sequence[Sequence[str]], devices: Sequence[int], **more: str
) -> list[Ended]:
    """What becomes of Python processes that are started at once.

    Args:
      commands: words after the interpreter's name.
      devices: that a CPU shows each of them.
      more: of their environment.
    """
    started = [
        subprocess.Popen(
            [sys.executable, *words], text=True, cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={
                **os.environ, "PYTHONPATH": ".", "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}", **more,
            },
        )
        for words, count in zip(commands, devices, strict=True)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    return [Ended(p.returncode, *texts) for p, texts in zip(started, said, strict=True)]
