"""For every test: no data set is downloaded, whatever the machine reaches."""

import pytest


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch):
    monkeypatch.setenv("RLLC_MIRROR", "http://127.0.0.1:9/")
