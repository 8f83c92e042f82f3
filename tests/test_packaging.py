"""The wheel alone, and the README's example."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import rllc

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
METHOD = {path.name for path in (ROOT / "rllc").glob("*.py")} | {"py.typed", "kernel.cpp"}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The wheel and the source distribution, built once."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def test_import_rllc_is_light():
    code = "import sys, rllc; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"flax", "hydra", "pandas", "tensorflow", "matplotlib", "tasks"}


def test_the_wheel_holds_the_modules_of_the_method_and_nothing_else(distributions):
    wheel, _ = distributions
    names = zipfile.ZipFile(wheel).namelist()
    assert {n for n in names if ".dist-info/" not in n} == {f"rllc/{name}" for name in METHOD}
    assert wheel.name.startswith(f"rllc-{rllc.__version__}-")


def test_the_source_distribution_holds_the_method_and_what_describes_it(distributions):
    _, source = distributions
    with tarfile.open(source) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    described = {"README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "pyproject.toml"}
    assert names - {"PKG-INFO", ".gitignore"} == {f"rllc/{name}" for name in METHOD} | described


def test_the_wheel_runs_the_readmes_example(distributions, tmp_path):
    wheel, _ = distributions
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    readme = (ROOT / "README.md").read_text()
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    script = tmp_path / "example.py"
    script.write_text(example + "\nassert loss(x) < 0.01, loss(x)\nprint(rllc.__file__)\n")
    environment = {**os.environ, "PYTHONPATH": str(installed), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(installed) in done.stdout
