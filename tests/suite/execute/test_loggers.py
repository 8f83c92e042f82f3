"""Loggers: what they hold is what the records hold, and they change nothing of these."""

import struct
from collections import defaultdict

import pytest

from rllc.suite import records
from rllc.suite.engine import training
from rllc.suite.execute import execution, loggers
from rllc.suite.execute.execution import Options
from rllc.suite.plan import plan
from rllc.suite.plan.plan import PlanError
from tests.suite.toy import RLLC, TASK

pytestmark = pytest.mark.slow

PROTOCOL = {"steps": 20, "batch_size": 16, "eval_every": 5, "law_every": 4}
EVERY = 5


def runs_of(seeds=(0, 1), rates=(0.1, 0.2)):
    config = {**RLLC, "probes": {"law": "rllc.get_law"}}
    return [
        plan.make_run(TASK, {**config, "learning_rate": rate}, seed, PROTOCOL)
        for rate in rates
        for seed in seeds
    ]


def trained(folder, /, **logger):
    options = Options(folder / "records", progress=False, logger=logger or None)
    (outcome,) = execution.execute(execution.prepare(runs_of(), options), options)
    assert outcome.error is None, outcome.error
    return records.load(folder / "records")


def expected(loaded, run):
    """What a logger has to hold of a run: name -> step -> value."""
    curve = loaded.curves[loaded.curves.run == run].set_index("step")
    found = {
        f"{split}/{name}": dict(curve[f"{split}_{name}"].astype(float))
        for split in ("validation", "test")
        for name in ("accuracy", "loss")
    }
    found["train/loss"] = dict(curve.train_loss.astype(float).dropna())  # windows of 5 steps, too
    laws = loaded.laws([run])
    for unit in range(2):
        found[f"law/{unit + 1}"] = {
            step: float(law[unit]) for step, law in zip(laws.step, laws.law, strict=True)
        }
    return found


def same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        assert ours[name] == pytest.approx(values, rel=1e-6), name


def events(folder):
    """Scalars and texts of the event files in a folder, by TensorBoard's format of records."""
    from tensorboardX.proto import event_pb2

    values, texts = defaultdict(dict), {}
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    values[value.tag][event.step] = value.simple_value
                else:
                    texts[value.tag] = value.tensor.string_val[0].decode()
    return dict(values), texts


def test_tensorboard_holds_what_the_records_hold(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra tensorboard is not installed")
    folder = tmp_path / "board"
    loaded = trained(tmp_path, name="tensorboard", folder=str(folder), every=EVERY)
    places = sorted((folder / "toy").iterdir())
    assert len(places) == 4
    for run in loaded.runs.itertuples():
        (place,) = [p for p in places if p.name.endswith(run.run[:8])]
        assert f"seed={run.seed}-" in place.name
        values, texts = events(place)
        same(values, expected(loaded, run.run))
        assert f"| run | {run.run} |" in texts["config/text_summary"]
        assert "| protocol.steps | 20 |" in texts["config/text_summary"]
        assert texts["status/text_summary"] == "finished"


def test_a_group_that_goes_on_sends_what_was_before_too(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra tensorboard is not installed")
    group = runs_of((0,), (0.1,))
    task, data = execution.make_task(group[0]), execution.load_data(group[0])
    trainer = training.Trainer(group, task, data)
    for _ in range(2):
        trainer.advance(5)
    options = Options(tmp_path / "records", progress=False, logger={
        "name": "tensorboard", "folder": str(tmp_path / "board"), "every": EVERY,
    })  # fmt: skip
    trainer.save(options.checkpoints / f"{plan.shard_name(group)}.npz")
    execution.execute([group], options)
    (place,) = (tmp_path / "board" / "toy").iterdir()
    loaded = records.load(tmp_path / "records")
    same(events(place)[0], expected(loaded, group[0].name))


def test_names_and_numbers_are_those_without_a_logger(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra tensorboard is not installed")
    plain = trained(tmp_path / "plain")
    logged = trained(
        tmp_path / "logged", name="tensorboard", folder=str(tmp_path / "board"), every=EVERY
    )
    assert list(plain.runs.run) == list(logged.runs.run)
    assert plain.curves.equals(logged.curves)


def test_wandb_offline_writes_its_runs(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    for variable in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "w"))
    config = {"project": "rllc", "entity": None, "mode": "offline", "folder": str(tmp_path)}
    loaded = trained(tmp_path, name="wandb", every=EVERY, **config)
    files = list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == len(loaded.runs) == 4
    everything = b"".join(path.read_bytes() for path in files)
    for word in (b"validation/accuracy", b"law/2", b"train/loss", b"optimizer.propagator"):
        assert word in everything
    for run in loaded.runs.run:
        assert run.encode() in everything


@pytest.mark.filterwarnings("ignore")  # MLflow's own use of SQLAlchemy is deprecated
@pytest.mark.parametrize("store", ["folder", "database"])
def test_mlflow_holds_what_the_records_hold(tmp_path, store, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    uri = str(tmp_path / "mlruns")
    if store == "database":
        pytest.importorskip("sqlalchemy", reason="mlflow-skinny has no databases")
        uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    loaded = trained(tmp_path, name="mlflow", uri=uri, experiment="rllc", every=EVERY)
    client = mlflow.MlflowClient(tracking_uri=uri)
    place = client.get_experiment_by_name("rllc").experiment_id
    theirs = {run.data.params["run"]: run for run in client.search_runs([place])}
    assert set(theirs) == set(loaded.runs.run)
    for name, run in theirs.items():
        values = {
            key: {m.step: m.value for m in client.get_metric_history(run.info.run_id, key)}
            for key in run.data.metrics
        }
        same(values, expected(loaded, name))
        assert run.info.status == "FINISHED"


def test_a_logger_that_fails_is_said_and_training_goes_on(tmp_path, monkeypatch, capsys):
    def broken(*arguments):
        raise OSError("no such server")

    monkeypatch.setattr(loggers, "_tensorboard", broken)
    loaded = trained(tmp_path, name="tensorboard", every=EVERY)
    assert len(loaded.runs) == 4
    err = capsys.readouterr().err
    assert err.count("logger tensorboard failed and is left out: OSError: no such server") == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "tensorbord"}, "must be one of none, tensorboard, wandb, mlflow"),
        ({"name": "tensorboard", "every": 0}, "logger.every=0 must be a positive integer"),
        ({"name": "mlflow"}, "logger=mlflow needs the package nowhere"),
    ],
)
def test_what_cannot_log_is_refused_before_training(config, message, monkeypatch):
    monkeypatch.setitem(loggers.PACKAGES, "mlflow", "nowhere")
    with pytest.raises(PlanError, match=message):
        loggers.check(config)
