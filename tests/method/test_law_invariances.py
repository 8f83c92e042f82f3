"""What the other updates of the law are invariant under, and what they are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rllc
from tests.method import trees
from tests.method.bases import changed_basis, random_basis

pytestmark = pytest.mark.slow


def run(tx, dtype="float32", seed=21):
    return trees.trajectory(tx, trees.random_gradients(60, seed, dtype), trees.zeros(dtype))


def in_basis(p, law, basis, options):
    """The trajectory with the memory M Q and the law Q⁻¹ L, in float64 with the exact M^+."""
    start = tuple(np.linalg.solve(basis, law))

    def rate(count):
        # Before M has full rank the correction is not the same in another basis (see
        # test_equivalences). An average of decay 0.5 has forgotten it after 30 steps.
        return jnp.where(count < 30, 0.0, 0.05)

    # No limits: the length of a correction is another one in another basis.
    options = {"max_law_step": None, "max_gradient_ratio": None, **options}
    tx = rllc.lm_rllc(changed_basis(p, basis), 0.02, rate, start, epsilon=0, **options)
    with jax.enable_x64(True):
        return run(tx, "float64")[0]


SWAP = np.array([[0.0, 1.0], [-1.0, 0.0]])  # another order of units, one of the other sign
SCALE = np.diag([2.0, 0.5])
TURN = np.array([[0.6, -0.8], [0.8, 0.6]])


@pytest.mark.parametrize(
    ("options", "basis", "invariant"),
    [
        ({"correction_decay": 0.5}, random_basis(2, 22), True),
        ({"law_update": "multiplicative"}, SWAP, True),
        ({"law_update": "multiplicative"}, SCALE, False),
        ({"law_update": "multiplicative"}, TURN, False),
    ],
    ids=["averaged, any", "signed order", "scales", "rotation"],
)
def test_which_changes_of_basis_leave_the_trajectory(options, basis, invariant):
    p, law = rllc.parse("M(0.9)+M(0.0)"), np.array([1.0, 0.5])
    ours = in_basis(p, law, np.eye(2), options)
    theirs = in_basis(p, law, basis, options)
    error = trees.relative_error(theirs, ours)
    assert error < 1e-8 if invariant else error > 1e-4


def test_gradients_scale_and_the_size_of_a_multiplicative_law_do_not_matter():
    options = {"law_update": "multiplicative", "correction_decay": 0.7}
    ours, laws, _ = run(rllc.lm_rllc("M(0.9)+M(0.0)", 0.02, 0.03, (1, 0.5), **options))
    gradients = trees.random_gradients(60, 21, "float32")
    scaled = jax.tree.map(lambda g: g * 2.0**-20, gradients)
    tx = rllc.lm_rllc("M(0.9)+M(0.0)", 0.02, 0.03, (1, 0.5), **options)
    theirs, same, _ = trees.trajectory(tx, scaled, trees.zeros("float32"))
    np.testing.assert_array_equal(same, laws)
    np.testing.assert_array_equal(theirs, ours * 2.0**-20)
    # Four times the law is four times the learning rate, to the last bit.
    larger, larger_law, _ = run(rllc.lm_rllc("M(0.9)+M(0.0)", 0.005, 0.03, (4, 2), **options))
    np.testing.assert_array_equal(larger_law, 4 * laws)
    np.testing.assert_allclose(larger, ours, rtol=1e-5, atol=1e-7)
