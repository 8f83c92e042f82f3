"""Which part may import which: the method nothing of ours, the suite neither method nor paper."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
METHOD = sorted((ROOT / "rllc").glob("*.py"))
SUITE = sorted((ROOT / "rllc" / "suite").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TASKS = sorted((ROOT / "tasks").rglob("*.py"))

# Floors of the suite: a room imports rooms of lower floors, modules beside the rooms anybody.
FLOORS = (
    ("records", "optimizers"),
    ("choose",),
    ("score", "plan"),
    ("show", "engine"),
    ("execute", "adapters"),
    ("speed",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Rooms that name the method: bridges to it, and the measurement of its speed.
OF_THE_METHOD = ("adapters", "speed", "optimizers")


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
    for package in ("rllc.suite", "rllc.replication"):
        assert not inside(names, package)


def room(path: Path) -> str:
    """The room of a file of the suite; "" for the modules beside the rooms."""
    first = path.relative_to(ROOT / "rllc" / "suite").parts[0]
    return "" if first.endswith(".py") else first


@pytest.mark.parametrize("path", SUITE, ids=relative)
def test_the_suite_imports_neither_the_method_nor_a_replication(path):
    ours = inside(imported(path), "rllc")
    assert not inside(ours, "rllc.replication")
    if room(path) not in OF_THE_METHOD:
        assert ours <= inside(ours, "rllc.suite"), path


def code_of(path: Path) -> str:
    """A file's code without comments and docstrings, whose examples may be of the method."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None
    return ast.unparse(tree)


@pytest.mark.parametrize("path", SUITE, ids=relative)
def test_the_suite_does_not_name_the_laws_rate(path):
    """An optimizer's config says what is tuned, scheduled and recorded of it."""
    if room(path) not in OF_THE_METHOD:
        assert not re.findall(r"law_(?:learning_rate|schedule)", code_of(path))


@pytest.mark.parametrize("path", SUITE, ids=relative)
def test_rooms_import_rooms_of_lower_floors_only(path):
    here = room(path)
    for name in inside(imported(path), "rllc.suite"):
        other = [*name.split("."), ""][2]
        if other in FLOOR and other != here:
            assert here in FLOOR, f"{relative(path)} lies beside the rooms and imports {name}"
            assert FLOOR[other] < FLOOR[here], f"{relative(path)} imports {name}"


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_no_test_imports_another(path):
    """Not in code that a test gives to another process either."""
    named = re.findall(r"^\s*(?:from|import) (tests[\w. ]*)", path.read_text(), re.M)
    for name in (*imported(path), *(text.replace(" import ", ".") for text in named)):
        modules = [part for part in name.split(".") if name.startswith("tests")]
        assert not any(part.startswith("test_") for part in modules), f"{path} imports {name}"


def test_every_room_has_a_floor():
    assert {room(path) for path in SUITE} - {""} == set(FLOOR)


@pytest.mark.parametrize("path", [*SUITE, *TASKS, *METHOD], ids=relative)
def test_nothing_but_scripts_imports_the_replication(path):
    assert not inside(imported(path), "rllc.replication")


@pytest.mark.parametrize("path", TASKS, ids=relative)
def test_tasks_know_nothing_of_rllc(path):
    assert not tops(imported(path)) & {"rllc", "hydra", "scripts"}


@pytest.mark.parametrize("path", SUITE, ids=relative)
def test_only_planning_and_execution_touch_hydra(path):
    if room(path) not in ("plan", "execute"):
        assert not tops(imported(path)) & {"hydra", "scripts"}
