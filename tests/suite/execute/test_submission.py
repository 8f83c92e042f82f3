"""Groups in processes of their own: those of a queue, and what is said of the lost."""

import os
import signal
import time
from pathlib import Path

import pytest

from rllc.suite import records
from rllc.suite.execute import execution, slurm, submission
from rllc.suite.execute.execution import Options
from rllc.suite.plan import plan
from tests.suite.toy import SGD, TASK

LONG = {"steps": 10**7, "batch_size": 16, "eval_every": 10**6}
SHORT = {"steps": 20, "batch_size": 16, "eval_every": 5}


def group(protocol):
    return [plan.make_run(TASK, SGD, seed, protocol) for seed in (0, 1)]


def queue(*jobs):
    watcher = slurm.Queue()
    for job in jobs:
        watcher.register_job(job)
    return watcher


def test_states_of_a_queue(monkeypatch):
    """As squeue prints them; 14 has been forgotten by the controller."""
    said = b"11|RUNNING\n12|CANCELLED\n13|SUSPENDED\n99|FAILED\n"
    asked = []

    def answer(command, shell):
        asked.append(command)
        return said

    monkeypatch.setattr("subprocess.check_output", answer)
    watcher = queue("11", "12", "13", "14")
    assert [watcher.is_done(job) for job in ("11", "12", "13", "14")] == [False, True, False, True]
    assert [watcher.get_state(job) for job in ("12", "14")] == ["CANCELLED", slurm.GONE]
    assert len(asked) == 1
    assert asked[0][0] == "squeue"


def test_a_queue_that_does_not_answer_ends_no_job(monkeypatch):
    def broken(command, shell):
        raise OSError("no controller")

    monkeypatch.setattr("subprocess.check_output", broken)
    assert not queue("11").is_done("11")


def test_an_ended_job_is_not_asked_for_again(monkeypatch):
    asked = []

    def answer(command, shell):
        asked.append(command)
        return b"11|FAILED\n"

    monkeypatch.setattr("subprocess.check_output", answer)
    watcher = queue("11")
    assert watcher.is_done("11", mode="force")
    time.sleep(0.01)
    assert watcher.is_done("11", mode="force")
    assert watcher.get_state("11", mode="force") == "FAILED"
    assert len(asked) == 1


class Lost:
    """A job of which there is nothing but an error."""

    job_id, state = "12", "NODE_FAIL"

    def __init__(self, folder, error):
        self.error = error
        self.paths = type("Paths", (), {"stderr": folder / "12_0_log.err"})

    def result(self):
        raise self.error


RULE = "-" * 22  # as submitit draws it
FAILED = f"Job failed with trace:\n{RULE}\nTraceback\n  x\nKeyError: 'a'\n{RULE}\nYou can"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Job 12 has not produced any output", "ended without a result (NODE_FAIL)"),
        (FAILED, "failed: KeyError: 'a'"),
        (f"{FAILED} timed-out too many times", "reached its time limit too often (slurm_max_num_"),
    ],
)
@pytest.mark.parametrize("log", [True, False])
def test_a_lost_group_is_one_line(tmp_path, text, why, log):
    job = Lost(tmp_path, RuntimeError(text))
    if log:
        job.paths.stderr.write_text("…")
    outcome = submission._collect(job, group(SHORT), Options(tmp_path / "records"))
    said = execution.in_words(outcome.error)
    assert said.startswith(f"toy · SGD × 2 runs: job 12 {why}")
    assert "\n" not in said
    assert said.endswith(f"its log is {job.paths.stderr}" if log else "it has no log")


def test_without_a_time_limit_of_ours_local_groups_have_none(tmp_path):
    """submitit's own is two minutes."""
    executor, _ = submission._executor(tmp_path, "local", {})
    assert executor.parameters["timeout_min"] == submission.NO_LIMIT
    executor, _ = submission._executor(tmp_path, "local", {"timeout_min": 3})
    assert executor.parameters["timeout_min"] == 3


@pytest.mark.parametrize("given", [{"timeout_min": 0.5}, {"nonsense": 1}, {"slurm_nonsense": 1}])
def test_parameters_that_submitit_refuses(tmp_path, given):
    with pytest.raises(plan.PlanError, match=r"hydra/launcher: submitit \(local\): "):
        submission._executor(tmp_path, "local", given)


def test_a_group_that_is_not_taken_is_its_own_failure(tmp_path, monkeypatch):
    class Executor:
        def submit(self, work, group, options):
            raise RuntimeError("sbatch: error: a\nsbatch: error: too many jobs of yours\n")

    monkeypatch.setattr(submission, "_executor", lambda *_: (Executor(), False))
    options = Options(tmp_path / "records", progress=False)
    (found,) = submission.submit([group(SHORT)], options, "local", {"folder": tmp_path})
    said = str(found.error)
    assert said.endswith("the cluster did not take it: sbatch: error: too many jobs of yours")


def children(pid):
    return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc")
def test_a_warned_group_saves_a_checkpoint_and_goes_on(tmp_path, monkeypatch):
    """By submitit's local executor, which starts it again as Slurm would."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    options = Options(tmp_path / "records", progress=False)
    executor, _ = submission._executor(tmp_path / "logs", "local", {})
    job = executor.submit(submission.Work(True, None), group(LONG), options)
    log, until = job.paths.stderr, time.monotonic() + 120
    warned = False
    try:
        while not (log.exists() and ": goes on at step " in log.read_text()):
            assert time.monotonic() < until, log.read_text()
            assert not job.done(), log.read_text()
            if not warned and list((tmp_path / "partial").glob("*.lock")):
                time.sleep(4)  # until it trains
                for pid in children(job.job_id):
                    os.kill(pid, signal.SIGUSR2)
                warned = True
            time.sleep(0.2)
    finally:
        submission._stop([job], "local")
    assert len(list((tmp_path / "partial").glob("*.npz"))) == 1
    assert not records.load(tmp_path / "records").runs.size
    assert "Requeued job" in job.paths.stdout.read_text()
