"""The noisy quadratic: curvature, start, noise, and the linear recursion of momentum SGD."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tasks.known.quadratic import assembled, quadratic
from tests.tasks.known_problems import loss_of

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def hessian(task, dimension):
    return np.asarray(jax.hessian(lambda x: loss_of(task, x, False))(jnp.zeros(dimension)))


@pytest.mark.parametrize("basis", ["random", "axes"])
@pytest.mark.parametrize("condition", [1.0, 30.0, 1e4])
def test_the_hessian_has_the_condition_asked_for(basis, condition):
    task = quadratic(dimension=7, condition=condition, basis=basis)
    logs = np.log(np.linalg.eigvalsh(hessian(task, 7)))
    np.testing.assert_allclose(logs, np.linspace(-np.log(condition), 0, 7), atol=1e-9)


def test_uniform_eigenvalues_are_equally_far_apart():
    found = np.linalg.eigvalsh(
        hessian(quadratic(dimension=5, condition=10.0, spacing="uniform"), 5)
    )
    np.testing.assert_allclose(found, np.linspace(0.1, 1, 5), rtol=1e-12)


def test_eigenvectors_are_the_axes_or_are_not():
    on_axes = hessian(quadratic(dimension=5, basis="axes"), 5)
    np.testing.assert_array_equal(on_axes, np.diag(np.diag(on_axes)))
    mixed = hessian(quadratic(dimension=5), 5)
    assert abs(mixed - np.diag(np.diag(mixed))).max() > 0.1


@pytest.mark.parametrize("condition", [1.0, 1e4])
def test_a_start_has_excess_one_and_a_gradient_of_about_one(condition):
    task = quadratic(condition=condition)
    starts = [task.init(jax.random.key(seed))[0] for seed in range(5)]
    for start in starts:
        assert float(loss_of(task, start, False)) == pytest.approx(1, rel=1e-12)
        slope = np.linalg.norm(jax.grad(lambda x: loss_of(task, x, False))(start))
        assert 0.85 < slope < 1.42
    assert np.linalg.norm(starts[0] - starts[1]) > 0.1


def noises(task, x, count):
    """Noise of the gradient at x, (count, d)."""
    train = task.data(None).train
    exact = jax.grad(lambda y: loss_of(task, y, False))(x)

    def one(key):
        return jax.grad(lambda y: loss_of(task, y, True, train(key, 0)))(x) - exact

    return np.asarray(jax.vmap(one)(jax.random.split(jax.random.key(3), count)))


def test_noise_has_the_covariance_asked_for():
    task = quadratic(dimension=4, condition=100.0, noise=0.6, curvature_noise=0.8)
    found = noises(task, jnp.ones(4), 40_000)
    curvature = hessian(task, 4)
    expected = 0.36 * np.eye(4) / 4 + 0.64 * curvature / np.trace(curvature)
    np.testing.assert_allclose(found.T @ found / len(found), expected, atol=0.01)
    assert (found**2).sum(axis=1).mean() == pytest.approx(1.0, rel=0.03)
    np.testing.assert_allclose(noises(task, jnp.zeros(4), 3), noises(task, jnp.ones(4), 3))


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_momentum_follows_its_closed_form(beta):
    """Along each eigenvector (x, m) is multiplied by one matrix per step, and noise adds to it."""
    d, steps, rate, noise = 5, 60, 0.3, 0.4
    task = quadratic(dimension=d, condition=50.0, noise=noise, basis="axes")
    keys = jax.random.split(jax.random.key(0), steps)
    batches = jax.vmap(task.data(None).train, (0, None))(keys, 0)
    start = task.init(jax.random.key(1))[0]

    optimizer = optax.sgd(rate, momentum=beta)

    def step(carry, batch):
        x, state = carry
        gradient = jax.grad(lambda y: loss_of(task, y, True, batch))(x)
        updates, state = optimizer.update(gradient, state, x)
        return (optax.apply_updates(x, updates), state), None

    (x, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), batches)

    for i, h in enumerate(50.0 ** -np.linspace(0, 1, d)):
        power = np.array([[1 - rate * h, -rate * beta], [h, beta]])
        shocks = noise / np.sqrt(d) * np.asarray(batches)[:, i]
        expected = np.linalg.matrix_power(power, steps) @ [float(start[i]), 0]
        for t, shock in enumerate(shocks):
            expected += np.linalg.matrix_power(power, steps - 1 - t) @ [-rate * shock, shock]
        assert float(x[i]) == pytest.approx(expected[0], rel=1e-9)


def test_numbers_may_be_traced():
    x = jnp.arange(4.0)

    def excess(condition, noise):
        return loss_of(assembled("q", 4, condition, "log", noise), x, False)

    found = jax.jit(jax.vmap(excess))(jnp.array([10.0, 1000.0]), jnp.array([0.0, 1.0]))
    for value, condition in zip(found, (10.0, 1000.0), strict=True):
        expected = loss_of(quadratic(dimension=4, condition=condition), x, False)
        assert float(value) == pytest.approx(float(expected), rel=1e-12)
