"""Where a record comes from: software, hardware, data, and the runs it holds."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from rllc.suite import metrics
from rllc.suite.engine import devices
from rllc.suite.engine.layout import Split

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def describe(trainer: Any) -> dict[str, Any]:
    """The JSON header of a trained group's record."""
    first = trainer.runs[0]
    statuses = trainer.statuses()
    return {
        "task": first.task,
        "optimizer": {k: v for k, v in first.optimizer.items() if k not in ("grid", "untuned")},
        "protocol": first.protocol,
        "group": first.group,
        "runs": [
            {
                "run": run.name,
                "seed": run.seed,
                "role": run.role,
                "hyper": run.hyper,
                "settings": run.settings,
                **status,
            }
            for run, status in zip(trainer.runs, statuses, strict=True)
        ],
        "device": devices.describe(),
        "machine": devices.machine(),
        "matmul_precision": matmul_precision(),
        "versions": versions(),
        "commit": commit(),
        "data": {
            "dataset": getattr(trainer.data, "name", ""),
            "checksum": getattr(trainer.data, "checksum", ""),
        },
        "metrics": metrics.to_header(trainer.task.metrics),
        "wall_seconds": {
            "training_and_evaluation": round(trainer.seconds, 2),
            "startup": round(trainer.startup_seconds, 2),
        },
        "runs_in_program": trainer.layout.seeds * trainer.layout.points,
        "processes": jax.process_count(),
        "devices": {name: getattr(trainer.layout, name) for name in Split._fields},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that determine the numbers."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def matmul_precision() -> str:
    """JAX's setting of the precision of matrix products."""
    return str(getattr(jax.config, "jax_default_matmul_precision", None) or "default")


def commit() -> str:
    """Git commit, with ``+`` if tracked code differs from it.

    Outside git, as in a copy of the tree on another machine: the environment variable
    RLLC_COMMIT, else ``unknown``.
    """
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        changed = _git(
            here, "status", "--porcelain", "--untracked-files=no", "--", "rllc", "tasks", "conf"
        )
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("RLLC_COMMIT", "unknown")
    return head + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str:
    top = ["git", "-C", str(folder), "rev-parse", "--show-toplevel"]
    root = subprocess.run(top, capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
