"""Warnings of scripts."""

import warnings

import rllc
from rllc.suite.engine import warning_lines


def test_a_warning_is_one_line_and_shown_once(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        usual = warnings.showwarning
        with warning_lines.shown_once():
            for _ in range(3):
                rllc.momentum(1.0)
            rllc.momentum(1.5)
            warnings.warn("of others", RuntimeWarning, stacklevel=1)
        assert warnings.showwarning is usual
    err = capsys.readouterr().err.splitlines()
    assert err == [
        "warning: memory does not decay: M(1.0) has an eigenvalue of modulus 1, not below 1",
        "warning: memory does not decay: M(1.5) has an eigenvalue of modulus 1.5, not below 1",
        "RuntimeWarning: of others",
    ]
