"""Derivatives through updates: meta-gradients are those of finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from rllc.reduction import inner_products
from tests.method.contract import OPTIMIZERS

CURVATURE = jnp.linspace(0.5, 2.0, 128)


def final_loss(rate, make):
    """The loss after three steps, which pass the products of every kind of memory."""
    tx, params = make(rate), jnp.cos(jnp.arange(128.0))
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(CURVATURE * params, state, params)
        params = optax.apply_updates(params, updates)
    return jnp.sum(CURVATURE * params**2) / 2


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("jit", [True, False], ids=["jit", "eager"])
def test_the_derivative_with_respect_to_the_rate(name, jit):
    def loss(rate):
        return final_loss(rate, OPTIMIZERS[name])

    with jax.enable_x64(True):
        derivative = (jax.jit if jit else lambda f: f)(jax.grad(loss))(0.05)
        forward = jax.jvp(loss, (0.05,), (1.0,))[1]
        difference = (loss(0.05 + 1e-5) - loss(0.05 - 1e-5)) / 2e-5
    np.testing.assert_allclose(derivative, difference, rtol=1e-3)
    np.testing.assert_allclose(forward, derivative, rtol=1e-5)


@pytest.mark.slow
def test_the_derivative_with_respect_to_the_law_rate_and_the_start():
    def loss(law_rate, first):
        return final_loss(0.05, lambda rate: rllc.lm_rllc("M2(0.6)", rate, law_rate, (first, 1.0)))

    with jax.enable_x64(True):
        found = jax.grad(loss, argnums=(0, 1))(0.3, 0.8)
        for i, derivative in enumerate(found):
            step = np.eye(2)[i] * 1e-5
            difference = (
                loss(0.3 + step[0], 0.8 + step[1]) - loss(0.3 - step[0], 0.8 - step[1])
            ) / 2e-5
            np.testing.assert_allclose(derivative, difference, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1e-4, 10.0], ids=["limited", "free"])
def test_the_derivative_with_respect_to_the_law_rate_of_wrap(limit):
    def loss(law_rate):
        inner = optax.sgd(0.05)
        return final_loss(1.0, lambda rate: rllc.wrap(inner, rate, law_rate, max_law_step=limit))

    with jax.enable_x64(True):
        derivative = float(jax.grad(loss)(0.01))  # a first correction of 0 must have one
        difference = (loss(0.01 + 1e-6) - loss(0.01 - 1e-6)) / 2e-6
    np.testing.assert_allclose(derivative, difference, rtol=1e-3, atol=1e-9)
    assert (abs(derivative) > 1e-3) == (limit == 10.0)


@pytest.mark.parametrize("shape", [(), (3,), (4, 128), (0, 128)], ids=str)
def test_products_have_first_and_second_derivatives(shape):
    a, b = (np.random.default_rng(i).normal(size=shape).astype(np.float32) for i in range(2))

    def product(a, b):
        return inner_products([(a, b), (b, b)], jnp.float32)[0]

    np.testing.assert_allclose(jax.grad(product)(a, b), b, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(product, argnums=1)(a, b), a, rtol=1e-6)
    tangent = jax.jvp(lambda a: jax.grad(product, argnums=1)(a, b), (a,), (np.ones_like(a),))[1]
    np.testing.assert_allclose(tangent, np.ones_like(a), rtol=1e-6)
    runs = np.stack([a, 2 * a])
    np.testing.assert_allclose(jax.vmap(jax.grad(product), (0, None))(runs, b), [b, b], rtol=1e-6)
