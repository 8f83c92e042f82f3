"""A family of problems in one program ends where the Trainer ends on each of them."""

from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from rllc.suite.engine import evaluation, family, optimizers
from rllc.suite.engine.training import Trainer
from rllc.suite.plan import configuration
from rllc.suite.plan.plan import group_runs
from tasks.known.quadratic import assembled, quadratic

CONF = Path(__file__).parents[3] / "conf"
DIMENSION, STEPS = 8, 40
CONDITIONS, NOISES = (10.0, 1000.0), (0.1, 1.0)
RATES, SEEDS = (0.01, 0.1, 1e9), (3, 5)


def planned(name, condition, noise, rate, seed):
    words = [
        "task=known/quadratic", f"task.dimension={DIMENSION}", f"task.condition={condition}",
        f"task.noise={noise}", f"optimizer={name}", f"optimizer.learning_rate={rate}",
        f"protocol.steps={STEPS}", "protocol.eval_every=20", f"seed={seed}",
    ]  # fmt: skip
    return configuration.run_of(configuration.compose(CONF, words), {})


def by_trainer(name, condition, noise):
    """Final excess (s, r), where it diverged, and the last law (s, r, k) of one cell, if any."""
    runs = [planned(name, condition, noise, rate, seed) for rate in RATES for seed in SEEDS]
    (group,) = group_runs(runs)
    task = quadratic(dimension=DIMENSION, condition=condition, noise=noise)
    trainer = Trainer(group, task, task.data(None))
    while trainer.done < STEPS:
        trainer.advance(20)
    found = trainer.program.evaluate(trainer.carry, *trainer.held_out["validation"])
    sums, counts = (trainer.notes.unpadded(part) for part in found["excess"])
    observe = partial(optimizers.observe, group[0].optimizer)
    probes = jax.vmap(jax.vmap(observe))(trainer.carry[2])
    law = trainer.notes.unpadded(probes["law"]) if probes else None
    return evaluation.mean(sums, counts), trainer.diverged_at > 0, law


@pytest.mark.slow
@pytest.mark.parametrize("name", ["momentum", "m_0.9_m_0.0"])
def test_cells_end_where_the_trainer_ends(name):
    made = partial(assembled, "q", DIMENSION, spacing="log")
    cells = {"condition": np.array(CONDITIONS), "noise": np.array(NOISES)}
    run = planned(name, 10.0, 0.1, 0.1, 3)
    traced = {**run.traced, "learning_rate": np.array(RATES)}
    shape = (len(CONDITIONS), len(RATES))
    hyper = {
        key: np.broadcast_to(np.asarray(value, float), (*shape, *np.shape(value)))
        if key != "learning_rate"
        else np.broadcast_to(value, shape)
        for key, value in traced.items()
    }
    told = []
    ended = family.train(
        made, cells, run.optimizer, hyper, SEEDS, STEPS, chunk=16, progress=told.append
    )
    assert told == [16, 16, 8]
    for c, (condition, noise) in enumerate(zip(CONDITIONS, NOISES, strict=True)):
        excess, diverged, law = by_trainer(name, condition, noise)
        np.testing.assert_array_equal(ended.diverged[c], diverged)
        there = ~diverged
        assert there.sum() == 4
        np.testing.assert_allclose(ended.metric[c][there], excess[there], rtol=1e-4)
        assert (law is None) == (not ended.probes)
        if law is not None:
            np.testing.assert_allclose(ended.probes["law"][c][there], law[there], rtol=1e-4)


def test_arrays_that_disagree_in_their_cells_are_refused():
    made = partial(assembled, "q", DIMENSION, spacing="log")
    cells = {"condition": np.ones(2), "noise": np.zeros(2)}
    with pytest.raises(ValueError, match="first axes must all be the cells"):
        family.train(made, cells, {}, {"learning_rate": np.ones((3, 1))}, [0], 1)
