"""What the exact pseudo-inverse drops: directions below the Gram matrix's own rounding, no more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rllc


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "kept", "dropped"), [("float64", 1e-12, 1e-15), ("float32", 1e-4, 1e-7)]
)
def test_only_rounding_is_dropped(dtype, kept, dropped):
    with jax.enable_x64(dtype == "float64"):
        projection = jnp.ones(2, dtype)
        for value, expected in ((kept, 1 / kept), (dropped, 0.0)):
            gram = jnp.diag(jnp.array([1.0, value], dtype))
            found = rllc.law.correction(gram, projection, epsilon=0)
            np.testing.assert_allclose(found, [1.0, expected], rtol=1e-5)


@pytest.mark.slow
def test_cutoff_drops_what_is_below_epsilon():
    gram = jnp.diag(jnp.array([1.0, 1e-2, 1e-4]))
    found = rllc.law.correction(gram, jnp.ones(3), 1e-3, "cutoff")
    np.testing.assert_allclose(found, [1.0, 100.0, 0.0], rtol=1e-5)
