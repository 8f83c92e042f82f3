"""The engine on a toy task: counts, paired batches, resuming, equality with single runs."""

import itertools
import json
import signal

import jax
import numpy as np
import optax
import pytest

from rllc.suite import records
from rllc.suite.choose import selection
from rllc.suite.engine import batching, evaluation, header, program, training
from rllc.suite.engine.layout import Layout
from rllc.suite.plan import plan
from tests.suite import toy
from tests.suite.engine.toy_runs import runs_of
from tests.suite.toy import OBSERVED as RLLC
from tests.suite.toy import SGD

TOY = toy.make()


def train(runs, folder, task=None, data=None):
    (group,) = plan.group_runs(runs)
    return training.train_group(
        group, task or TOY, data or toy.data(), folder, folder.parent / "partial", False
    )


@pytest.fixture(scope="module")
def rllc_records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine") / "records"
    train(runs_of(RLLC), folder)
    return records.load(folder)


@pytest.mark.slow
def test_records_hold_every_run_evaluation_and_law(rllc_records):
    assert len(rllc_records.runs) == 6
    assert sorted(rllc_records.curves.step.unique()) == [0, 25, 50, 60]
    assert len(rllc_records.curves) == 6 * 4
    laws = rllc_records.laws(rllc_records.runs.run)
    assert sorted(laws.step.unique()) == [0, 10, 20, 30, 40, 50, 60]
    assert {len(law) for law in laws.law} == {2}
    first = laws[laws.step == 0].law
    assert all(np.array_equal(law, [1.0, 1.0]) for law in first)
    curves = rllc_records.curves
    assert curves[curves.step == 0].train_loss.isna().all()
    assert curves.drop(columns="train_loss").notna().all(axis=None)


@pytest.mark.slow
def test_laws_of_groups_are_recorded_one_after_the_other(tmp_path):
    optimizer = {**RLLC, "law_groups": "leaf", "initial_law": [1.0, 0.5]}
    train(runs_of(optimizer, seeds=(0,), rates=(0.1,)), tmp_path / "records")
    found = records.load(tmp_path / "records")
    laws = np.stack(list(found.laws(found.runs.run).law))
    assert laws.shape == (7, 3 * 2)  # three leaves of two units
    np.testing.assert_array_equal(laws[0], [1.0, 0.5] * 3)
    assert len(np.unique(laws[-1])) == 6


@pytest.mark.slow
def test_training_learns(rllc_records):
    last = rllc_records.curves[rllc_records.curves.step == 60]
    assert (last.test_accuracy > 0.9).mean() > 0.5  # chance is 0.25


@pytest.mark.slow
def test_a_group_gives_the_curves_of_its_runs_alone(rllc_records, tmp_path):
    """Same program text, other batch shapes: sums are ordered differently, so float32 rounding
    (6e-8) differs and 60 steps of training amplify it a few hundred times."""
    alone = tmp_path / "records"
    for run in runs_of(RLLC):
        train([run], alone)
    merged = rllc_records.curves.merge(records.load(alone).curves, on=["run", "step"])
    assert len(merged) == 24
    for metric in ("validation_loss", "test_loss", "train_loss"):
        np.testing.assert_allclose(merged[f"{metric}_x"], merged[f"{metric}_y"], rtol=2e-4)


@pytest.mark.slow
def test_runs_that_take_turns_give_the_same_curves(rllc_records, tmp_path):
    """One network after another, and the batched group: the tolerance is that of runs alone."""
    turns = toy.make(one_at_a_time=True)
    train(runs_of(RLLC), tmp_path / "records", task=turns)
    merged = rllc_records.curves.merge(
        records.load(tmp_path / "records").curves, on=["run", "step"]
    )
    assert len(merged) == 24
    for metric in ("validation_loss", "test_loss", "train_loss"):
        np.testing.assert_allclose(merged[f"{metric}_x"], merged[f"{metric}_y"], rtol=2e-4)


@pytest.mark.slow
def test_a_network_that_takes_turns_never_sees_two_runs_at_once():
    def primitives(task):
        layout = Layout(3, 2, 0, 1)
        made = program.build(task, None, json.dumps({"_target_": "optax.sgd"}), layout, 1, ())
        hyper = {"learning_rate": np.full((3, 2), 0.1, np.float32)}
        carry = made.init(np.arange(3), hyper)
        data = toy.data()
        batch = np.zeros((1, 3, 16), np.int32)
        traced = made.train.trace(
            carry, made.log(), hyper, np.arange(3), data.train, batch, 0, 0, 1
        )
        return str(traced.jaxpr)

    runs_batched = "3,2,16,4]"  # logits of all seeds and runs together
    batched, turns = (primitives(toy.make(one_at_a_time=b)) for b in (False, True))
    assert runs_batched in batched
    assert (runs_batched not in turns) == (jax.default_backend() == "cpu")


@pytest.mark.slow
def test_a_run_follows_a_plain_optax_loop(tmp_path):
    """The engine against the ordinary way: one jitted step at a time, with optax and NumPy."""
    task, data = TOY, toy.data()
    run = runs_of(SGD, seeds=(3,), rates=(0.1,))[0]
    train([run], tmp_path / "records")
    params, state = task.init(batching.stream_key(3, batching.INIT))
    transformation = optax.sgd(0.1)
    opt_state = transformation.init(params)
    order = batching.batch_indices(3, 0, 60, 400, 16)

    @jax.jit
    def step(params, opt_state, batch):
        def loss(params):
            return task.loss(params, state, task.prepare(batch, None), None, True)[0]

        value, gradients = jax.value_and_grad(loss)(params)
        updates, opt_state = transformation.update(gradients, opt_state)
        return optax.apply_updates(params, updates), opt_state, value

    losses = []
    for index in order:
        batch = {key: array[index] for key, array in data.train.items()}
        params, opt_state, value = step(params, opt_state, batch)
        losses.append(float(value))
    curve = records.load(tmp_path / "records").curves.set_index("step").train_loss
    expected = [np.mean(losses[:25]), np.mean(losses[25:50]), np.mean(losses[50:])]
    np.testing.assert_allclose(curve[[25, 50, 60]], expected, rtol=1e-5)


@pytest.mark.slow
def test_a_rerun_gives_identical_bytes(tmp_path):
    once = train(runs_of(RLLC), tmp_path / "a" / "records").with_suffix(".parquet")
    again = train(runs_of(RLLC), tmp_path / "b" / "records").with_suffix(".parquet")
    assert once.read_bytes() == again.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("augments", [False, True])
def test_an_interrupted_group_ends_with_the_record_of_an_undisturbed_one(tmp_path, augments):
    """Interrupted between any two calls, here after steps 7, 25 and 43."""
    task, data = toy.make(augments=augments), toy.data()
    (group,) = plan.group_runs(runs_of(RLLC))
    whole = train(group, tmp_path / "whole" / "records", task).with_suffix(".parquet")
    saved = tmp_path / "partial" / f"{plan.shard_name(group)}.npz"
    for count in (7, 18, 18):
        trainer = training.Trainer(group, task, data)
        if count == 18:
            assert trainer.restore(saved) == trainer.devices
        trainer.advance(count)
        trainer.save(saved)
    assert trainer.done == 43
    resumed = train(group, tmp_path / "records", task).with_suffix(".parquet")
    assert resumed.read_bytes() == whole.read_bytes()
    assert not saved.exists()


@pytest.mark.slow
def test_ctrl_c_saves_a_checkpoint(tmp_path, monkeypatch):
    def interrupt(trainer, count):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Trainer, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(runs_of(SGD), tmp_path / "records")
    assert len(list((tmp_path / "partial").glob("*.npz"))) == 1


def interrupting(function, at):
    """The function, whose call number `at` gets a Ctrl-C once its work is under way."""
    calls = itertools.count(1)

    def interrupted(*args):
        result = function(*args)
        if next(calls) == at:
            signal.raise_signal(signal.SIGINT)
        return result

    return interrupted


@pytest.fixture
def ctrl_c():
    """As in a terminal: a job in the background of a script has Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train", "evaluate"])
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_within_a_call_loses_nothing(tmp_path, monkeypatch, part):
    """The call has taken the arrays of the carry by then; an evaluation is made up for."""
    whole = train(runs_of(RLLC), tmp_path / "whole" / "records").with_suffix(".parquet")
    build = training.build

    def broken(*args):
        program = build(*args)
        return program._replace(**{part: interrupting(getattr(program, part), 3)})

    with monkeypatch.context() as patch:
        patch.setattr(training, "build", broken)
        with pytest.raises(KeyboardInterrupt):
            train(runs_of(RLLC), tmp_path / "records")
    (saved,) = (tmp_path / "partial").glob("*.npz")
    assert np.load(saved)["done"] > 0
    resumed = train(runs_of(RLLC), tmp_path / "records").with_suffix(".parquet")
    assert resumed.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_damaged_checkpoint_starts_over(tmp_path):
    (group,) = plan.group_runs(runs_of(SGD))
    saved = tmp_path / "partial" / f"{plan.shard_name(group)}.npz"
    saved.parent.mkdir()
    saved.write_bytes(b"half a file")
    train(group, tmp_path / "records")
    assert len(records.load(tmp_path / "records").runs) == 6


@pytest.mark.slow
def test_a_diverged_run_is_a_record_and_leaves_its_neighbours_alone(tmp_path):
    train(runs_of(SGD, seeds=(0,), rates=(0.1, 1e30)), tmp_path / "records")
    loaded = records.load(tmp_path / "records")
    runs = selection.with_hyper(loaded.runs)
    status = runs.set_index("learning_rate").status
    assert status[1e30] == "diverged"
    assert status[0.1] == "finished"
    good = runs.set_index("learning_rate").run[0.1]
    assert loaded.curves[loaded.curves.run == good].test_loss.notna().all()


@pytest.mark.slow
def test_the_header_says_how_the_record_was_made(tmp_path):
    header = json.loads(train(runs_of(SGD), tmp_path / "records").read_text())
    assert header["matmul_precision"] == "default"
    with jax.default_matmul_precision("highest"):
        exact = json.loads(train(runs_of(SGD), tmp_path / "exact" / "records").read_text())
    assert exact["matmul_precision"] == "highest"
    assert header["format"] == records.FORMAT
    assert header["versions"]["jax"] == jax.__version__
    assert header["data"]["checksum"] == "toy-0"
    assert header["protocol"]["steps"] == 60
    assert len(header["runs"]) == 6
    assert header["device"].startswith(jax.devices()[0].platform)


def test_batches_are_epochs_without_repeats():
    indices = batching.batch_indices(5, 0, 6, examples=50, batch=16)
    assert indices.shape == (6, 16)
    for epoch in (indices[:3], indices[3:]):
        assert len(set(epoch.ravel())) == 48
    assert not np.array_equal(indices[:3], indices[3:])


def test_batches_do_not_depend_on_where_a_chunk_starts():
    whole = batching.batch_indices(5, 0, 20, examples=50, batch=16)
    np.testing.assert_array_equal(batching.batch_indices(5, 7, 13, 50, 16), whole[7:13])


def test_seeds_share_neither_order_nor_start():
    orders = [batching.batch_indices(seed, 0, 3, 50, 16) for seed in (0, 1)]
    assert not np.array_equal(*orders)
    keys = [jax.random.key_data(batching.stream_key(seed, batching.INIT)) for seed in (0, 1)]
    assert not np.array_equal(*keys)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="batch of 64 from 50"):
        batching.batch_indices(0, 0, 1, 50, 64)


def test_block_means_by_hand():
    """130 examples: a full block with 64 right and losses of 1, then 2 examples, both right."""
    losses, correct = np.array([[[128.0, 6.0, 0.0]]]), np.array([[[64, 2, 0]]])
    counts = np.array([[[128, 2, 0]]])
    assert evaluation.mean(correct, counts).item() == pytest.approx(66 / 130)
    assert evaluation.batch_mean(correct, counts).item() == pytest.approx((0.5 + 1.0) / 2)
    assert evaluation.mean(losses, counts).item() == pytest.approx(134 / 130)
    assert evaluation.batch_mean(losses, counts).item() == pytest.approx((1 + 3) / 2)


def test_a_copy_outside_git_is_told_its_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(header, "__file__", str(tmp_path / "header.py"))
    monkeypatch.delenv("RLLC_COMMIT", raising=False)
    assert header.commit() == "unknown"
    monkeypatch.setenv("RLLC_COMMIT", "0123abc")
    assert header.commit() == "0123abc"
