"""Notation: round trips, printed signs, spacing, and what cannot be meant."""

import time
import warnings

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rllc

numbers = st.floats(-0.7, 0.7)
real_blocks = st.builds(rllc.jordan, numbers, st.integers(1, 3))
complex_blocks = st.builds(
    lambda real, imag, size: rllc.complex_jordan(complex(real, imag), size),
    numbers,
    numbers.filter(bool),
    st.integers(1, 3),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.one_of(real_blocks, complex_blocks), min_size=1, max_size=4))
def test_what_is_printed_is_read_back_however_it_is_spaced_and_signed(blocks):
    p = rllc.union(*blocks)
    text = str(p)
    assert rllc.parse(text) == p
    for start in ("M", "CM"):
        text = text.replace(f"+{start}", f" ⊕\n{start}")
    spaced = text.replace("(", " ( ").replace(")", " )")
    assert rllc.parse(spaced) == p
    assert rllc.parse(spaced.replace("-", "−")) == p


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("M(0.9)⊕M(−0.9)⊕CM(0.9i)", "M(0.9)+M(-0.9)+CM(0.9i)"),
        ("M₂(0.6)", "M2(0.6)"),
        ("M₁₀(6e−1)", "M10(0.6)"),
        ("CM₂(−.3 − 2E-1j)", "CM2(-0.3-0.2i)"),
        ("CM(+0.5i)", "CM(0.5i)"),
        ("CM(0.5-5e-1i)", "CM(0.5-0.5i)"),
    ],
)
def test_the_tables_signs_and_scientific_numbers_are_read(text, label):
    assert str(rllc.parse(text)) == label


def test_zeros_of_either_sign_are_the_same_table():
    minus, plus = (rllc.Propagator([[0.5, zero], [zero, zero]], [1, 1]) for zero in (-0.0, 0.0))
    assert minus == plus
    assert hash(minus) == hash(plus)
    assert str(minus) == "M(0.5)+M(0.0)"


def test_unions_and_normal_forms_take_notation():
    assert rllc.union("M(0.9)", rllc.momentum(0.8)) == rllc.parse("M(0.9)+M(0.8)")
    assert rllc.normal_form("M₂(−0.6) ⊕ M(−0.6)").propagator == rllc.jordan(-0.6, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rllc.parse("M(0.9)⊕M₂(−0.6"), "position 10: found '−'"),
        (lambda: rllc.parse("M(0.5)+M(1e400)"), "position 7: beta is inf; it must be finite"),
        (lambda: rllc.complex_momentum(complex("nanj")), "gamma is nanj; it must be finite"),
        (lambda: rllc.Propagator(0.9, [1]), r"transition has shape \(\)"),
        (lambda: rllc.Propagator([[0.9]], 1), r"injection \(\)"),
        (lambda: rllc.union([rllc.momentum(0.9)]), "give a Propagator or a text"),
        (rllc.sign_momentum, "no betas"),
        (rllc.last_steps, "no optimizers"),
        (lambda: rllc.lm_rllc("M(0.9)", 0.1, law_groups="leaves").init(jnp.ones(2)), "'leaf'"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
def test_rows_of_the_law_are_in_the_order_of_their_labels():
    """Labels that come in another order along the tree than sorted."""
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    labels = {"a": "later", "b": "earlier"}
    tx = rllc.lm_rllc("M(0.9)", 0.1, 0.5, law_groups=labels)
    state, gradients = tx.init(params), {"a": jnp.ones(2), "b": -jnp.ones(2)}
    for sign in (1.0, -1.0):  # a's second gradient turns round, b's repeats itself
        gradients = {"a": sign * jnp.ones(2), "b": -jnp.ones(2)}
        updates, state = tx.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    assert rllc.law_labels(labels, params) == ("earlier", "later")
    np.testing.assert_allclose(rllc.get_law(state), [[1.5], [0.5]], rtol=1e-5)


def test_memory_on_the_unit_circle_is_warned_of():
    for name in ("M(1.0)", "M(-1.0)", "CM(i)"):
        with pytest.warns(rllc.NonDecayingMemoryWarning):
            rllc.parse(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rllc.parse("M(0.9999)")


@pytest.mark.parametrize(
    "text",
    [
        "M(" + " " * 50_000,
        "M(0.9" + " " * 50_000 + "x",
        "CM(" + "1" * 50_000,
        "CM(0.1 +" + " " * 50_000 + "+",
        "M" + "9" * 50_000 + "(0.5)",
        "M(" + "1." * 50_000 + ")",
    ],
    ids=lambda text: text[:4],
)
def test_long_nonsense_is_refused_quickly_and_briefly(text):
    started = time.perf_counter()
    with pytest.raises(ValueError, match="cannot read propagator") as caught:
        rllc.parse(text)
    assert time.perf_counter() - started < 2  # milliseconds; with backtracking, hours
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", ["M65(0.5)", "CM33(0.5i)", "+".join(["M(0.5)"] * 65)])
def test_more_memory_than_notation_should_ask_for_is_refused(text):
    with pytest.raises(ValueError, match=r"6[56] memory units.*up to 64"):
        rllc.parse(text)
    assert rllc.parse("M64(0.5)").num_units == 64
