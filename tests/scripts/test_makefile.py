"""`make` says what it refuses, and destroys nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def make(folder, *words, **options):
    shutil.copy(ROOT / "Makefile", folder)
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, **options)


def test_a_misspelt_variable_is_refused(tmp_path):
    done = make(tmp_path, "-n", "tune", "TASK=mnist_mlp")
    assert done.returncode
    assert "unknown variable TASK; did you mean TASKS? known are" in done.stderr
    done = make(tmp_path, "-n", "tune", "XYZ=1")
    assert "unknown variable XYZ; known are" in done.stderr


def test_a_misspelt_target_is_refused(tmp_path):
    done = make(tmp_path, "reproduc")
    assert done.returncode
    assert done.stderr.startswith("no target reproduc; did you mean reproduce? make help lists")


def test_clean_keeps_trainings_and_clean_local_asks(tmp_path):
    local = tmp_path / "local" / "records"
    local.mkdir(parents=True)
    (tmp_path / "outputs").mkdir()
    assert make(tmp_path, "clean").returncode == 0
    assert not (tmp_path / "outputs").exists()
    assert make(tmp_path, "clean-local", input="y\n").returncode
    assert local.exists()
    assert make(tmp_path, "clean-local", input="yes\n").returncode == 0
    assert not local.exists()


def test_an_old_python_is_named_and_leaves_no_environment(tmp_path):
    old = tmp_path / "old"
    old.write_text(
        f"#!/bin/sh\n[ $1 = -c ] || exec mkdir -p .venv/bin\nexec {sys.executable} -c "
        "'import sys; sys.version_info = (3, 10, 0); exec(sys.argv[1])' \"$2\"\n"
    )
    old.chmod(0o755)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "suite.txt").write_text("")
    done = make(tmp_path, "setup", f"PYTHON={old}")
    assert done.returncode
    assert "rllc needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()
