"""Stops that other code drops or turns into an error of its own."""

import gc
import signal
import sys
from contextlib import suppress

import pytest

from rllc.suite.engine import stopping


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """The process's own handlers and hook, afterwards."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138), (signal.SIGUSR2, 140)],
)
@pytest.mark.parametrize("error", [SystemExit(1), AttributeError("no attribute")])
def test_a_stop_that_became_another_error_is_still_a_stop(number, status, error, capsys):
    """As of Hydra, which composes its configuration in blocks that restore flags."""

    def main():
        with suppress(KeyboardInterrupt):
            stopping.stop(number)
        raise error

    with pytest.raises(SystemExit) as end:
        stopping.run(main, "go on")
    assert end.value.code == status
    assert capsys.readouterr().err.strip().endswith("; go on")


def test_a_warning_counts_more_than_the_sigterm_before_it(capsys):
    """A preempted job gets both, and is queued again for the warning only."""

    def main():
        with stopping.deferred() as check:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGUSR2)
            check()

    with pytest.raises(SystemExit) as end:
        stopping.run(main, "go on")
    assert end.value.code == 128 + signal.SIGUSR2


@pytest.mark.parametrize("error", [SystemExit(3), ValueError("x")])
def test_an_error_without_a_stop_stays_what_it_is(error):
    def main():
        raise error

    with pytest.raises(type(error)) as end:
        stopping.run(main, "go on")
    assert end.value is error


def test_a_stop_that_a_destructor_drops_says_no_traceback_and_comes_later(capsys):
    class Dropping:
        def __del__(self):
            stopping.stop(signal.SIGTERM)

    def main():
        dropping = Dropping()
        del dropping
        gc.collect()
        with stopping.deferred() as check:
            check()
            raise AssertionError("it was swallowed")

    monkey = []
    sys.unraisablehook = monkey.append  # pytest's own turns what is dropped into a warning
    with pytest.raises(SystemExit) as end:
        stopping.run(main, "go on")
    assert end.value.code == 143
    assert monkey == []
    assert "Traceback" not in capsys.readouterr().err


def test_other_dropped_errors_are_shown():
    seen = []
    sys.unraisablehook = seen.append

    class Failing:
        def __del__(self):
            raise ValueError("shown")

    stopping.run(lambda: Failing() and None, "go on")
    gc.collect()
    assert [str(dropped.exc_value) for dropped in seen] == ["shown"]
