"""The four ways to judge ResNet-20, against the plain task called by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from tasks.evaluation_modes import BLOCK, MODES, judged

NAME = "cifar10_resnet20"


@pytest.fixture(scope="module")
def found():
    """Metrics of 2 blocks of noise in all modes, and the pieces they are made of."""
    plain, task = tasks.make(NAME), judged(f"{NAME}_modes")
    params, state = plain.init(jax.random.key(0))
    x = jax.random.randint(jax.random.key(1), (2 * BLOCK, 32, 32, 3), 0, 256).astype(jnp.uint8)
    raw = {"x": x, "y": jnp.arange(2 * BLOCK) % 10}
    batch, key = plain.prepare(raw, None), jax.random.key(2)
    _, (after, metrics) = task.loss(params, state, batch, key, False)
    return plain, task, params, state, raw, batch, key, after, metrics


@pytest.mark.slow
def test_every_mode_is_the_plain_loss_of_its_images_and_statistics(found):
    plain, task, params, state, raw, batch, key, after, metrics = found
    augmented = plain.prepare(raw, key)

    def by_hand(images, train):
        blocks = [jax.tree.map(lambda a, i=i: a[i : i + BLOCK], images) for i in (0, BLOCK)]
        each = [plain.loss(params, state, b, key, train)[1][1]["loss"] for b in blocks]
        return np.concatenate(each)

    for mode, (images, train) in zip(
        MODES, ((batch, False), (batch, True), (augmented, False), (augmented, True)), strict=True
    ):
        np.testing.assert_allclose(metrics["loss" + mode], by_hand(images, train), rtol=2e-4)
    assert [m.name for m in task.metrics] == list(metrics)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), state, after))


@pytest.mark.slow
def test_the_modes_differ_and_training_is_that_of_the_plain_task(found):
    plain, task, params, state, _, batch, key, _, metrics = found
    means = {mode: float(metrics["loss" + mode].mean()) for mode in MODES}
    assert len({round(mean, 3) for mean in means.values()}) == 4
    ours, theirs = (t.loss(params, state, batch, key, True)[0] for t in (task, plain))
    assert float(ours) == float(theirs)


def test_a_name_without_the_suffix_is_refused():
    with pytest.raises(ValueError, match="must end with _modes"):
        judged(NAME)
