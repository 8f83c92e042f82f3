"""What a record says of the machine: all that the last bits of its numbers depend on."""

import re

import pytest

from rllc import kernel
from rllc.suite.engine import devices


@pytest.mark.parametrize(
    ("asked", "shown"), [("1", ", C++ kernel"), ("0", ""), ("", "")], ids=["kernel", "no", "unset"]
)
def test_a_record_says_whether_updates_are_the_kernels(asked, shown, monkeypatch):
    monkeypatch.setattr(kernel, "_enabled", None)
    monkeypatch.setenv("RLLC_KERNEL", asked)
    assert re.fullmatch(rf"cpu \(.+, \d+ cores{re.escape(shown)}\)", devices.describe())
    assert ("updates" in devices.machine()) == bool(shown)


def test_also_where_a_program_asks_for_it(monkeypatch):
    monkeypatch.setattr(kernel, "_enabled", True)
    assert devices.describe().endswith(", C++ kernel)")
