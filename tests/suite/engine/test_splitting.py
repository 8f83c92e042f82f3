"""One run on several devices: the numbers of one device, and refusals in one line."""

import pytest

from rllc.suite.engine import splitting
from rllc.suite.engine.layout import Layout, Split
from rllc.suite.errors import PlanError
from rllc.suite.plan import plan
from tests.processes import output_on_devices
from tests.suite import toy
from tests.suite.toy import SGD

TRAINED = """
import tempfile
from pathlib import Path
import jax, numpy as np
import tasks
from rllc.suite import records
from rllc.suite.engine import training
from rllc.suite.engine.layout import Split
from rllc.suite.plan import plan
from tests.suite.toy import OBSERVED as RLLC

{task}
PROTOCOL = {{"steps": 4, "eval_every": 2, "batch_size": 16, "law_every": 2, "data": "synthetic"}}
runs = [plan.make_run({{"_target_": "tests.suite.toy.make", "name": "t"}},
                      {{**RLLC, "learning_rate": rate}}, seed, PROTOCOL)
        for rate in (0.1, 0.03) for seed in (0, 1)]
data = task.synthetic()


def curves(split, saved=None):
    trainer = training.Trainer(runs, task, data, split=split)
    if saved is not None:
        trainer.restore(saved)
    while trainer.done < 4:
        trainer.advance(2)
    return trainer, trainer.table().to_pandas()


def same(one, other):
    assert list(one.run) == list(other.run)
    for name in one:
        if name.startswith(("test", "validation", "train")):
            np.testing.assert_allclose(one[name], other[name], rtol={rtol}, err_msg=name)


alone, expected = curves(Split(run=1, data=1, fsdp=1))
assert alone.layout.devices == 1
for split in {splits}:
    trainer, found = curves(Split(*split))
    assert (trainer.layout.run, trainer.layout.data, trainer.layout.fsdp) == split
    same(expected, found)
    kept = [leaf for leaf in jax.tree.leaves(trainer.carry[0]) if leaf.size > 4 * 4096]
    parts = {{leaf.size // leaf.addressable_shards[0].data.size for leaf in kept}}
    assert parts == {{split[0] * split[2]}}, parts  # of runs and of parameters, none is whole
    state = [x for x in jax.tree.leaves(trainer.carry[2]) if x.size in {{k.size for k in kept}}]
    assert {{x.size // x.addressable_shards[0].data.size for x in state}} == parts
    with tempfile.TemporaryDirectory() as folder:  # from one layout to another and back
        for first, second in ((Split(*split), Split(1, 1, 1)), (Split(1, 1, 1), Split(*split))):
            half = training.Trainer(runs, task, data, split=first)
            half.advance(2)
            half.save(Path(folder) / "half.npz")
            same(expected, curves(second, Path(folder) / "half.npz")[1])
print("equal")
"""
MLP = 'task = tasks.make("mnist_mlp")'
NORM = """
from flax import linen as nn
from tasks.modules import functions
from tasks.normalisation import BatchNorm


class Network(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = BatchNorm(0.9, 1e-5)(nn.Dense(64)(x.reshape(len(x), -1)), train)
        return nn.Dense(10)(nn.relu(x))


task = tasks.make("mnist_mlp")
init, apply = functions(Network(), (28, 28, 1))


def loss(params, state, batch, key, train):
    import optax, jax.numpy as jnp
    logits, state = apply(params, state, batch["x"], train)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"])
    return losses.mean(), (state, {"loss": losses, "accuracy": logits.argmax(-1) == batch["y"]})


task = task._replace(init=init, loss=loss)
"""
LANGUAGE = """
task = tasks.language_model("lm", text="sympy", context=16, width=64, layers=1, heads=2,
                            held_out=64)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "splits"),
    [(MLP, [(2, 2, 2)]), (NORM, [(1, 2, 4)]), (LANGUAGE, [(1, 1, 8)])],
    ids=["mlp", "batch statistics", "language model"],
)
def test_shared_runs_give_the_numbers_of_one_device(task, splits):
    """Rounding is amplified by four steps only."""
    code = TRAINED.format(task=task, splits=splits, rtol=2e-4)
    assert output_on_devices(code, 8) == "equal"


PROTOCOL = {"steps": 10, "eval_every": 5, "batch_size": 16, "data": "synthetic"}
RUN = plan.make_run({"_target_": "tests.suite.toy.make", "name": "toy"}, SGD, 0, PROTOCOL)


def eight(monkeypatch, backend="gpu"):
    monkeypatch.setattr(splitting.jax, "devices", lambda: [object()] * 8)
    monkeypatch.setattr(splitting.jax, "default_backend", lambda: backend)


def test_devices_without_a_run_share_batches_unless_they_are_of_a_cpu(monkeypatch):
    monkeypatch.setattr(splitting.capacity, "memory_bytes", lambda: 10**12)
    for backend, expected in (("gpu", Layout(1, 2, 1, 2, 4)), ("cpu", Layout(1, 2, 1, 2))):
        eight(monkeypatch, backend)
        found = splitting.layout(splitting.AUTO, RUN, (1, 2), toy.make(), toy.data())
        assert found == expected
    assert splitting.layout(splitting.ALONE, RUN, (1, 2), toy.make(), toy.data()).devices == 2


def test_parameters_are_split_where_they_do_not_fit(monkeypatch):
    eight(monkeypatch)
    task, data = toy.make(), toy.data()
    kept, working = splitting.capacity.bytes_per_run(RUN, task, data)
    whole = splitting.capacity.parameter_bytes(task)
    room = 8 * ((kept + working) / 4 + whole) / splitting.capacity.MEMORY_SHARE
    monkeypatch.setattr(splitting.capacity, "memory_bytes", lambda: room + 1)
    found = splitting.layout(splitting.AUTO, RUN, (1, 1), task, data)
    assert (found.run, found.data, found.fsdp) == (1, 2, 4)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(run=2, data=8), r"devices\.run=2, devices\.data=8: that takes 16 devices, here are"),
        (Split(data=3), "a batch of 16 does not divide into 3"),
    ],
)
def test_what_cannot_be_is_one_line(monkeypatch, split, message):
    eight(monkeypatch)
    with pytest.raises(PlanError, match=message):
        splitting.check(split, RUN, toy.data())


def test_generated_batches_are_refused(monkeypatch):
    eight(monkeypatch)
    with pytest.raises(PlanError, match="are generated"):
        splitting.check(Split(data=2), RUN, toy.data()._replace(train=lambda key, step: None))


def test_no_process_of_several_is_idle(monkeypatch):
    """Not even on CPUs, where nothing is split unasked otherwise; what cannot be is one line."""
    eight(monkeypatch, "cpu")
    monkeypatch.setattr(splitting.jax, "process_count", lambda: 2)
    task, data = toy.make(), toy.data()
    found = splitting.layout(splitting.AUTO, RUN, (1, 1), task, data)
    assert (found.run, found.data, found.fsdp) == (1, 8, 1)
    generated = data._replace(train=lambda key, step: None)
    assert splitting.layout(splitting.AUTO, RUN, (3, 1), task, generated).run == 2  # 3 are odd
    with pytest.raises(PlanError, match=r"2 processes of 4 devices each cannot .* be split;"):
        splitting.layout(splitting.AUTO, RUN, (1, 1), task, generated)
    with pytest.raises(PlanError, match=r"1 runs with batches of 16, devices\.data=1;"):
        splitting.layout(Split(data=1), RUN, (1, 1), task, data)


@pytest.mark.parametrize(
    "given", [{"data": 0}, {"data": "2"}, {"data": True}, {"batch": 2}, "auto"]
)
def test_a_split_that_means_nothing_is_refused(given):
    with pytest.raises(PlanError, match="devices"):
        splitting.parse(given)


def test_padding_and_the_mesh():
    assert Layout.choose(3, 1, 8, Split(fsdp=2)) == Layout(3, 1, 0, 3, 1, 2)
    assert Layout.choose(1, 1, 8, Split(run=1, data=2, fsdp=4)) == Layout(1, 1, 0, 1, 2, 4)
    assert str(Layout(1, 1, 0, 1, 2, 4)) == "data 2 × fsdp 4"
    kept = [Layout(1, 1, 0, 1, 1, 4).kept_spec(shape) for shape in ((1, 1, 30, 400), (1, 1, 8))]
    assert [tuple(spec) for spec in kept] == [(None, None, None, "fsdp"), ()]
