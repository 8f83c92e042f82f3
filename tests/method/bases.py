"""Propagators in other bases, and the script that finds their normal forms."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import rllc

SCRIPT = Path(__file__).parents[2] / "scripts" / "normal_form.py"


def changed_basis(p, basis):
    """The same memory times ``basis``."""
    return rllc.Propagator(np.linalg.solve(basis, p.transition @ basis), basis.T @ p.injection)


def random_basis(k, seed):
    """An invertible matrix with condition number at most 9."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(2))
    return left * rng.uniform(1 / 3, 3, size=k) @ right


def run_script(*arguments):
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
