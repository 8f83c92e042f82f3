"""Propagators: tables, unions, notation, and what is refused."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import rllc

PAPER_LABELS = [
    "M(0.9)",
    "M(0.9)+M(0.0)",
    "M(0.9)+M(0.8)+M(0.7)",
    "M2(0.6)",
    "M(0.9)+M2(0.6)",
    "M(0.9)+M(0.0)+M2(0.6)",
    "M3(0.6)",
    "M(0.9)+M(-0.9)+CM(0.9i)",
    "M(0.9)+M2(0.6)+CM2(0.3+0.2i)",
    "CM(0.3-0.2i)",
]


@pytest.mark.parametrize("label", PAPER_LABELS)
def test_labels_are_printed_as_they_are_read(label):
    assert str(rllc.parse(label)) == label
    assert rllc.parse(str(rllc.parse(label))) == rllc.parse(label)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("M(0.9)⊕M(0)", "M(0.9)+M(0.0)"),
        (" M_2( .6 ) + M(-0.9)", "M2(0.6)+M(-0.9)"),
        ("M(0.95)+CM(0.5i)", "M(0.95)+CM(0.5i)"),
        ("CM_2(3e-1 + 2e-1j)", "CM2(0.3+0.2i)"),
        ("M(-0)", "M(0.0)"),
        ("CM(-0.5i)", "CM(-0.5i)"),
    ],
)
def test_other_spellings(text, label):
    assert str(rllc.parse(text)) == label


def test_constructors_agree_with_the_notation():
    built = rllc.momentum(0.9) + rllc.jordan(0.6, 2) + rllc.complex_jordan(0.3 + 0.2j, 2)
    assert built == rllc.parse("M(0.9)+M2(0.6)+CM2(0.3+0.2i)")
    assert rllc.complex_momentum(0.9j) == rllc.parse("CM(0.9i)")
    assert built.num_units == 7


def test_union_does_not_depend_on_brackets():
    p, q, r = rllc.momentum(0.9), rllc.jordan(0.6, 2), rllc.complex_momentum(0.5j)
    assert (p + q) + r == p + (q + r) == rllc.union(p, q, r)


def test_value_semantics():
    p, same = rllc.momentum(0.9), rllc.Propagator([[0.9]], [1])
    assert p == same
    assert hash(p) == hash(same)
    assert len({p, same, rllc.momentum(0.8)}) == 2
    with pytest.raises(ValueError, match="read-only"):
        p.transition[0, 0] = 1.0


def test_abstract_rules():
    length = 12
    ages = np.arange(length)
    np.testing.assert_allclose(rllc.momentum(0.7).abstract_rule(length)[:, 0], 0.7**ages)
    # M_m(λ): unit i holds C(j, i − 1) λ^(j − i + 1) of the gradient of age j.
    third = [j * (j - 1) / 2 * 0.6 ** max(j - 2, 0) for j in ages]
    np.testing.assert_allclose(rllc.jordan(0.6, 3).abstract_rule(length)[:, 2], third)
    # CM(γ): real part and minus the imaginary part of γ^j.
    powers = (0.3 + 0.2j) ** ages
    rule = rllc.complex_momentum(0.3 + 0.2j).abstract_rule(length)
    np.testing.assert_allclose(rule, np.stack([powers.real, -powers.imag], axis=1), atol=1e-15)


def test_tables_that_are_no_union_of_blocks_print_as_tables():
    p = rllc.Propagator([[0.5, 0.1], [0.2, 0.3]], [1.0, 2.0])
    expected = "Propagator(transition=[[0.5, 0.1], [0.2, 0.3]], injection=[1.0, 2.0])"
    assert str(p) == repr(p) == expected
    assert str(rllc.Propagator([[0.5]], [2.0])).startswith("Propagator")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("M(0.9)+X(2)", 7),
        ("M(0.9)M(2)", 6),
        ("M(0.9", 2),
        ("M(0.9)+", 7),
        ("", 0),
        ("M(0.9)+CM(0.9 0.8i)", 10),
        ("M(0.9) + M0(0.3)", 9),
        ("M(0.3i)", 0),
        ("CM(0.3)", 0),
        ("M(nan)", 2),
    ],
)
def test_unreadable_text_is_refused_with_its_position(text, position):
    with pytest.raises(ValueError, match=f"position {position}:"):
        rllc.parse(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rllc.Propagator(np.eye(2) * 0.5, [1.0]), r"\(2, 2\)"),
        (lambda: rllc.Propagator([[np.nan]], [1.0]), "finite"),
        (lambda: rllc.Propagator([[0.5]], [0.0]), "zero"),
        (lambda: rllc.Propagator([[0.5j]], [1.0]), "complex"),
        (lambda: rllc.jordan(0.5, 0), "at least 1"),
        (lambda: rllc.jordan(0.5, 1.5), "integer"),
        (lambda: rllc.complex_momentum(0.5), "imaginary part"),
        (lambda: rllc.momentum(0.5j), "real"),
        (rllc.union, "no propagators"),
        (lambda: rllc.parse(0.9), "M\\(0.9\\)"),
    ],
)
def test_bad_tables_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_memory_that_does_not_decay_is_warned_of_once():
    with pytest.warns(rllc.NonDecayingMemoryWarning, match="does not decay") as caught:
        rllc.parse("M(0.9)+M(1.0)")
    assert len(caught) == 1
    with pytest.warns(rllc.NonDecayingMemoryWarning):
        rllc.complex_momentum(0.8 + 0.7j)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rllc.parse("M3(0.999)+CM2(0.6+0.79i)")


def pickled(p):
    return pickle.loads(pickle.dumps(p))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_copies_are_equal_and_read_only(duplicate):
    p = rllc.parse("M(0.9)+CM(0.5i)")
    other = duplicate(p)
    assert other == p
    assert hash(other) == hash(p)
    assert not other.transition.flags.writeable
    assert not other.injection.flags.writeable
