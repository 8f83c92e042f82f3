"""What a record says of the machine: all that the last bits of its numbers depend on."""

import re

import pytest

from rllc.suite.engine import devices


@pytest.mark.parametrize(
    ("asked", "shown"), [("1", ", C++ kernel"), ("0", ""), ("", "")], ids=["kernel", "no", "unset"]
)
def test_a_record_says_whether_the_update_was_the_kernels(asked, shown, monkeypatch):
    monkeypatch.setenv("RLLC_KERNEL", asked)
    assert re.fullmatch(rf"cpu \(.+, \d+ cores{re.escape(shown)}\)", devices.describe())
    assert ("kernel" in devices.machine()) == bool(shown)
