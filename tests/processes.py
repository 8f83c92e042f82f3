"""Test code in a process of its own, for what is fixed once JAX has started."""

import os
import subprocess
import sys
from pathlib import Path

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
