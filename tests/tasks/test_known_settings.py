"""Settings of problems with a known optimum: one line for every mistake."""

import pytest

from tasks.known.factorisation import factorisation
from tasks.known.imbalanced import imbalanced
from tasks.known.logistic import logistic
from tasks.known.quadratic import quadratic
from tasks.known.rosenbrock import rosenbrock
from tasks.known.saddle import saddle


@pytest.mark.parametrize(
    ("make", "setting", "value", "words"),
    [
        (quadratic, "condition", 0.5, "at least 1"),
        (quadratic, "condition", float("nan"), "finite number"),
        (quadratic, "condition", True, "finite number"),
        (quadratic, "dimension", 1, "condition=100.0 must be 1 where dimension=1"),
        (quadratic, "dimension", 2.5, "whole number"),
        (quadratic, "noise", -1, "at least 0"),
        (quadratic, "curvature_noise", "much", "finite number"),
        (quadratic, "spacing", "linear", "log or uniform"),
        (quadratic, "basis", "diagonal", "random or axes"),
        (rosenbrock, "dimension", 1, "at least 2"),
        (rosenbrock, "steepness", 0, "above 0"),
        (saddle, "directions", 21, "from 1 to 20"),
        (saddle, "offset", 0, "above 0"),
        (factorisation, "rank", 21, "from 1 to 20, the smaller of rows and columns"),
        (factorisation, "factors", 0, "from 1 to 20"),
        (factorisation, "start", 0, "above 0"),
        (logistic, "examples", 99, "at least 100"),
        (logistic, "signal", 1e6, "a plane separates"),
        (imbalanced, "classes", 1, "at least 2"),
        (imbalanced, "ridge", 0, "above 0"),
    ],
)
def test_a_bad_setting_is_one_line_with_its_value(make, setting, value, words):
    with pytest.raises(ValueError, match=setting) as error:
        make(**{setting: value})
    text = str(error.value)
    assert words in text
    assert f"={value!r}" in text or "dimension=1" in text
    assert "\n" not in text
