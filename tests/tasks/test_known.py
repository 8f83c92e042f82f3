"""Every problem with a known optimum: gradients, the optimum, the start, configs."""

from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree
from omegaconf import OmegaConf

from rllc.suite.engine.task_check import check_data, check_program, check_task
from rllc.suite.plan.configuration import Conf
from rllc.suite.plan.targets import resolve
from tasks.known.factorisation import factorisation
from tasks.known.imbalanced import class_sizes, imbalanced
from tasks.known.logistic import logistic
from tasks.known.rosenbrock import rosenbrock
from tasks.known.saddle import saddle
from tests.tasks.known_problems import KNOWN, batch_of, loss_of

CONF = Path(__file__).parents[2] / "conf"
CONFIGS = sorted((CONF / "task" / "known").glob("*.yaml"))
AT_START = ("quadratic", "quadratic on axes", "rosenbrock", "logistic", "imbalanced")
pytestmark = pytest.mark.slow
every = pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@every
@pytest.mark.parametrize("train", [True, False])
def test_gradients_are_those_of_finite_differences(known, train):
    task = known.make()
    flat, unravel = ravel_pytree(jax.tree.map(np.asarray, known.optimum()))
    at = np.asarray(flat) + 0.3 * np.random.default_rng(0).normal(size=flat.size)

    def value(x):
        return loss_of(task, unravel(x), train)

    found = np.asarray(jax.grad(value)(at))
    steps = 1e-5 * np.eye(at.size)
    expected = [float(value(at + e) - value(at - e)) / 2e-5 for e in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@every
def test_the_optimum_has_no_excess_and_no_gradient(known):
    task, optimum = known.make(), known.optimum()
    assert abs(float(loss_of(task, optimum, train=False))) < 2e-8  # M is rounded to float32
    gradient = jax.grad(lambda params: loss_of(task, params, train=False))(
        jax.tree.map(jax.numpy.asarray, optimum)
    )
    assert max(float(abs(leaf).max()) for leaf in jax.tree.leaves(gradient)) < 1e-7


@every
def test_nothing_near_the_optimum_is_lower(known):
    task = known.make()
    flat, unravel = ravel_pytree(jax.tree.map(np.asarray, known.optimum()))
    rng = np.random.default_rng(1)
    for size in (1e-2, 1e-1, 1.0):
        for _ in range(10):
            moved = unravel(flat + size * rng.normal(size=flat.size))
            assert float(loss_of(task, moved, train=False)) > -2e-8


@every
def test_the_evaluation_does_not_see_the_noise(known):
    task = known.make()
    start = task.init(jax.random.key(1))[0]
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), start)
    if callable(task.data(None).train):
        values = {float(loss_of(task, params, False, batch_of(task, seed))) for seed in range(5)}
        assert len(values) == 1
        noisy = {float(loss_of(task, params, True, batch_of(task, seed))) for seed in range(5)}
        assert len(noisy) == 5
    else:
        train = float(loss_of(task, params, True))
        optimum = float(loss_of(task, known.optimum(), True))
        assert float(loss_of(task, params, False)) == pytest.approx(train - optimum, abs=1e-9)


@pytest.mark.parametrize("name", AT_START)
def test_a_guess_is_the_excess_at_the_start(name):
    task = KNOWN[name].make()
    for seed in range(3):
        start = task.init(jax.random.key(seed))[0]
        assert float(loss_of(task, start, False)) == pytest.approx(task.metrics[0].guess, rel=1e-6)


def test_a_guess_is_the_excess_at_the_point_where_gradients_vanish():
    task = saddle(dimension=4, directions=2)
    assert float(loss_of(task, np.zeros(4), False)) == pytest.approx(task.metrics[0].guess)
    task = factorisation()
    zero = jax.tree.map(np.zeros_like, task.init(jax.random.key(0))[0])
    assert float(loss_of(task, zero, False)) == pytest.approx(task.metrics[0].guess, rel=1e-6)


def test_rosenbrock_in_two_dimensions_is_the_textbooks():
    task = rosenbrock()
    rng = np.random.default_rng(0)
    for x, y in rng.normal(size=(5, 2)):
        expected = 100 * (y - x**2) ** 2 + (1 - x) ** 2
        assert float(loss_of(task, np.array([x, y]), False)) == pytest.approx(expected)


def test_the_saddle_has_the_curvature_asked_for():
    task = saddle(dimension=5, directions=2, curvature=0.3)
    hessian = jax.hessian(lambda x: loss_of(task, x, False))(np.zeros(5))
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), [-0.3, -0.3, 1, 1, 1], atol=1e-12)


@pytest.mark.parametrize("condition", [10.0, 1e4])
def test_the_logistic_hessian_at_the_start_has_the_condition_asked_for(condition):
    task = logistic(dimension=5, examples=400, condition=condition)
    hessian = jax.hessian(lambda w: loss_of(task, {"w": w}, True))(np.zeros(5))
    values = np.linalg.eigvalsh(hessian)
    assert values[-1] == pytest.approx(0.25, rel=1e-5)
    assert values[-1] / values[0] == pytest.approx(condition, rel=1e-3)  # x is rounded to float32


@pytest.mark.parametrize("name", ["logistic", "imbalanced"])
def test_scipy_finds_the_same_optimum(name):
    task = KNOWN[name].make()
    flat, unravel = ravel_pytree(jax.tree.map(np.asarray, KNOWN[name].optimum()))
    value = jax.jit(jax.value_and_grad(lambda x: loss_of(task, unravel(x), False)))

    def as_numpy(x):
        return tuple(np.asarray(part) for part in value(x))

    found = scipy.optimize.minimize(
        as_numpy, np.zeros(flat.size), jac=True, method="BFGS", options={"gtol": 1e-9}
    )
    assert abs(found.fun) < 1e-9
    np.testing.assert_allclose(found.x, flat, rtol=1e-3, atol=1e-4)


def test_rare_classes_are_those_behind_half_of_the_examples():
    task = imbalanced(classes=4, dimension=3, examples=250)
    batch = task.data(None).train
    sizes = class_sizes(4, 250, 1.0)
    np.testing.assert_array_equal(np.bincount(batch["y"]), sizes)
    rare = {k for k in range(4) if batch["rare"][batch["y"] == k].all()}
    assert rare == {k for k in range(4) if sizes[:k].sum() >= 125} == {2, 3}
    params = task.init(jax.random.key(0))[0]
    _, (_, metrics) = task.loss(params, {}, batch, None, False)
    sums, counts = metrics["rare_loss"]
    assert float(sums.sum() / counts.sum()) == pytest.approx(np.log(4))


def test_configs_are_no_part_of_the_papers_tasks():
    assert not set(KNOWN) & set(Conf(CONF).names("task"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_makes_a_task_that_the_engine_takes(path):
    config = OmegaConf.to_container(OmegaConf.load(path))
    settings = {key: value for key, value in config.items() if key not in ("id", "_target_")}
    assert config["id"]
    with jax.enable_x64(False):
        task = resolve(config["_target_"])(**settings)
        check_task(task, path.stem)
        check_data(task.data(None), path.stem)
        check_program(task, task.data(None), 128, path.stem)
