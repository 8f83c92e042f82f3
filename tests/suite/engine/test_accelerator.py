"""What an accelerator would run (plain convolutions, batched runs), checked without one."""

import json
import os

import jax
import numpy as np
import pytest
from jax import export

import tasks
from rllc.suite.engine import evaluation, program
from rllc.suite.engine.layout import Layout
from rllc.suite.execute import execution, submission, worker
from rllc.suite.speed import batching

pytestmark = pytest.mark.slow

OPTIMIZER = json.dumps(
    {
        "_target_": "rllc.lm_rllc", "propagator": "M(0.9)+M(0.0)",
        "probes": {"law": "rllc.get_law"},
    }
)  # fmt: skip
HYPER = {
    "learning_rate": np.array([[0.03, 0.1]], np.float32),
    "law_learning_rate": np.full((1, 2), 0.01, np.float32),
    "initial_law": np.ones((1, 2, 2), np.float32),
}
LAYOUT = Layout(seeds=1, points=2, axis=0, run=1)
SEEDS = np.zeros(1, np.int32)
STEPS, BATCH = 2, 8


@pytest.fixture(params=["mnist_mlp", "mnist_conv", "cifar10_resnet20"])
def task(request):
    return tasks.make(request.param)


def built(task, over=None):
    """The program of two runs, made anew: how it is made depends on the machine."""
    return program.build.__wrapped__(task, None, OPTIMIZER, LAYOUT, STEPS, (("law", 2),), over)


def arguments(task, made):
    """Arguments of `Program.train` for all `STEPS`."""
    data = task.synthetic()
    indices = np.arange(STEPS * BATCH, dtype=np.int32).reshape(STEPS, 1, BATCH)
    carry = made.init(SEEDS, HYPER)
    examples = {key: array[: STEPS * BATCH] for key, array in data.train.items()}
    return carry, made.log(), HYPER, SEEDS, examples, indices, 0, 0, STEPS


def trained(task):
    made = built(task)
    (params, _, _), log = made.train(*arguments(task, made))
    return jax.tree.map(np.asarray, (params, log))


def test_the_way_of_an_accelerator_gives_the_same_steps(task, monkeypatch):
    """Sums are ordered differently: two steps apart by float32 rounding only."""
    here = trained(task)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not program.takes_turns(task)
    there = trained(task)
    for ours, theirs in zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_training_and_evaluation_lower_for_accelerators(task, platform, monkeypatch):
    """No accelerator is needed to lower a program for one; what it cannot do shows here."""
    backend = {"cuda": "gpu", "tpu": "tpu"}[platform]
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    made = built(task)
    given = arguments(task, made)
    lowered = export.export(made.train, platforms=[platform])(*given)
    assert lowered.platforms == (platform,)
    batches = evaluation.held_out(task.synthetic(), "test")
    text = export.export(made.evaluate, platforms=[platform])(given[0], *batches)
    layers = sum(leaf.ndim == 2 + 4 for leaf in jax.tree.leaves(given[0][0]))  # (s, r, 3, 3, i, o)
    assert text.mlir_module().count("stablehlo.convolution") == 2 * layers  # plain, run by run


@pytest.mark.parametrize(
    ("way", "convolutions"), [(batching.GROUPED, 3), (batching.UNROLLED, 6), (batching.TURNS, 3)]
)
def test_ways_of_batching_two_runs_of_three_convolutions(way, convolutions, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    task = batching.variant(way, tasks.make("mnist_conv"))
    made = built(task, program.in_turn if way == batching.TURNS else None)
    batches = evaluation.held_out(task.synthetic(), "test")
    carry = made.init(SEEDS, HYPER)
    text = export.export(made.evaluate, platforms=["cuda"])(carry, *batches)
    module = text.mlir_module()
    assert module.count("stablehlo.convolution") == convolutions
    assert ("feature_group_count = 2" in module) == (way == batching.GROUPED)


@pytest.mark.parametrize("visible", [None, "2,3"])
def test_local_processes_see_our_gpus(visible, tmp_path, monkeypatch):
    """submitit's local executor shows its processes none unless it is told a number."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    class Looking(worker.Work):
        """In a process of its own, which knows no patches of ours."""

        def __call__(self, group, options):
            def seen(group, options):
                visible = os.environ.get("CUDA_VISIBLE_DEVICES")
                return execution.Outcome(group, error=KeyError(visible))

            execution.execute_group = seen
            return super().__call__(group, options)

    monkeypatch.setattr(submission, "Work", Looking)
    options = execution.Options(tmp_path / "records")
    (found,) = submission.submit([[]], options, "local", {"folder": tmp_path / "logs"})
    assert found.error.args == (visible,)
