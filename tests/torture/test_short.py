"""The torture in short form; `make torture` is all of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.torture import damage, fuzz, harm, numbers, trials
from tests.torture.trials import Trial

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
RECORD = ROOT / "results" / "robustness"
LEAST = {"kills": 200, "damage": 2000, "fuzz": 10_000}


def output(code):
    """What code prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr[-2000:]


def without_losses(found):
    found = list(found)
    assert trials.losses(found) == []
    return found


@pytest.mark.parametrize("part", ["kills", "sharing"])
def test_real_processes_that_are_killed_or_share_a_folder(part, tmp_path):
    """Forked from a process that has not started JAX, so not from this one."""
    words = ["--only", part, "--scale", "0.05", "--here", str(tmp_path / "found.json")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture", *words],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["lost"] == []
    assert sum(row["times"] for row in found["rows"]) >= (12 if part == "kills" else 6)


def test_every_kind_of_file_damaged_in_every_way(tmp_path):
    cells = len(harm.HARMS) * 8
    found = without_losses(damage.run(1, cells / 2240, tmp_path))
    assert len(found) == cells
    assert {trial.outcome for trial in found} >= {damage.NAMED, damage.REFUSED}


def test_fuzzed_propagators_and_overrides():
    for kind, count in (("propagator", 300), ("override", 25)):
        found = without_losses(fuzz._numbered((kind, 2, i)) for i in range(count))
        assert {trial.outcome for trial in found} == {fuzz.ACCEPTED, fuzz.REFUSED}


def test_numbers_that_ruin_optimizers():
    code = (
        "from tests.torture import numbers, trials; "
        "print(trials.losses(numbers.of_optimizer('lm_rllc M(0.9)+M(0.0)', ['float32'])))"
    )  # in float64, which this process does not have
    assert output(code) == "[]"


def test_every_propagator_of_the_configs_is_among_the_optimizers():
    names = numbers.propagators()
    assert len(names) >= 12
    assert {f"lm_rllc {name}" for name in names} <= set(numbers.optimizers())
    assert sum(case.name == "noiseless quadratic" for case in numbers.cases()) == 24


def test_losses_are_counted_and_shown():
    found = [Trial("fall", "well"), Trial("fall", "", "broke"), Trial("rain", "well")]
    assert trials.losses(found) == ["fall: broke"]
    rows = trials.table("part", found)
    assert [(row["fault"], row["times"], row["losses"]) for row in rows] == [
        ("fall", 2, 1),
        ("rain", 1, 0),
    ]
    assert rows[1]["outcomes"] == "1 well"


def test_a_process_of_the_torture_that_dies_is_a_loss(tmp_path):
    code = f"""
import os, pathlib
from tests.torture import trials
def work(i):
    return os._exit(9) if i == 3 else trials.Trial("x", "well")
found = list(trials.side_by_side(work, range(6), pathlib.Path({str(tmp_path / "lines")!r}), 2))
print([trial.lost for trial in found if trial.lost])
"""
    assert output(code) == "['2 of 6 items did not end']"


def test_what_is_silent_or_unclear_is_a_loss(tmp_path):
    def use(text):
        if text == "raw":
            raise KeyError(text)
        if text == "lines":
            raise ValueError("a\nb")
        return "" if text == "right" else "wrong"

    found = [fuzz.trial("x", use, text, (ValueError,)) for text in ("right", "raw", "lines", "no")]
    assert [bool(trial.lost) for trial in found] == [False, True, True, True]
    (tmp_path / "all").mkdir()
    for name in ("file", "other"):
        (tmp_path / "all" / name).write_text(name)
    silent = damage.Kind("x", Path("all", "file"), Path("all", "other"), lambda f: (f.name, ""))
    for expected, lost in (("scratch", False), ("else", True)):
        found = damage.trial(tmp_path, silent, "empty", expected, np.random.default_rng(0))
        assert bool(found.lost) == lost


def test_every_harm_changes_a_file():
    rng = np.random.default_rng(0)
    for name, act in harm.HARMS.items():
        assert any(act(b"whole" * 9, b"other", rng) != b"whole" * 9 for _ in range(20)), name


def test_the_committed_torture_is_whole_and_lost_nothing():
    found = pd.read_csv(RECORD / "torture.csv")
    about = json.loads((RECORD / "torture.json").read_text())
    assert found.losses.sum() == 0
    times = found.groupby("part").times.sum()
    for part, least in LEAST.items():
        assert times[part] >= least
    assert set(times.index) == {"kills", "sharing", "damage", "fuzz", "numbers"}
    assert [part["scale"] for part in about["parts"]] == [1.0] * 5
    sharing = found[found.part == "sharing"]
    assert sharing.fault.str.startswith("20 sweeps").all()


def test_the_page_shows_the_record():
    page = ROOT / "docs" / "robustness.md"
    (shown,) = re.findall(r"^:file: (.*)$", page.read_text(), re.MULTILINE)
    assert (page.parent / shown).resolve() == RECORD / "torture.csv"
