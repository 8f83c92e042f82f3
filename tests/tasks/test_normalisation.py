"""Batch norm's hand-written gradient against automatic differentiation of its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tasks.normalisation import normalise, relu


def definition(x, scale, bias, epsilon):
    mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    return (x - mean) / jnp.sqrt(var + epsilon) * scale + bias, mean, var


def arrays():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(16, 5, 4, 3)) * [1, 2, 3] + [1, -1, 0]
    g = generator.normal(size=x.shape)
    return [jnp.asarray(v, jnp.float32) for v in (x, [0.5, 1.5, -1], [1, 2, 3], g)]


@pytest.mark.slow
def test_batch_norm_and_its_gradient():
    x, scale, bias, g = arrays()

    def pulled(function):
        out, pull_back = jax.vjp(lambda *args: function(*args, 1e-2)[0], x, scale, bias)
        return out, function(x, scale, bias, 1e-2)[1:], pull_back(g)

    for got, expected in zip(
        jax.tree.leaves(pulled(normalise)), jax.tree.leaves(pulled(definition)), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)  # sums of 320 float32


def test_relu_has_no_slope_at_zero():
    slopes = jax.vmap(jax.grad(relu))(jnp.array([-1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(slopes, [0, 0, 1])
    np.testing.assert_array_equal(relu(jnp.array([-1.0, 2.0])), [0, 2])
