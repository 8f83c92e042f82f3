"""Levers of a step's speed: the same training, and lines for what cannot be measured."""

import jax
import numpy as np
import pytest

import tasks
from rllc.suite.engine import optimizers
from rllc.suite.speed import engine, levers

pytestmark = pytest.mark.slow
OPTIMIZER = "M(0.9)+M(0.0)"
STEPS = 6


def losses(name):
    """Of two runs on made-up images."""
    runs = levers.lever_runs("mnist_mlp", OPTIMIZER, 2, levers.LEVERS[name])
    group = engine.trainer(runs, tasks.synthetic("mnist", size=512))
    group.advance(STEPS)
    return np.asarray(group.notes.losses[:STEPS]).reshape(STEPS, 2)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("one vector", 1e-5), ("bfloat16", 0.03), ("all", 0.03)]
)
def test_a_lever_trains_the_same(name, tolerance):
    base, found = losses(levers.NONE), losses(name)
    assert base.shape == found.shape == (STEPS, 2)
    np.testing.assert_allclose(found, base, rtol=tolerance)
    assert (found[-1] != found[0]).all()


def test_one_vector_is_one_array_of_memory():
    (run,) = levers.lever_runs("mnist_mlp", OPTIMIZER, 1, levers.LEVERS["one vector"])
    params = {"w": np.ones((3, 2), np.float32), "b": np.ones(2, np.float32)}
    state = optimizers.build(run.optimizer, run.traced).init(params)
    shapes = [leaf.shape for leaf in jax.tree.leaves(state) if leaf.size > 2]
    assert shapes == [(8,), (8,)]  # a unit each


@pytest.mark.minutes
def test_every_lever_starts_in_a_process_of_its_own_and_unknown_flags_are_told(monkeypatch):
    rows, notes = levers.measure("mnist_mlp", OPTIMIZER, 1, 1, 0.01)
    assert [row["lever"] for row in rows] == list(levers.LEVERS)
    assert not notes
    assert rows[0]["over_none"] == 1
    broken = {levers.NONE: levers.Lever(flags=("--xla_no_such_flag=1",))}
    monkeypatch.setattr(levers, "LEVERS", broken)
    rows, notes = levers.measure("mnist_mlp", OPTIMIZER, 1, 1, 0.01)
    assert not rows
    assert "xla_no_such_flag" in notes[0]
