"""Normal forms where rounding makes structure hard to see: repeated and unreached eigenvalues."""

import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rllc
from tests.method import trees
from tests.method.bases import changed_basis, random_basis, run_script


def blocks(text):
    """Blocks of a printed propagator, sorted, their numbers to ten digits.

    Where much is left out, more of an eigenvalue may be rounding than its printing takes for that.
    """
    short = re.sub(r"\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.10g}", text)
    return sorted(short.replace("+M", " M").replace("+CM", " CM").split())


@pytest.mark.parametrize(
    "name", ["M2(-0.9)", "M2(0.0)+M2(0.9)", "M3(0.5)+M(0.0)", "CM3(0.3+0.2i)", "M(0.0)+M2(1.0)"]
)
@pytest.mark.filterwarnings("ignore::rllc.NonDecayingMemoryWarning")
def test_rounding_never_turns_a_repeated_eigenvalue_into_others(name):
    """A matrix of M2 has eigenvalues 1e-8 apart in float64, often conjugate ones: as CM they would
    reproduce the rules just as well, with a law 1e8 times as large."""
    p = rllc.parse(name)
    for seed in range(40):
        form = rllc.normal_form(changed_basis(p, random_basis(p.num_units, seed)))
        assert blocks(str(form.propagator)) == blocks(name), seed
        assert np.linalg.cond(form.law_map) < 100


def test_close_eigenvalues_stay_apart_where_their_units_differ():
    """Of the same distance as the rounding above, but no repeated eigenvalue fits as well."""
    for parts in ((0.5, 0.5 + 1e-7), (0.9, -0.4, -0.4 + 1e-7)):
        p = rllc.union(*map(rllc.momentum, parts))
        for seed in range(10):
            form = rllc.normal_form(changed_basis(p, random_basis(len(parts), seed)))
            found = np.diag(form.propagator.transition)
            np.testing.assert_allclose(sorted(found), sorted(parts), rtol=0, atol=1e-8)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rllc.NonDecayingMemoryWarning")
@pytest.mark.parametrize("name", ["M2(0.9)+M2(0.5)", "M3(1.0)+M3(0.99)"])
def test_units_no_gradient_reaches_are_left_out_or_refused(name):
    """Close repeated eigenvalues hide the reachable space itself: then refused, not wrong."""
    reached, refused = rllc.parse(name), 0
    k = reached.num_units
    for seed in range(60):
        unreached = np.random.default_rng(seed).normal(size=(2, 2)) / 2
        wide = rllc.Propagator(
            np.block([[reached.transition, np.zeros((k, 2))], [np.zeros((2, k)), unreached]]),
            np.concatenate([reached.injection, [0, 0]]),
        )
        try:
            form = rllc.normal_form(changed_basis(wide, random_basis(k + 2, seed)))
        except ValueError as error:
            assert "too close to decide" in str(error)  # noqa: PT017
            refused += 1
        else:
            assert blocks(str(form.propagator)) == blocks(name), seed
            assert np.linalg.matrix_rank(form.law_map) == k
    assert refused == 0 or name != "M2(0.9)+M2(0.5)"


def test_a_decaying_memory_is_not_warned_of_for_candidates_that_do_not_decay():
    p = rllc.parse("M2(0.99999999)")  # as an array 0.99999999 ± 1e-8
    for seed in range(20):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rllc.NonDecayingMemoryWarning)
            changed = changed_basis(p, random_basis(2, seed))
        form = rllc.normal_form(changed)  # warnings are errors
        assert form.propagator.num_units == 2


def test_the_distance_is_that_of_the_reachable_pair():
    """Two equal units that no gradient reaches have distance 0, and are not what is in doubt."""
    close = rllc.momentum(0.5) + rllc.momentum(0.5 + 1e-10)
    p = rllc.Propagator(
        np.block([[close.transition, np.zeros((2, 2))], [np.zeros((2, 2)), 0.7 * np.eye(2)]]),
        [1, 1, 0, 0],
    )
    with pytest.raises(ValueError, match=r"0\.5000000001\S* .* 1e-10 apart: too close"):
        rllc.normal_form(changed_basis(p, random_basis(4, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["M(0.9)+M2(0.9)+M(0.5)", "CM2(0.3+0.4i)", "M3(0.0)"])
def test_the_optimizer_follows_its_form_for_repeated_and_redundant_units(name):
    k = rllc.parse(name).num_units
    p = changed_basis(rllc.parse(name), random_basis(k, 3))
    form, law = rllc.normal_form(p), np.linspace(1.0, -0.5, k)
    waiting = lambda t: jnp.where(t < k, 0.0, 0.02)  # noqa: E731
    with jax.enable_x64(True):
        gradients, params = trees.random_gradients(60, 4, "float64"), trees.zeros("float64")
        paths = [
            trees.trajectory(
                rllc.lm_rllc(q, 0.05, waiting, tuple(start), epsilon=0), gradients, params
            )[0]
            for q, start in ((p, law), (form.propagator, form.law_map @ law))
        ]
    # cond G reaches 1e5 for these, of which c₂ = 0.02 arrives 60 times.
    assert trees.relative_error(paths[1], paths[0]) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("[[1,2],[3]]",), "error: '[[1, 2], [3]]' is empty, or its rows differ in length"),
        (("[]",), "error: '[]' is empty"),
        (("[[0.5]]/0",), "error: transition and injection must be finite"),
        (("M(0.9)", "[2]"), "error: 'M(0.9)' has an injection of its own"),
        (("M(0.9)", "--plot", "nowhere/form.png"), "error: cannot draw into nowhere/form.png"),
        (("M(0.9)", "--length", "0"), "usage: "),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_script_ends_bad_input_with_one_message(arguments, message):
    result = run_script(*arguments)
    assert result.returncode != 0
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_script_warns_once_and_without_code():
    result = run_script("[[1,0],[0,1]]")
    assert result.stderr.splitlines()[0].startswith("warning: memory does not decay")
    assert len(result.stderr.splitlines()) == 1
    assert "normal form: M(1.0)" in result.stdout
