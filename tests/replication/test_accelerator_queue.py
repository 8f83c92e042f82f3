"""The queue of an accelerator: plans as Hydra does, and one job from plan to record."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rllc.replication import accelerator_queue as queue
from rllc.suite import records
from rllc.suite.plan import configuration
from rllc.suite.plan.plan import PlanError
from scripts import gpu_queue

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"


@pytest.mark.parametrize("optimizer", queue.TABLED)
def test_configs_are_what_hydra_composes(optimizer):
    words = [f"optimizer={optimizer}", f"task={queue.RESNET}", "role=question", "seed=200"]
    theirs = configuration.run_of(configuration.compose(CONF, words), {})
    sweep = queue.Sweep(queue.RESNET, (optimizer,), "grid")
    ours = {run.name: run for run in queue.planned(sweep, optimizer, ())}
    assert theirs.name in ours
    assert theirs.optimizer == ours[theirs.name].optimizer
    assert theirs.task == ours[theirs.name].task


@pytest.mark.slow
def test_every_entry_plans_runs_or_names_a_script():
    for entry in queue.QUEUE:
        runs = [
            run
            for sweep in entry.sweeps
            for name in sweep.optimizers
            for run in queue.planned(sweep, name, ())
        ]
        assert bool(runs) != bool(entry.script), entry.name
        assert all((ROOT / word).exists() for word in entry.script[:1])
        names = [run.name for run in runs]
        assert len(set(names)) == len(names), entry.name
    with pytest.raises(PlanError, match="no entry 'nothing'"):
        queue.entries(["nothing"])


@pytest.mark.slow
def test_the_chosen_point_comes_from_the_records():
    sweep = queue.Sweep("mnist_mlp", ("momentum",), "chosen", role="final", seeds=(0, 1))
    runs = queue.planned(sweep, "momentum", (ROOT / "results" / "records",))
    tuned = configuration.tuned_values()["mnist_mlp", "Momentum SGD"]
    assert [(run.hyper, run.seed) for run in runs] == [(tuned, 0), (tuned, 1)]
    leading = queue.planned(
        sweep._replace(rates="leading"), "momentum", (ROOT / "results/records",)
    )
    assert len({run.traced["learning_rate"] for run in leading}) == 3
    assert leading[0].hyper == tuned


def call(folder, *words):
    command = [sys.executable, gpu_queue.__file__, "--rehearse", "--out", str(folder / "records")]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, env=gpu_queue.os.environ | {
            "PYTHONPATH": str(ROOT)}, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_job_from_the_queue_to_a_record_and_back_from_the_archive(tmp_path):
    words = ("--only", "per_layer", "--archive", str(tmp_path / "all.tar"))
    code, said = call(tmp_path / "first", *words)
    assert code == 0, said
    assert "nothing failed" in said
    loaded = records.load(tmp_path / "first" / "records")
    settings = json.loads(loaded.runs.settings.iloc[0])
    assert settings["optimizer"]["law_groups"] == "leaf"
    assert settings["protocol"]["data"] == "synthetic"
    assert len(loaded.laws(loaded.runs.run).law.iloc[0]) == 8  # a law for each leaf of the MLP
    code, said = call(tmp_path / "second", *words, "--list")
    assert code == 0, said
    row = next(line for line in said.splitlines() if line.startswith("per_layer"))
    assert row.split()[1:4] == ["1", "1", "0"]  # nothing is left of it on the other machine


@pytest.mark.slow
def test_nothing_starts_after_the_budget(tmp_path):
    code, said = call(tmp_path, "--only", "per_layer", "--budget", "0.001s")
    assert code == 0, said
    assert not list((tmp_path / "records").rglob("*.parquet"))
    row = next(line for line in said.splitlines() if line.startswith("per_layer"))
    assert row.split()[1:4] == ["1", "1", "1"]


@pytest.fixture
def parse(monkeypatch):
    def parsed(*words):
        monkeypatch.setattr(sys, "argv", ["gpu_queue.py", *words])
        return gpu_queue.parse()

    return parsed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--list", "-y"), "--yes says nothing with --list"),
        (("--list", "--processes", "2"), "--processes says nothing with --list"),
        (("--rehearse", "--data-folder", "x"), "--data-folder says nothing with --rehearse"),
        (("--budget", "1h", "--yes"), "--yes says nothing with --budget"),
        (("--date-folder", "x"), "did you mean --data-folder"),
    ],
)
def test_options_without_effect_are_refused(parse, capsys, words, message):
    with pytest.raises(SystemExit) as end:
        parse(*words)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_job_is_told_where_the_data_lie(parse):
    job = gpu_queue.Job("per_layer", "mnist_mlp", "sgd", [], [])
    words = gpu_queue.command(job, parse("--data-folder", "/data"))
    assert words[words.index("--data-folder") + 1] == "/data"
    assert "--data-folder" not in gpu_queue.command(job, parse())


def test_without_a_budget_a_long_queue_is_asked_for(parse, monkeypatch, tmp_path):
    asked = []

    class Announcer:
        def __init__(self, groups, options, here):
            asked.append((sum(map(len, groups)), options.yes, here))

        def before(self):
            return False

    monkeypatch.setattr(gpu_queue, "Announcer", Announcer)
    (entry,) = queue.entries(["per_layer"])
    words = ("--only", entry.name, "--out", str(tmp_path))
    todo = gpu_queue.jobs(parse(*words))
    runs = sum(len(job.left) for job in todo)
    assert runs
    assert not gpu_queue.agreed(todo, parse(*words))
    assert not gpu_queue.agreed(todo, parse(*words, "-y"))
    assert gpu_queue.agreed(todo, parse(*words, "--budget", "1h"))
    assert asked == [(runs, False, False), (runs, True, False)]


SLEEPER = """
import signal, sys, time
deaf = sys.argv[1] == "deaf"  # else, as the queue does, what a background shell ignores counts
signal.signal(signal.SIGINT, signal.SIG_IGN if deaf else signal.default_int_handler)
print("ready", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    open(sys.argv[2], "w").write("saved")
"""


@pytest.mark.slow
def test_stopped_jobs_may_save_and_deaf_ones_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_queue, "SECONDS_TO_SAVE", 5.0)
    running = {}
    for name in ("good", "deaf"):
        words = [sys.executable, "-c", SLEEPER, name, str(tmp_path / name)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        running[process] = gpu_queue.Job(name, "task", "optimizer", [], [])
    processes = list(running)
    assert gpu_queue.stop(running) == ["deaf: task optimizer: no checkpoint in time"]
    assert (tmp_path / "good").read_text() == "saved"
    assert not running
    assert all(process.poll() is not None for process in processes)
    for process in processes:
        process.stdout.close()
