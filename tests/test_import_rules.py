"""Which part may import which: the method nothing of ours, the suite neither method nor paper."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
METHOD = sorted((ROOT / "rllc").glob("*.py"))
SUITE = sorted((ROOT / "rllc" / "suite").rglob("*.py"))
ADAPTERS = sorted((ROOT / "rllc" / "adapters").rglob("*.py"))
TASKS = sorted((ROOT / "tasks").rglob("*.py"))

# Files of the suite that still import the method; the list may only shrink.
LEFT_OVER = {
    "rllc/suite/neighbours/fixed_laws.py",
    "rllc/suite/neighbours/precision.py",
    "rllc/suite/neighbours/wrapped.py",
    "rllc/suite/benchmarks/peers/flax_loop.py",
    "rllc/suite/benchmarks/scaling.py",
    "rllc/suite/benchmarks/update.py",
}


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {_module(str(node.module), alias.name) for alias in node.names}
    return found


def _module(package: str, name: str) -> str:
    """What ``from package import name`` imports: a module of the package, or the package."""
    place = ROOT.joinpath(*package.split("."), name)
    return f"{package}.{name}" if place.is_dir() or place.with_suffix(".py").exists() else package


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def inside(names: set[str], package: str) -> set[str]:
    """Those of `names` that are a package or lie in it."""
    return {name for name in names if name == package or name.startswith(f"{package}.")}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", METHOD, ids=relative)
def test_the_method_imports_jax_numpy_and_optax_only(path):
    names = imported(path)
    assert tops(names) <= {"jax", "numpy", "optax", "rllc"}
    for package in ("rllc.suite", "rllc.replication", "rllc.adapters"):
        assert not inside(names, package)


@pytest.mark.parametrize("path", SUITE, ids=relative)
def test_the_suite_imports_neither_the_method_nor_a_replication(path):
    ours = inside(imported(path), "rllc")
    others = ours - inside(ours, "rllc.suite") - inside(ours, "rllc.adapters")
    assert bool(others) == (relative(path) in LEFT_OVER), others


@pytest.mark.parametrize("path", [*SUITE, *ADAPTERS, *TASKS], ids=relative)
def test_nothing_but_scripts_imports_the_replication(path):
    assert not inside(imported(path), "rllc.replication")


@pytest.mark.parametrize("path", TASKS, ids=relative)
def test_tasks_know_nothing_of_rllc(path):
    assert not tops(imported(path)) & {"rllc", "hydra", "scripts"}


@pytest.mark.parametrize("path", SUITE, ids=relative)
def test_only_the_launcher_and_the_configuration_touch_hydra(path):
    if path.name not in ("launcher.py", "configuration.py"):
        assert not tops(imported(path)) & {"hydra", "scripts"}
