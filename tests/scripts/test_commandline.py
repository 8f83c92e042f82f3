"""The command line: Hydra's grammar, grouping of multiruns, errors, resuming, submitit."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rllc.suite import records
from rllc.suite.execute import execution, launcher, submission
from rllc.suite.plan import plan
from rllc.suite.plan.commandline import quote_propagators

ROOT = Path(__file__).parents[2]
REHEARSAL = ["task=mnist_mlp", "protocol=rehearsal", "protocol.steps=4", "protocol.eval_every=2"]


def arguments(folder, *words):
    """The words, completed to a short run on synthetic data that writes below `folder`."""
    given = {word.split("=")[0] for word in words}
    rehearsal = [word for word in REHEARSAL if word.split("=")[0] not in given]
    place = [] if "records" in given else [f"records={folder / 'records'}"]
    return [*words, *rehearsal, *place, f"hydra.sweep.dir={folder / 'h'}"]


def train(folder, *words, **more):
    """Runs scripts/train.py the way a person would, with more in its environment."""
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments(folder, *words)]
    environment = {**os.environ, "RLLC_CACHE": str(folder / "cache"), "JAX_PLATFORMS": "cpu"}
    environment |= more
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def inside(monkeypatch, capsys):
    """Runs the same command line in this process; returns (exit value, stdout, stderr)."""
    from scripts import train as script

    def run(folder, *words):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments(folder, *words)])
        code = None
        try:
            script.cli()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out, err + str(code)

    return run


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("optimizer.propagator=M(0.95)+CM(0.5i)", "optimizer.propagator='M(0.95)+CM(0.5i)'"),
        ("optimizer.propagator=M(0.9),M2(0.6)", "optimizer.propagator='M(0.9)','M2(0.6)'"),
        ("++optimizer.propagator=M(0.9)", "++optimizer.propagator='M(0.9)'"),
        ("optimizer.propagator='M(0.9)'", "optimizer.propagator='M(0.9)'"),
        ("optimizer.name=M(0.9)", "optimizer.name=M(0.9)"),
        ("--help", "--help"),
    ],
)
def test_only_bare_propagators_are_quoted(word, quoted):
    assert quote_propagators([word]) == [quoted]


@pytest.mark.slow
def test_a_multirun_is_grouped_skips_recorded_runs_and_survives_bad_jobs(tmp_path, inside):
    sweep = ["-m", "optimizer=sgd,m_0.9", "seed=0,1", "optimizer.learning_rate=0.01,0.1"]
    code, out, _ = inside(tmp_path, *sweep)
    assert code is None
    assert "8 to train as 2 programs" in out
    runs = records.load(tmp_path / "records").runs
    assert len(runs) == 8
    assert runs.shard.nunique() == 2
    code, out, err = inside(tmp_path, *sweep[:-1], "optimizer.learning_rate=0.01,-1")
    assert code == "error: 4 of 8 jobs failed; the others are recorded"
    assert "0 to train as 0 programs" in out
    assert "optimizer.learning_rate=-1 must be finite and not negative" in err


@pytest.mark.slow
def test_any_propagator_trains_and_a_second_call_is_a_no_op(tmp_path):
    words = ["optimizer=rllc", "optimizer.propagator=M(0.95)+CM(0.5i)"]
    first = train(tmp_path, *words)
    assert first.returncode == 0, first.stderr
    assert "already recorded" in train(tmp_path, *words).stdout
    (run,) = records.load(tmp_path / "records").runs.itertuples()
    assert run.optimizer == "M(0.95)+CM(0.5i)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [([], True), (["optimizer.learning_rate=0.1", "optimizer.law_learning_rate=0.01"], False)],
)
@pytest.mark.parametrize("flag", [[], ["-m"]])
def test_untuned_rates_are_said(tmp_path, inside, words, told, flag):
    words = [*flag, "optimizer=rllc", "optimizer.propagator=M(0.5)", *words]
    code, _, err = inside(tmp_path, *words)
    assert code is None
    assert ("not tuned yet" in err) == told
    assert ("M(0.5) on mnist_mlp" in err) == told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer=rllc", "optimizer.propagator=M(0.9)+X"], "position 7"),
        (["seed=1.5"], "seed=1.5 must be an integer"),
        (["optimizer.learning_rate=nan"], "must be finite"),
        (["optimizer.initial_law=[1,2,3]"], "initial_law"),
        (["group_size=0"], "group_size=0"),
        (["devices=auto"], "must have the keys run, data, fsdp"),
        (["devices.data=0"], "devices.data=0 must be auto or a positive integer"),
        (["devices.fsdp=64"], "devices.fsdp=64: that takes 64 devices, here are"),
        (
            ["protocol.steps=999999999999"],
            "999999999999 is more than the 2147483647",
        ),
        (["protocol.batch_size=100000"], "more than its 460 training examples"),
        (["optimizer=adam", "+optimizer.beta=3"], "optimizer Adam: TypeError"),
    ],
)
def test_bad_input_is_one_clear_error_before_training(tmp_path, inside, words, message):
    code, _, err = inside(tmp_path, *words)
    assert str(code).startswith("error: ")
    assert "\n" not in str(code)
    assert message in err
    assert not list(tmp_path.glob("records/*/*"))


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A user's optimizer whose update fails, as words of a command line."""
    (tmp_path / "users_module.py").write_text(
        "import optax\n"
        "def broken(learning_rate):\n"
        "    update = lambda g, s, p=None: s['momentum']\n"
        "    return optax.GradientTransformation(lambda p: {}, update)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return ["optimizer=sgd", "optimizer._target_=users_module.broken"]


@pytest.mark.slow
@pytest.mark.parametrize("flag", [[], ["-m"]])
def test_an_error_inside_a_users_optimizer_shows_its_type_and_place(tmp_path, inside, broken, flag):
    code, _, err = inside(tmp_path, *flag, *broken)
    assert code
    assert "KeyError: 'momentum'" in err
    assert "users_module.py" in err


@pytest.mark.slow
@pytest.mark.parametrize("flag", [[], ["-m"]])
def test_a_run_that_diverges_is_said_to(tmp_path, inside, flag):
    code, _, err = inside(tmp_path, *flag, "optimizer=sgd", "optimizer.learning_rate=1e30")
    assert code is None
    assert "1 of 1 runs diverged: SGD, learning_rate=1e+30, seed 0, at step" in err


def test_a_note_on_divergence_names_the_rates_a_run_has(tmp_path):
    lost = {"run": "a", "seed": 3, "status": "diverged", "diverged_at": 7, "hyper": {}}
    runs = [lost, lost | {"hyper": {"learning_rate": 0.1, "law_learning_rate": 0.01}}]
    runs += [{"run": "b", "seed": 0, "status": "finished", "diverged_at": None}]
    path = tmp_path / "shard.json"
    path.write_text(json.dumps({"optimizer": {"name": "Mine"}, "runs": runs}))
    assert execution.diverged_note([execution.Outcome([], record=path)]) == (
        "2 of 3 runs diverged: Mine, seed 3, at step 7; "
        "Mine, learning_rate=0.1, law_learning_rate=0.01, seed 3, at step 7"
    )
    assert execution.diverged_note([execution.Outcome([], error=ValueError())]) == ""


@pytest.mark.slow
def test_a_cluster_that_is_not_there(tmp_path):
    words = ["-m", "optimizer=sgd", "hydra/launcher=grouped_slurm"]
    done = train(tmp_path, *words, PATH=str(tmp_path))  # where there is no srun
    assert done.returncode == 1
    assert done.stderr.startswith("error: hydra/launcher: submitit (slurm)")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("word", ["group_size=0", "a file"])
def test_bad_input_of_a_multirun_is_one_line(tmp_path, inside, word):
    if word == "a file":
        (tmp_path / "records").write_text("a file where the folder should be")
    words = [] if word == "a file" else [word]
    code, _, _ = inside(tmp_path, "-m", "optimizer=sgd", *words)
    assert str(code).startswith("error: ")
    assert "\n" not in str(code)


@pytest.mark.slow
def test_an_unknown_option_gets_hydras_message_and_exit_status(tmp_path):
    done = train(tmp_path, "optimizer=nope")
    assert done.returncode == 1
    assert "Could not find 'optimizer/nope'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unwritable_records_folder(tmp_path, inside):
    (tmp_path / "records").write_text("a file where the folder should be")
    code, _, _ = inside(tmp_path)
    assert "is not writable" in code


@pytest.mark.slow
def test_groups_run_through_submitit(tmp_path):
    done = train(
        tmp_path,
        "-m",
        "optimizer=sgd,adam",
        "seed=0,1",
        "hydra/launcher=grouped_local",
        f"hydra.launcher.submitit.folder={tmp_path / 'submitit'}",
    )
    assert done.returncode == 0, done.stderr
    assert "2 groups handed to submitit (local)" in done.stdout
    assert len(records.load(tmp_path / "records").runs) == 4


@pytest.mark.slow
def test_few_groups_are_handed_over_at_once(tmp_path, monkeypatch):
    """The second starts when the first has ended."""

    class Work:  # pickled by value: a worker knows no patches of ours
        def __init__(self, ours, visible):
            pass

        def __call__(self, group, options):
            with (tmp_path / "order").open("a") as file:
                file.write(f"start {group[0]}\n")
            time.sleep(0.5)
            with (tmp_path / "order").open("a") as file:
                file.write(f"end {group[0]}\n")
            return execution.Outcome(group)

    monkeypatch.setattr(submission, "Work", Work)
    options = execution.Options(tmp_path / "records")
    parameters = {"folder": tmp_path / "logs"}
    found = submission.submit([["a"], ["b"]], options, "local", parameters, at_once=1)
    assert [outcome.runs for outcome in found] == [["a"], ["b"]]
    order = (tmp_path / "order").read_text().splitlines()
    assert order == ["start a", "end a", "start b", "end b"]


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_a_bad_number_of_groups_at_once(count):
    with pytest.raises(plan.PlanError, match=f"at_once={count}"):
        launcher.GroupedLauncher("local", at_once=count)


def test_the_committed_choices_are_found():
    """A path from a module's place breaks without a word where the module moves."""
    from rllc.suite.plan import configuration

    assert configuration.tuned_values()[("mnist_mlp", "SGD")]["learning_rate"] > 0


@pytest.mark.slow
def test_a_word_that_is_no_truth_value_is_refused(tmp_path, inside):
    for word in ("no", "off", "None"):
        code, _, _ = inside(tmp_path, "optimizer=sgd", f"force={word}")
        assert str(code) == f"error: force={word!r} must be true or false"


@pytest.mark.slow
def test_a_home_is_expanded(tmp_path, monkeypatch, inside):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    code, _, err = inside(tmp_path, "optimizer=sgd", "records='~/r'")
    assert code is None, err
    assert len(records.load(tmp_path / "home" / "r").runs) == 1


@pytest.mark.slow
def test_checkpoints_that_cannot_be_written_are_said_before_training(tmp_path, inside):
    (tmp_path / "partial").write_text("a file where the folder should be")
    code, _, _ = inside(tmp_path, "optimizer=sgd")
    assert str(code).startswith("error: folder of checkpoints")
    assert not list(tmp_path.glob("records/*/*"))


@pytest.mark.slow
def test_a_platform_that_is_not_there_is_named(tmp_path):
    words = arguments(tmp_path, "optimizer=m_0.9")
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *words]
    environment = {**os.environ, "JAX_PLATFORMS": "cuda", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    if done.returncode:  # a machine without CUDA
        assert "JAX_PLATFORMS is cuda" in done.stderr.splitlines()[-1]


def test_a_users_caches_are_theirs(monkeypatch):
    from rllc.suite import caches

    monkeypatch.setenv("RLLC_CACHE", "")
    assert caches.cache_folder() == Path("~/.cache/rllc").expanduser()


@pytest.mark.slow
def test_a_searching_sweeper_gets_a_number_to_minimise(tmp_path, inside):
    code, _, err = inside(tmp_path, "-m", "optimizer=sgd", "optimizer.learning_rate=0.1,1e30")
    assert code is None, err
    loaded = records.load(tmp_path / "records")
    options = execution.Options(tmp_path / "records")
    values = launcher._values(list(loaded.runs.run), options)
    good = loaded.runs.run[loaded.runs.status == "finished"].item()
    curve = loaded.curves[loaded.curves.run == good].validation_loss
    assert values.pop(good) == pytest.approx(curve.min())
    assert list(values.values()) == [float("inf")]


@pytest.mark.slow
def test_a_sweep_composes_every_job_once(tmp_path):
    code = """
        import sys
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from rllc.suite.execute import launcher
        calls, plain = [], ConfigLoaderImpl.load_sweep_config
        counted = lambda self, *a, **k: (calls.append(1), plain(self, *a, **k))[1]
        ConfigLoaderImpl.load_sweep_config = counted
        launcher.GroupedLauncher._train = lambda self, runs, options: {}
        import train
        train.cli()
        print("composed", len(calls))
    """
    words = ["-m", "seed=range(0,4)", "optimizer=sgd", f"hydra.sweep.dir={tmp_path}"]
    command = [sys.executable, "-c", textwrap.dedent(code), *words, "protocol=rehearsal"]
    done = subprocess.run(
        command, cwd=ROOT / "scripts", capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}"},
    )  # fmt: skip
    assert "composed 4" in done.stdout, done.stderr


@pytest.mark.slow
def test_the_language_model_trains_in_shards_on_eight_devices(tmp_path, monkeypatch):
    """The command of examples/language/README.md, on synthetic data; the run keeps its name."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    words = ["task=text/sympy_lm_small", "optimizer=m_0.9_m_0.0", "task.context=16"]
    done = train(tmp_path, *words, "devices.fsdp=8", "protocol.eval_every=4")
    assert done.returncode == 0, done.stderr
    header = json.loads(next((tmp_path / "records").glob("*/*.json")).read_text())
    assert header["devices"] == {"run": 1, "data": 1, "fsdp": 8}
    again = train(tmp_path, *words, "protocol.eval_every=4")
    assert "is already recorded" in again.stdout
