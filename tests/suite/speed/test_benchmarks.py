"""Benchmarks: what is counted is right, what is written has its schema, peers take turns."""

import json
import math
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

import tasks
from rllc.replication import figures, paper
from rllc.replication.paper import STUDY
from rllc.suite.plan import configuration
from rllc.suite.speed import (
    batching,
    engine,
    flops,
    parts,
    plots,
    processes,
    report,
    scaling,
    session,
    setups,
    store,
    throughput,
    timing,
    update,
)
from tests.processes import output_on_two_devices
from tests.suite import toy

CONF = Path(__file__).parents[3] / "conf"
DEVICE = "cpu (test)"
MNIST_MLP_MACS = 784 * 128 + 2 * 128 * 128 + 128 * 10


def test_flops_of_an_mlp_are_three_forward_passes_less_the_first_input_gradient():
    task = tasks.make("mnist_mlp")
    assert flops.forward(task, 128) == 2 * 128 * MNIST_MLP_MACS
    assert flops.nominal(task, 128) == 2 * 128 * (3 * MNIST_MLP_MACS - 784 * 128)


def test_flops_of_a_convolution_network_count_every_output_pixel():
    macs = 14 * 14 * (9 * 32 + 9 * 32 * 64 + 9 * 64 * 64) + 64 * 10
    first = 14 * 14 * 9 * 32
    assert flops.forward(tasks.make("mnist_conv"), 4) == 2 * 4 * macs
    assert flops.nominal(tasks.make("mnist_conv"), 4) == 2 * 4 * (3 * macs - first)


def test_flops_of_an_mlp_follow_its_width():
    task = tasks.make("mnist_mlp", hidden=[64, 32])
    assert flops.forward(task, 4) == 2 * 4 * (784 * 64 + 64 * 32 + 32 * 10)


@pytest.mark.slow
def test_flops_of_resnet20():
    """41 million multiply-accumulates per image, the count of the literature for option A."""
    level = [6 * 32**2 * 9 * 16**2, 5 * 16**2 * 9 * 32**2, 5 * 8**2 * 9 * 64**2]
    entries = 16**2 * 9 * 16 * 32 + 8**2 * 9 * 32 * 64
    macs = 32**2 * 27 * 16 + sum(level) + entries + 640
    assert round(macs / 1e6) == 41
    assert flops.forward(tasks.make("cifar10_resnet20"), 1) == 2 * macs


@pytest.mark.slow
@pytest.mark.parametrize(("task", "least"), [("mnist_mlp", 1.0), ("mnist_conv", 0.85)])
def test_compilers_count_agrees_with_the_networks(task, least):
    """Without products with padding; with bias, loss and optimizer, which are a few percent."""
    counted = flops.compiled(tasks.make(task), setups.runs(task, "Adam", 1)[0])
    assert least < counted / flops.nominal(tasks.make(task), 128) < 1.1


@pytest.mark.slow
def test_the_peers_network_is_the_tasks():
    for name in ("mnist_mlp", "cifar10_conv", "cifar10_resnet20"):
        task = tasks.make(name)
        shapes = [
            sorted(
                leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(t.init, jax.random.key(0)))
            )
            for t in (task, flops.with_peers_network(task))
        ]
        assert shapes[0] == shapes[1]


@pytest.mark.slow
@pytest.mark.parametrize("label", paper.OPTIMIZERS)
def test_setups_are_the_configs_of_the_same_label(label):
    """The same group hash: the benchmark times the very program that sweeps train."""
    name = {"SGD": "sgd", "Momentum SGD": "momentum", "Adam": "adam"}.get(label)
    words = [f"optimizer={name}"] if name else ["optimizer=rllc", f"optimizer.propagator='{label}'"]
    cfg = configuration.compose(CONF, ["task=mnist_mlp", "seed=0", *words])
    theirs = configuration.run_of(cfg, {})
    ours = setups.runs("mnist_mlp", label, 2)[0]
    assert ours._replace(task=theirs.task).group == theirs.group


def test_interleaving_gives_every_case_its_turn():
    calls = []

    def case(name, seconds):
        return lambda units: calls.append((name, units)) or seconds * units

    times = timing.interleave({"a": case("a", 0.1), "b": case("b", 0.02)}, 3, 0.2)
    assert calls[-6:] == [("a", 2), ("b", 10)] * 3
    assert times["a"].median == pytest.approx(0.1)
    assert times["b"].least == pytest.approx(0.02)


@pytest.mark.slow
def test_update_measures_the_numbers_moved(monkeypatch):
    assert {name: moved for name, (moved, _) in update.optimizers().items()} == {
        update.MOMENTUM: 5, update.ADAM: 7, "k=1": 7, "k=2": 10, "k=3": 13, "k=4": 16,
    }  # fmt: skip
    few = {k: v for k, v in update.optimizers().items() if k in (update.ADAM, "k=1")}
    monkeypatch.setattr(update, "optimizers", lambda: few)
    rows = list(update.measure((10**4,), rounds=1, seconds=1e-4))
    assert [row["case"] for row in rows] == [update.COPY, update.ADAM, "k=1"]
    assert all(row["n"] == 10_240 and row["ns_per_parameter"] > 0 for row in rows)


def test_propagators_of_every_size_are_distinct_units():
    for k in (1, 2, 7, 16):
        units = scaling.propagator(k).split("+")
        assert len(set(units)) == k


PEER = """
import sys
def make(spec):
    if spec["optimizer"] != "SGD": raise ValueError("only SGD")
    return lambda steps: print("noise", steps)
def version(): return "peer 1"
"""


@pytest.fixture
def peer(monkeypatch, tmp_path):
    """A peer without any network, behind the real worker."""
    worker = tmp_path / "worker.py"
    worker.write_text(processes.WORKER.read_text().replace("HERE.parents[3]", "HERE"))
    (tmp_path / "flax_loop.py").write_text(PEER)
    monkeypatch.setattr(processes, "WORKER", worker)
    return tmp_path


def test_peer_answers_with_seconds(peer):
    run, data = setups.runs("mnist_mlp", "SGD", 1)[0], toy.data()
    spec = processes.of_images(run, "mlp", data, peer)
    with processes.running({"flax": "python3"}, spec) as (peers, notes):
        assert not notes
        assert peers["flax"].version == "peer 1"
        assert 0 <= peers["flax"](3) < 1
    assert peers["flax"].process.returncode == 0
    assert np.load(peer / "mnist-images.npy").shape == data.train["x"].shape


def test_absent_peers_leave_a_note(peer):
    run, data = setups.runs("mnist_mlp", "Adam", 1)[0], toy.data()
    kinds = {"flax": "python3", "torch": "python3", "learned": "/no/such/python"}
    spec = processes.of_images(run, "mlp", data, peer)
    with processes.running(kinds, spec) as (peers, notes):
        assert not peers
    assert "only SGD" in notes[0]
    assert "FileNotFoundError" in notes[1]
    assert "no/such/python" in notes[2]


def test_peers_do_not_see_our_host_devices(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1 --xla_force_host_platform_device_count=2")
    assert processes.environment()["XLA_FLAGS"] == "--xla_a=1"


def throughput_rows(task, scale=1.0):
    times = {"1": 0.02, "12": 0.06, "flax": 0.01, throughput.PRODUCT: 0.1, throughput.SINGLE: 0.2}
    times = {case: timing.Times([seconds / scale]) for case, seconds in times.items()}
    return throughput._rows(task, report.HEADLINE, [1, 12], times, 10**9, {"flax": "jax 1"})


def test_throughput_ratios():
    one, twelve, loop = throughput_rows("mnist_mlp")
    assert (one["over_loop"], twelve["over_loop"], loop["over_loop"]) == pytest.approx((0.5, 2, 1))
    assert twelve["run_steps_per_second"] == pytest.approx(200)
    assert twelve["matmul_fraction"] == pytest.approx(200 / (2 * 2048**3 / 0.1 / 1e9))


def fill(folder, device=DEVICE):
    """Every table, as measured on a device."""
    update_rows = [
        {
            "size": size, "n": size, "case": case, "ns_per_parameter": 1.0 + i,
            "ns_per_parameter_least": 1.0, "numbers_per_parameter": 2 + i,
            "gigabytes_per_second": 9.0, "over_adam": (1 + i) / 3, "over_copy": 1.0 + i,
        }
        for size in (10**6, 10**7)
        for i, case in enumerate([update.COPY, *update.optimizers()])
    ]  # fmt: skip
    step_rows = [
        {
            "task": task, "network": setups.network(task), "optimizer": name,
            "milliseconds_per_step": 2.0, "milliseconds_least": 1.0, "gflop_per_step": 0.1,
            "gflop_network": 0.09,
        }
        for task in ("mnist_mlp", "cifar10_mlp") for name in ("Adam", "M(0.9)")
    ]  # fmt: skip
    scales = [scaling._row(axis, n, n / 1e3, 1.0) for axis in plots.AXES for n in (1, 2, 4)]
    compiled = {"compile_seconds": 9.0, "compile_seconds_again": 1.0, "peak_gigabytes": 2.0}
    compile_rows = [{"task": "mnist_mlp", "optimizer": "M(0.9)", "runs": 12, **compiled}]
    shared = {"runs": 3, "processes": 1, "run_steps_per_second": 9.0, "gflops": 1.0}
    way = {"task": "mnist_conv", "optimizer": "M(0.9)", "way": batching.UNROLLED}
    store.write(folder, "batching", [way | shared], device)
    base, flat = (
        {"lever": name, "over_none": ratio} for name, ratio in (("none", 1.0), ("one vector", 1.2))
    )
    cell = {"task": "mnist_mlp", "optimizer": "M(0.9)", "runs": 1, "run_steps_per_second": 100.0}
    store.write(folder, "levers", [cell | base, cell | flat], device)
    store.write(folder, "update", update_rows, device)
    taken_apart = {"n": 10**7, "ns_per_parameter": 1.0, "over_bytes": 1.5}
    parts_rows = [
        {"units": text, "part": part} | taken_apart
        for text in setups.UNITS.values() for part in (parts.FIRST, parts.SECOND)
    ]  # fmt: skip
    store.write(folder, "update_parts", parts_rows, device)
    store.write(folder, "training_step", step_rows, device)
    for task in ("mnist_mlp", "cifar10_conv"):
        store.write(folder, "throughput", throughput_rows(task), device)
    store.write(folder, "scaling", scales, device)
    store.write(folder, "compilation", compile_rows, device)
    report.write(STUDY, folder, device)


@pytest.mark.slow
def test_peak_memory_is_that_of_the_process_and_not_of_its_parent():
    code = (
        "import numpy as np; from rllc.suite.speed.engine import peak_gigabytes as peak;"
        "before = peak(); held = np.ones(50_000_000); del held; print(before, peak() - before)"
    )
    here = np.ones(125_000_000)  # 1 GB in this process, which the other one starts from
    before, gained = map(float, output_on_two_devices(code).split())
    assert before < 0.9 * here.nbytes / 1e9
    assert 0.35 < gained < 0.45


def test_summary_has_a_row_per_figure(tmp_path):
    fill(tmp_path)
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert list(summary) == ["metric", "case", "value", "device"]
    assert not summary.duplicated(["metric", "case", "device"]).any()
    cases = summary.groupby("metric").case.agg(list).to_dict()
    per_task = ["mnist_mlp", "cifar10_conv"]
    assert cases == {
        "matmul_fraction": per_task,
        "speedup_over_loop": per_task,
        "run_steps_per_second": per_task,
        "update_time_over_adam": ["k=1", "k=2", "k=3", "k=4"],
    }
    found = summary.set_index(["metric", "case"]).value
    assert found["speedup_over_loop", "mnist_mlp"] == pytest.approx(2)
    assert found["update_time_over_adam", "k=2"] == pytest.approx(5 / 3, rel=1e-5)


def test_a_second_device_adds_its_rows(tmp_path):
    fill(tmp_path)
    fill(tmp_path, "NVIDIA H100")
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert summary.groupby("device").size().to_dict() == {DEVICE: 10, "NVIDIA H100": 10}
    assert set(pd.read_csv(tmp_path / "step_time.csv").device) == {"NVIDIA H100"}  # one per figure


def test_measuring_again_replaces_only_what_was_measured(tmp_path):
    fill(tmp_path)
    before = store.read(tmp_path, "throughput")
    after = store.write(tmp_path, "throughput", throughput_rows("mnist_mlp", scale=2.0), DEVICE)
    assert len(after) == len(before)
    rates = after[after.case == setups.ENGINE].groupby("task").run_steps_per_second.max()
    assert rates.to_dict() == pytest.approx({"mnist_mlp": 400, "cifar10_conv": 200})


def test_figure_3_is_drawn_of_step_time(tmp_path):
    fill(tmp_path)
    timings = pd.read_csv(tmp_path / "step_time.csv")
    columns = ["network", "optimizer", "milliseconds_per_step", "gflop_per_step"]
    assert list(timings)[:4] == columns
    assert set(timings.network) == {"mlp"}  # of CIFAR-10 alone
    figures.figure3(timings)


@pytest.mark.slow
def test_tables_and_plots_of_all_there_is(tmp_path):
    fill(tmp_path)
    text = (tmp_path / "README.md").read_text()
    titles = {title for title, _ in report._SECTIONS.values()} - {"Language model"}  # not in `fill`
    assert all(f"### {title}" in text for title in titles)
    assert "nan" not in text
    drawn = plots.write(STUDY, tmp_path, DEVICE)
    assert {path.name for path in drawn} >= {"update.png", "scaling.pdf", "throughput.png"}


def test_an_empty_folder_gives_an_empty_summary(tmp_path):
    report.write(STUDY, tmp_path, DEVICE)
    assert pd.read_csv(tmp_path / "summary.csv").empty
    assert pd.read_csv(tmp_path / "step_time.csv").empty


@pytest.mark.slow
def test_a_failed_measurement_is_reported_and_does_not_stop_the_rest(tmp_path, monkeypatch):
    def bad():
        raise RuntimeError("no luck")

    todo = [
        session.Job("scaling", "bad", 1, bad),
        session.Job("scaling", "good", 1, lambda: ([scaling._row("runs", 1, 0.1, 1.0)], [])),
    ]
    monkeypatch.setattr(session, "jobs", lambda *_: todo)
    assert not session.run(STUDY, ["scaling"], [], {}, tmp_path, show=False)
    assert len(store.read(tmp_path, "scaling")) == 1
    raw = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert {"device", "versions", "measured", "commit", "tables"} <= set(raw)
    assert raw["tables"]["scaling"]["notes"] == ["bad failed: RuntimeError: no luck"]
    assert math.isnan(raw["tables"]["scaling"]["rows"][0].get("missing", math.nan))


def test_every_section_has_its_jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # a CPU has no use for `batching`
    found = session.jobs(STUDY, session.SECTIONS, tasks.names(), {"flax": "python3"}, tmp_path)
    assert {job.table for job in found} == set(store.TABLES)
    assert len({job.name for job in found}) == len(found)
    named = {
        name
        for job in found
        if job.table == "throughput"
        for name in tasks.names()
        if name in job.name
    }
    assert named == set(tasks.names())


@pytest.mark.slow
def test_ways_of_batching_count_all_runs(monkeypatch):
    monkeypatch.setattr(
        setups, "task", lambda name: {"_target_": "tests.suite.toy.make", "name": name}
    )
    monkeypatch.setattr(setups, "PROTOCOL", {"data": "synthetic", "batch_size": 16})
    monkeypatch.setattr(flops, "nominal", lambda task, batch: 2 * 10**9)
    rate = 7.0  # of each run
    monkeypatch.setattr(batching, "together", lambda t, o, count, each, s: rate * count * each)
    monkeypatch.setattr(
        batching,
        "interleave",
        lambda cases, rounds, seconds: {c: timing.Times([0.5]) for c in cases},
    )
    monkeypatch.setattr(engine, "data", lambda runs: (toy.data(), ""))
    monkeypatch.setattr(batching, "variant", lambda way, task: task)  # a toy has no peers
    rows, notes = batching.measure("toy_conv", "M(0.9)", 3, [4], 2, 1, 0.01)
    found = {
        row["way"]: (row["runs"], row["processes"], row["run_steps_per_second"]) for row in rows
    }
    assert found == {
        batching.ALONE: (1, 1, 2.0),
        **dict.fromkeys((batching.GROUPED, batching.UNROLLED, batching.TURNS), (3, 1, 6.0)),
        batching.TOGETHER: (8, 4, 56.0),
    }
    assert [row["gflops"] for row in rows] == [2 * row["run_steps_per_second"] for row in rows]
    assert notes == []


@pytest.mark.slow
def test_processes_work_together_or_say_what_is_wrong():
    assert batching.together("mnist_mlp", "M(0.9)", 2, 3, 0.01) > 0
    with pytest.raises(RuntimeError, match="nosuch"):
        batching.together("mnist_mlp", "nosuch", 1, 1, 0.01)


def test_a_task_measured_alone_has_ratios(tmp_path):
    rows = [
        {"task": task, "optimizer": "M(0.9)", "way": way, "runs": runs, "processes": 1,
         "run_steps_per_second": rate, "gflops": 31 * rate}
        for task, way, runs, rate in [
            ("cifar10_resnet20", batching.ALONE, 1, 400.0),
            ("cifar10_resnet20", batching.UNROLLED, 3, 500.0),
            ("mnist_mlp", batching.BATCHED, 18, 7e4),
        ]
    ]  # fmt: skip
    text = report.batching(STUDY, store.write(tmp_path, "batching", rows, DEVICE))
    assert "| CIFAR-10 ResNet-20 | unrolled (the engine's) | 1 | 3 | 500 | 15,500 | 1.25 |" in text
    assert "| MNIST MLP | one program | 1 | 18 | 70,000 | 2,170,000 | – |" in text
