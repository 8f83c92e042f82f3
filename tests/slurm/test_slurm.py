"""Sweeps on a real Slurm (make test-slurm): two nodes, a lost one, time limits, cancelled jobs.

And one training in two processes, one on each node.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from rllc.suite import records
from tests.processes import free_address
from tests.slurm.cluster import NODES, cluster, missing, wait_for

pytestmark = [
    pytest.mark.minutes,
    pytest.mark.skipif(
        bool(missing()), reason=f"no {', '.join(missing())}: tests/slurm/install.sh"
    ),
]

ROOT = Path(__file__).parents[2]
OF_QUADRATICS = ("dimension", "condition", "spacing", "noise", "curvature_noise", "basis")
SLOW = [
    "task=known/quadratic", "task.id=slow", "task.name=slow",
    "task._target_=tests.slurm.slow.quadratic", *(f"~task.{name}" for name in OF_QUADRATICS),
    "protocol.eval_every=1000", "protocol.law_every=1000", "yes=true",
]  # fmt: skip
OURS = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
# The shortest limit that Slurm has, with a warning in its second half minute.
LIMIT = {"timeout_min": 1, "slurm_signal_delay_s": 20}


@pytest.fixture(scope="module")
def slurm():
    # pytest's own folders are closed to others, where munge wants no socket.
    with tempfile.TemporaryDirectory(prefix="rllc-slurm-") as folder, cluster(Path(folder)) as made:
        yield made


class Sweep:
    """`scripts/train.py -m` as a person would call it; on the cluster, if it gets one."""

    def __init__(self, folder, environment=None):
        self.folder, self.environment = folder, environment
        self.started = []

    def start(self, *words, seconds=0.01, steps=300, **submitit):
        given = {"folder": self.folder / "logs", "slurm_gpus_per_node": "null", "cpus_per_task": 1}
        asked = [f"hydra.launcher.submitit.{k}={v}" for k, v in (given | submitit).items()]
        launcher = ["hydra/launcher=grouped_slurm", *asked] if self.environment else []
        return self._start([], *launcher, f"+task.seconds={seconds}", f"protocol.steps={steps}",
                           *words)  # fmt: skip

    def start_on_both_nodes(self, *words, steps):
        """One training in a process on each node, which find each other by Slurm's variables."""
        srun = ["srun", "--nodes=2", "--ntasks=2", "--kill-on-bad-exit=0"]
        # Slurm names the node of process 0, and these names are no host's.
        met = ["devices.processes=auto", f"devices.coordinator={free_address()}"]
        return self._start(srun, *met, "+task.seconds=0.01", f"protocol.steps={steps}", *words)

    def _start(self, before, *words):
        places = [f"records={self.folder / 'records'}", f"hydra.sweep.dir={self.folder / 'h'}"]
        process = subprocess.Popen(
            [*before, sys.executable, "scripts/train.py", "-m", *SLOW, *places, *words],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **OURS, **(self.environment or {})},
        )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, *words, **settings):
        return ended(self.start(*words, **settings))

    @property
    def runs(self):
        return records.load(self.folder / "records").runs

    @property
    def checkpoints(self):
        return sorted((self.folder / "partial").glob("*.npz"))

    def logs(self):
        return "".join(path.read_text() for path in (self.folder / "logs").glob("*.err"))


def ended(process):
    """Exit status, standard output and error."""
    out, err = process.communicate(timeout=400)
    return process.returncode, out, err


def failures(err):
    return [line for line in err.splitlines() if line.startswith("failed: ")]


@pytest.fixture
def sweep(slurm, tmp_path):
    made = Sweep(tmp_path, slurm.environment)
    yield made
    for process in made.started:  # what a failed test leaves
        process.kill()
        process.communicate()


@pytest.fixture
def jobs(slurm):
    """What Slurm says of the jobs of this test."""
    before = set(slurm.jobs())
    return lambda: [job for number, job in slurm.jobs().items() if number not in before]


def running_for(slurm, job, seconds):
    """Until a job has run for so many seconds, two digits."""
    wait_for(lambda: slurm.jobs()[job]["RunTime"] >= f"00:00:{seconds}", 120)


def test_four_groups_on_two_nodes(sweep, jobs):
    status, out, err = sweep.run("optimizer=sgd,adam,m_0.9,adamw", "seed=0,1")
    assert status == 0, err
    assert "4 groups handed to submitit (slurm)" in out
    assert len(sweep.runs) == 8
    assert {job["NodeList"] for job in jobs()} == set(NODES)
    assert {job["Restarts"] for job in jobs()} == {"0"}


def test_groups_of_a_lost_node_go_on_at_another(slurm, sweep, jobs):
    process = sweep.start("optimizer=sgd,adam,m_0.9", steps=4000)
    wait_for(lambda: len(sweep.checkpoints) == 3, 120)
    slurm.kill_node("node1")
    status, _, err = ended(process)
    slurm.start_node("node1")
    wait_for(lambda: slurm.states()["node1"] == "IDLE")
    assert status == 0, err
    assert len(sweep.runs) == 3
    assert {job["NodeList"] for job in jobs()} == {"node2"}
    lost = sum(job["Restarts"] == "1" for job in jobs())
    assert lost
    assert sweep.logs().count(": goes on at step ") == lost


def test_a_group_goes_on_after_its_time_limit_to_the_same_bytes(sweep, jobs, tmp_path):
    process = sweep.start("optimizer=sgd", steps=3500, **LIMIT)
    undisturbed = Sweep(tmp_path / "undisturbed")
    there = undisturbed.run("optimizer=sgd", steps=3500)
    status, _, err = ended(process)
    assert (status, there[0]) == (0, 0), err + there[2]
    restarts = int(jobs()[0]["Restarts"])
    assert restarts
    assert 0 < sweep.logs().count("slow · SGD × 1 runs: goes on at step ") <= restarts
    ours, theirs = (x.folder / "records" / "slow" for x in (sweep, undisturbed))
    (curves,) = ours.glob("*.parquet")
    assert curves.read_bytes() == (theirs / curves.name).read_bytes()


def test_one_training_in_processes_of_two_nodes(slurm, sweep, tmp_path):
    """A node is lost in mid-run; the same command goes on, to the bytes of one process."""
    words = "optimizer=sgd", "seed=0,1"
    process = sweep.start_on_both_nodes(*words, steps=3000)
    wait_for(lambda: sweep.checkpoints, 120)
    slurm.kill_node("node2")
    status, _, err = ended(process)
    assert status != 0
    assert len(sweep.checkpoints) == 1, err
    slurm.start_node("node2")
    wait_for(lambda: set(slurm.states().values()) == {"IDLE"})
    status, _, err = ended(sweep.start_on_both_nodes(*words, steps=3000))
    assert status == 0, err
    assert err.count(": goes on at step ") == 1
    alone = Sweep(tmp_path / "alone")
    there = alone.run(*words, steps=3000)
    assert there[0] == 0, there[2]
    ours, theirs = (records.load(x.folder / "records") for x in (sweep, alone))
    (said,) = (sweep.folder / "records" / "slow").glob("*.json")
    assert json.loads(said.read_text())["processes"] == 2
    pd.testing.assert_frame_equal(ours.curves, theirs.curves)


def test_jobs_that_stay_failed_say_one_line_each(slurm, sweep, jobs):
    """One is quick, one too slow for its limit, one is cancelled."""
    process = sweep.start(
        "optimizer=sgd", "seed=0,1", seconds="0.0,0.03,0.031", steps=5000,
        slurm_max_num_timeout=0, **LIMIT | {"timeout_min": 2},
    )  # fmt: skip
    wait_for(lambda: len(jobs()) == 3)
    quick, _, last = sorted((job["JobId"] for job in jobs()), key=int)
    for job in (quick, last):  # Slurm may warn a minute early
        slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    running_for(slurm, last, 40)
    slurm.ask("scancel", last)
    status, _, err = ended(process)
    assert status == 1
    assert len(sweep.runs) == 2
    late, cancelled = failures(err)
    for line in (late, cancelled):
        assert ": slow · SGD × 2 runs: job " in line
        assert Path(line.split("its log is ")[1].split(";")[0]).exists()
        assert int(line.split("the same command goes on at step ")[1]) > 0
    assert "reached its time limit too often (slurm_max_num_timeout" in late
    assert "ended without a result (CANCELLED)" in cancelled
    assert "Traceback" not in err


def test_a_job_that_the_cluster_does_not_take(sweep):
    status, _, err = sweep.run("optimizer=sgd", slurm_partition="nowhere")
    assert status == 1
    (line,) = failures(err)
    assert "the cluster did not take it: " in line
    assert "Invalid partition name" in line
    assert "Traceback" not in err


def test_ctrl_c_ends_jobs_with_checkpoints(slurm, sweep, jobs):
    process = sweep.start("optimizer=sgd", steps=5000)
    wait_for(jobs)
    running_for(slurm, jobs()[0]["JobId"], 40)
    process.send_signal(signal.SIGINT)
    status, _, err = ended(process)
    assert status == 130
    assert "stopping 1 groups" in err
    wait_for(lambda: set(slurm.states().values()) == {"IDLE"})
    assert jobs()[0]["JobState"] == "CANCELLED"
    assert len(sweep.checkpoints) == 1
    status, _, err = sweep.run("optimizer=sgd", steps=5000)
    assert status == 0, err
    assert "slow · SGD × 1 runs: goes on at step " in sweep.logs()
