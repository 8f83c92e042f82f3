"""Real processes that are stopped, or that share a folder: nothing lost, nothing done twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rllc.suite import records

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LONG = ["protocol.steps=2000000", "protocol.eval_every=1000000", "protocol.law_every=1000000"]
SHORT = ["protocol.steps=40", "protocol.eval_every=20"]
# Notes the steps that each call of the trainer adds, and runs the script.
DRIVER = """
import os, sys
from rllc.suite.engine import training
advance = training.Trainer.advance
def noted(trainer, count):
    advance(trainer, count)
    with open(os.environ["STEPS"], "a") as file:
        print(count * len(trainer.runs), file=file)
training.Trainer.advance = noted
sys.path.insert(0, "scripts")
import train
train.cli()
"""


def start(folder, *words, program=("scripts/train.py",)):
    """A process that rehearses on synthetic data and writes below `folder`."""
    given = [*words, "task=mnist_mlp", "protocol=rehearsal"]
    if not any(word.startswith("optimizer=") for word in words):
        given.append("optimizer=sgd")
    places = [f"records={folder / 'records'}", f"hydra.sweep.dir={folder / 'h'}"]
    environment = {
        **os.environ,
        "RLLC_CACHE": str(folder / "cache"),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "STEPS": str(folder / "steps"),
    }
    # A job in the background of a script has Ctrl-C ignored, and its children would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, *program, *given, *places],
            cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for(process, there):
    """Until `there()`; fails if the process ends before."""
    until = time.monotonic() + 120
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.1)


def trained(folder):
    """Steps of all runs, by all processes."""
    path = folder / "steps"
    return sum(map(int, path.read_text().split())) if path.exists() else 0


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGUSR2, 140, "terminated"),  # sbatch --signal=USR2@90
    ],
)
def test_a_stop_saves_a_checkpoint_and_says_one_line(tmp_path, number, status, word):
    process = start(tmp_path, *LONG, program=("-c", DRIVER))
    wait_for(process, lambda: trained(tmp_path))
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    assert err.count(f"{word}; the same command goes on from the last checkpoint") == 1
    assert "Traceback" not in err
    assert len(list((tmp_path / "partial").glob("*.npz"))) == 1


def test_ctrl_c_stops_the_groups_of_the_local_launcher(tmp_path):
    """Sent to the parent alone; a terminal sends it to all, which the groups do not see."""
    logs = tmp_path / "logs"
    words = ["-m", "optimizer=sgd,adam", "hydra/launcher=grouped_local"]
    process = start(tmp_path, *words, *LONG, f"hydra.launcher.submitit.folder={logs}")
    locks = tmp_path / "partial"
    wait_for(process, lambda: len(list(locks.glob("*.lock"))) == 2)
    time.sleep(8)  # until they train
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert "stopping 2 groups" in err
    assert len(list(locks.glob("*.npz"))) == 2
    assert "terminated; " in "".join(path.read_text() for path in logs.glob("*.err"))


def test_two_processes_share_a_sweep(tmp_path):
    """Three groups; each is trained by one of the two, and both end well."""
    words = ["-m", "optimizer=sgd,adam,m_0.9", "seed=0,1", *SHORT]
    both = [start(tmp_path, *words, program=("-c", DRIVER)) for _ in range(2)]
    ends = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert trained(tmp_path) == 3 * 2 * 40
    assert len(records.load(tmp_path / "records").runs) == 6


def test_a_killed_owner_is_followed(tmp_path):
    first = start(tmp_path, *LONG, program=("-c", DRIVER))
    wait_for(first, lambda: trained(tmp_path))
    second = start(tmp_path, *LONG, program=("-c", DRIVER))
    wait_for(
        second, lambda: second.stderr.readline().endswith("another process trains it; waiting\n")
    )
    before = trained(tmp_path)
    first.kill()
    first.communicate()
    wait_for(second, lambda: trained(tmp_path) > before)
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=120)
    assert second.returncode == 143
