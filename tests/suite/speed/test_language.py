"""The language model beside its peers: the same network, the same loss, counted alike."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import yaml

from rllc.replication.paper import STUDY
from rllc.suite.execute import execution
from rllc.suite.speed import flops, language, report, session, setups, store
from rllc.suite.speed.peers import flax_language_loop, torch_language_loop

CONF = Path(__file__).resolve().parents[3] / "conf" / "task" / "text" / "sympy_lm_small.yaml"
DEVICE = "cpu (test)"
NAMES = {  # of the blocks' weights: the peers' -> the task's
    "qkv": "qkv", "attended": "attended", "up": "hidden", "down": "out",
}  # fmt: skip
NORMS = {"norm_1": "norm_attention", "norm_2": "norm_hidden"}


@pytest.fixture(scope="module")
def trained():
    """(task, its parameters, a batch, its loss), norms and embedding not as at the start."""
    task = execution.make_task(language.runs(1)[0])
    params, state = task.init(jax.random.key(0))
    params = jax.tree.map(lambda a: 4 * a if a.ndim == 2 else a + 0.01 * jnp.arange(a.size), params)
    batch = {"x": jnp.asarray(task.synthetic().train["x"][:4])}
    loss, _ = task.loss(params, state, batch, jax.random.key(1), True)
    return task, params, batch["x"], float(loss)


def block_names(params):
    return [name for name in params if name.startswith("block_")]


def for_flax(params):
    """The task's weights under the names of the Flax peer."""
    found = {"embed": {"embedding": params["embedding"]}, "norm": params["norm_out"]}
    for name in block_names(params):
        weights = {new: {"kernel": params[name][old]["w"]} for new, old in NAMES.items()}
        found[name] = weights | {new: params[name][old] for new, old in NORMS.items()}
    return found


def for_torch(params):
    """The task's weights as the state of the PyTorch peer."""
    found = {"embed.weight": params["embedding"], "norm.weight": params["norm_out"]["scale"]}
    for place, name in enumerate(block_names(params)):
        here = {new: params[name][old]["w"].T for new, old in NAMES.items()}
        here |= {new: params[name][old]["scale"] for new, old in NORMS.items()}
        found |= {f"blocks.{place}.{key}.weight": value for key, value in here.items()}
    return found


@pytest.mark.slow
def test_flax_has_the_tasks_loss_with_its_weights(trained):
    _, params, windows, loss = trained
    model = flax_language_loop.network(language.TASK)
    start = model.init(jax.random.key(0), windows[:, :-1].astype(jnp.int32))["params"]
    theirs = for_flax(params)
    assert jax.tree.map(jnp.shape, theirs) == jax.tree.map(jnp.shape, start)
    assert float(flax_language_loop.next_byte(model, theirs, windows)) == pytest.approx(
        loss, rel=1e-5
    )
    assert abs(loss - math.log(256)) > 0.1  # weights that tell nothing would be no test


@pytest.mark.slow
def test_pytorch_has_the_tasks_loss_with_its_weights(trained):
    torch = pytest.importorskip("torch")
    _, params, windows, loss = trained
    model = torch_language_loop.network(language.TASK)
    weights = {name: torch.tensor(np.array(w)) for name, w in for_torch(params).items()}
    model.load_state_dict(weights)
    theirs = torch_language_loop.next_byte(model, torch.tensor(np.array(windows)))
    assert float(theirs.detach()) == pytest.approx(loss, rel=1e-5)
    assert language.parameters() == sum(p.numel() for p in model.parameters())


def test_the_task_is_the_config_of_its_name():
    assert yaml.safe_load(CONF.read_text()) == language.TASK


def test_parameters_and_operations_by_hand():
    width, layers, vocabulary, length, batch = 128, 2, 256, 128, 16
    weights = layers * 12 * width**2 + vocabulary * width
    assert language.parameters() == weights + (2 * layers + 1) * width
    attention = layers * 2 * length * width  # multiply-accumulates per byte: scores, and their sums
    task = execution.make_task(language.runs(1)[0])
    forward = 2 * batch * length * (weights + attention)
    assert flops.forward(task, batch) == forward
    assert flops.nominal(task, batch) == 3 * forward  # the embedding has a gradient, too


def test_the_sweep_differs_in_rates_alone():
    runs = language.runs(language.RUNS)
    assert len({run.group for run in runs}) == 1
    assert len({run.name for run in runs}) == language.RUNS
    assert {run.protocol["batch_size"] for run in runs} == {16}
    assert runs[0].optimizer["name"] == "Adam"


@pytest.mark.slow
@pytest.mark.parametrize("loop", [flax_language_loop, torch_language_loop])
def test_a_peer_of_another_size_is_refused(loop, tmp_path):
    if loop is torch_language_loop:
        pytest.importorskip("torch")
    data = execution.load_data(language.runs(1)[0])
    spec = language.spec(data, tmp_path) | {"parameters": 7}
    with pytest.raises(ValueError, match="426624 parameters in place of 7"):
        loop.make(spec)


@pytest.mark.slow
def test_the_flax_peer_trains(tmp_path):
    spec = language.spec(execution.load_data(language.runs(1)[0]), tmp_path)
    train = flax_language_loop.make(spec | {"batch": 2})
    train(2)


def rows_of(rates):
    """Rows of a measurement, from rates by (case, runs)."""
    return [
        {
            "task": "sympy_lm_small", "optimizer": "Adam", "case": case, "runs": runs,
            "run_steps_per_second": rate, "gflops": rate, "matmul_gflops": 100.0,
            "matmul_fraction": rate / 100, "over_loop": rate / 10, "version": "", "batch": 16,
            "parameters": 426_624, "context": 128,
        }
        for (case, runs), rate in rates.items()
    ]  # fmt: skip


RATES = {(setups.ENGINE, 1): 30.0, (setups.ENGINE, 6): 26.0, ("Flax", 1): 10.0}


def test_the_best_peer_is_the_fastest():
    rows = language.over_best_peer(rows_of(RATES | {("PyTorch", 1): 20.0}))
    assert [row["over_best_peer"] for row in rows] == [1.5, 1.3, 0.5, 1.0]
    alone = language.over_best_peer(rows_of({(setups.ENGINE, 6): 26.0}))
    assert np.isnan(alone[0]["over_best_peer"])


def test_summary_and_page_have_the_sweep_of_six(tmp_path):
    store.write(tmp_path, "language", language.over_best_peer(rows_of(RATES)), DEVICE)
    report.write(STUDY, tmp_path, DEVICE)
    summary = pd.read_csv(tmp_path / "summary.csv").set_index("metric")
    assert set(summary.case) == {"sympy_lm_small"}
    assert summary.value["speedup_over_best_peer"] == pytest.approx(2.6)
    assert summary.value["matmul_fraction"] == pytest.approx(0.26)
    text = (tmp_path / "README.md").read_text()
    assert "### Language model" in text
    assert "426,624 parameters, batches of 16 windows of 128 bytes, Adam" in text
    assert "| rllc engine | 6 | 26 | 26 | 26 % | 2.60 | 2.60 |" in text


def test_the_section_has_one_job_of_peers_with_a_language_model(tmp_path, monkeypatch):
    told = {}

    def measure(sizes, peers, *_):
        told.update(sizes=sizes, peers=list(peers))
        return [], []

    monkeypatch.setattr(language, "measure", measure)
    kinds = dict.fromkeys(("flax", "torch", "learned"), "python3")
    (job,) = session.jobs(STUDY, ["language"], [], kinds, tmp_path)
    job.measure()
    assert job.table == "language"
    assert told == {"sizes": [1, 6], "peers": ["flax", "torch"]}
