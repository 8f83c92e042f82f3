"""How many runs a group holds, on a machine whose memory is made up."""

import jax
import pytest

from rllc.suite.engine import capacity
from rllc.suite.errors import PlanError
from rllc.suite.plan import plan
from tests.suite import toy
from tests.suite.toy import SGD

pytestmark = pytest.mark.slow

PROTOCOL = {"steps": 10, "eval_every": 5, "batch_size": 16, "data": "synthetic"}
RUN = plan.make_run({"_target_": "tests.suite.toy.make", "name": "toy"}, SGD, 0, PROTOCOL)
DATA = toy.data()
PARAMETERS = 16 * 8 + 8 + 8 * 4


def test_memory_of_a_run():
    kept, working = capacity.bytes_per_run(RUN, toy.make(), DATA)
    assert kept >= 4 * (PARAMETERS + 1)  # parameters and the counter
    forward = 16 * (16 + 8 + 8 + 4)  # of 16 images: flat, hidden, its ReLU, logits
    assert working >= 4 * (PARAMETERS + 4 * forward)


def test_memory_bounds_a_group(monkeypatch):
    kept, working = capacity.bytes_per_run(RUN, toy.make(), DATA)
    room = 5 * (kept + working)
    monkeypatch.setattr(capacity, "memory_bytes", lambda: room / capacity.MEMORY_SHARE)
    assert capacity.group_size(RUN, toy.make(), DATA) == 5


def test_runs_that_take_turns_share_working_memory(monkeypatch):
    kept, working = capacity.bytes_per_run(RUN, toy.make(), DATA)
    room = len(jax.devices()) * working + 5 * kept
    monkeypatch.setattr(capacity, "memory_bytes", lambda: room / capacity.MEMORY_SHARE)
    monkeypatch.setattr(capacity.program, "takes_turns", lambda task: True)
    assert capacity.group_size(RUN, toy.make(), DATA) == 5


def test_a_group_is_never_empty_and_never_more_than_enough(monkeypatch):
    monkeypatch.setattr(capacity, "memory_bytes", lambda: 0)
    assert capacity.group_size(RUN, toy.make(), DATA) == 1
    monkeypatch.setattr(capacity, "memory_bytes", lambda: 10**12)
    enough = capacity.ENOUGH[jax.devices()[0].platform] * len(jax.devices())
    assert capacity.group_size(RUN, toy.make(), DATA) == enough


def test_programs_of_unrolled_convolutions_stay_small(monkeypatch):
    class Device:
        platform = "gpu"

    monkeypatch.setattr(capacity, "memory_bytes", lambda: 10**12)
    monkeypatch.setattr(capacity.jax, "devices", lambda: [Device()])
    assert capacity.group_size(RUN, toy.make(), DATA) == capacity.ENOUGH["gpu"]
    convolutional = toy.make()._replace(one_at_a_time=True)
    monkeypatch.setattr(capacity.program, "takes_turns", lambda task: False)
    assert capacity.group_size(RUN, convolutional, DATA) == capacity.ENOUGH_UNROLLED


def test_losses_that_do_not_fit_are_refused_with_both_numbers(monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr(capacity, "host_bytes", lambda: 2**30)
    run = SimpleNamespace(protocol={"steps": 10**9, "eval_every": 10**6})
    with pytest.raises(PlanError, match=r"would take 3\.7 GiB of this machine's 1\.0 GiB"):
        capacity.check_noted(run)
    capacity.check_noted(SimpleNamespace(protocol={"steps": 10**6, "eval_every": 10**3}))
