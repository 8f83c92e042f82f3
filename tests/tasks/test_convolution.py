"""The hand-written convolution equals XLA's, forward and gradient, however it is transformed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tasks.convolution import by_hand, convolution, in_turn, patches, plain

pytestmark = pytest.mark.slow

# (b, h, w, c, o, stride): the layers of Conv and ResNet-20 with fewer images, and odd sizes.
SHAPES = [
    (4, 28, 28, 1, 32, 2),
    (4, 16, 16, 32, 64, 1),
    (4, 32, 32, 3, 16, 1),
    (4, 32, 32, 16, 16, 1),
    (4, 5, 6, 3, 16, 1),
    (4, 16, 16, 32, 64, 2),
    (32, 8, 8, 64, 64, 1),
    (34, 5, 7, 32, 33, 1),
    (3, 7, 5, 2, 3, 1),
    (3, 7, 5, 2, 3, 2),
    (3, 7, 6, 2, 5, 2),
]


def arrays(shape, runs=()):
    b, h, w, c, o, stride = shape
    generator = np.random.default_rng(0)

    def normal(*size):
        return jnp.asarray(generator.normal(size=size).astype(np.float32))

    out = (-(-h // stride), -(-w // stride))
    return normal(*runs, b, h, w, c), normal(*runs, 3, 3, c, o), normal(*runs, b, *out, o)


def all_three(function, stride):
    """(x, w, dy) -> (y, dx, dw)."""

    def apply(x, w, dy):
        y, pull_back = jax.vjp(lambda x, w: function(x, w, stride), x, w)
        return (y, *pull_back(dy))

    return apply


def assert_close(got, expected):
    """Both sum thousands of float32 products in different orders: some 1e-6 of the largest."""
    for a, b in zip(got, expected, strict=True):
        scale = np.abs(np.asarray(b)).max()
        np.testing.assert_allclose(np.asarray(a) / scale, np.asarray(b) / scale, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_gradients_equal_the_plain_convolution(shape):
    got = jax.jit(all_three(by_hand, shape[-1]))(*arrays(shape))
    assert_close(got, jax.jit(all_three(plain, shape[-1]))(*arrays(shape)))


@pytest.mark.parametrize("shape", [(4, 8, 8, 4, 8, 1), (4, 8, 8, 4, 8, 2)])
@pytest.mark.parametrize("axes", [(0, 0, 0), (None, 0, 0), (0, None, 0), (0, 0, None)])
def test_under_vmap(shape, axes):
    stacked, single = arrays(shape, (3,)), arrays(shape)
    args = [s if axis is None else v for s, v, axis in zip(single, stacked, axes, strict=True)]
    got = jax.jit(jax.vmap(all_three(by_hand, shape[-1]), axes))(*args)
    assert_close(got, jax.jit(jax.vmap(all_three(plain, shape[-1]), axes))(*args))


@pytest.mark.parametrize("stride", [1, 2])
def test_as_the_engine_calls_it(stride):
    """scan over steps, vmap over seeds (images and weights), then over runs (weights)."""
    shape = (4, 8, 8, 4, 4, stride)
    images, _, _ = arrays(shape, (2, 3))  # steps, seeds
    _, weights, _ = arrays(shape, (3, 2))  # seeds, runs

    def train(function):
        def step(weights, x):
            def loss(w, x):
                return jnp.mean(jnp.tanh(function(x, w, stride)) ** 2)

            over_runs = jax.vmap(jax.value_and_grad(loss), (0, None))
            value, gradient = jax.vmap(over_runs)(weights, x)
            return weights - 0.5 * gradient, value

        return jax.jit(partial(jax.lax.scan, step))(weights, images)

    assert_close(train(by_hand), train(plain))


def test_patches_are_neighbourhoods():
    x = jnp.arange(2 * 4 * 4.0).reshape(2, 4, 4, 1) + 1
    assert patches(x, 1).shape == (2, 4, 4, 9)
    np.testing.assert_array_equal(patches(x, 1)[0, 1, 2], [2, 3, 4, 6, 7, 8, 10, 11, 12])
    # Stride 2 pads only behind, as TensorFlow's 'SAME' does for even sizes.
    np.testing.assert_array_equal(patches(x, 2)[0, 1, 1], [11, 12, 0, 15, 16, 0, 0, 0, 0])


def test_in_turn_keeps_unmapped_arguments_whole():
    shapes = []

    def add(x, y):
        shapes.append((x.shape, y.shape))
        return x + y

    out = jax.vmap(jax.vmap(in_turn(add), (0, None)), (0, 0))(jnp.ones((2, 3, 4)), jnp.ones((2, 4)))
    assert out.shape == (2, 3, 4)
    assert set(shapes) == {((4,), (4,))}


def test_the_backend_decides():
    x, w, _ = arrays((2, 8, 8, 2, 2, 1))
    jaxpr = str(jax.make_jaxpr(convolution)(x, w))
    assert ("custom_vjp" in jaxpr) == (jax.default_backend() == "cpu")


def test_half_width_gradients_are_summed_in_float32():
    x, w, dy = arrays((32, 8, 8, 8, 8, 1))
    half = [v.astype(jnp.bfloat16) for v in (x, w, dy)]
    got = all_three(by_hand, 1)(*half)
    assert all(v.dtype == jnp.bfloat16 for v in got)
    exact = all_three(plain, 1)(*[v.astype(jnp.float32) for v in half])
    scale = np.abs(np.asarray(exact[2])).max()
    # Products of bfloat16 are exact in float32; one rounding to 8 bits is left.
    np.testing.assert_allclose(got[2].astype(jnp.float32) / scale, exact[2] / scale, atol=2**-8)
