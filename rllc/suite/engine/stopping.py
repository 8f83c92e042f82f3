"""Ctrl-C, SIGTERM and a batch system's warning take effect where nothing is lost, and are never
swallowed.

An exception that a signal handler raises can surface anywhere: inside a call that owns the arrays
of its carry, or inside a destructor, where Python drops it. So a handler only notes the signal, and
the training loop asks.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from rllc.suite.engine import warning_lines

# What batch systems send, where they are told to, some time before they kill.
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
SIGNALS = (signal.SIGINT, signal.SIGTERM, *WARNINGS)
_raised: list[int] = []  # by `stop` since `run` began: what was dropped is raised again


class Terminated(KeyboardInterrupt):
    """SIGTERM, or a warning: what a cluster or a container sends before it kills."""


def stop(signum: int, frame: Any = None) -> NoReturn:
    """A signal handler that ends what is going on.

    Raises:
      Terminated: for any but Ctrl-C.
      KeyboardInterrupt: for that.
    """
    del frame
    _raised.append(signum)
    _end(signum)


def _end(signum: int) -> NoReturn:
    raise KeyboardInterrupt if signum == signal.SIGINT else Terminated(signum)


def _leading(came: list[int]) -> int:
    """Of several signals the one to end by: a warning, with which a preempted job gets SIGTERM,
    before that, before Ctrl-C."""
    return next(int(n) for n in reversed(SIGNALS) if n in came)


@contextmanager
def deferred(
    united: Callable[[list[int]], list[int]] = list,
) -> Iterator[Callable[[], None]]:
    """Signals during the block wait for a call of what it is given, or for its end.

    At both, those that came are given to `united`, and end the block if it returns any.

    Outside the main thread, which alone gets signals, and for a signal that is ignored (as by
    nohup), nothing changes.
    """
    came: list[int] = []

    def check() -> None:
        if waiting := united(came + _raised):
            came.clear()
            _raised.clear()
            _end(_leading(waiting))

    here = threading.current_thread() is threading.main_thread()
    usual = {number: signal.getsignal(number) for number in SIGNALS if here}
    taken = {n: handler for n, handler in usual.items() if handler not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield check
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
    check()


def run(main: Callable[[], None], goes_on: str) -> None:
    """Runs a script; a stop is one line, and the exit status that shells expect (130 after Ctrl-C,
    143 after SIGTERM, 138 or 140 after a warning).

    Args:
      main: the script.
      goes_on: what to do to go on.
    """
    _raised.clear()
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stop)
    sys.unraisablehook = _quiet(sys.unraisablehook)
    try:
        with warning_lines.shown_once():
            main()
    except BaseException as error:
        # Another library may turn a stop into an error of its own.
        if not (isinstance(error, KeyboardInterrupt) or _raised):
            raise
        told = list(error.args) if isinstance(error, Terminated) else []
        leading = _leading([*told, *_raised, signal.SIGINT])
        for number in SIGNALS:  # an impatient second one must not turn the line into a traceback
            signal.signal(number, signal.SIG_IGN)
        _raised.clear()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            word = "interrupted" if leading == signal.SIGINT else "terminated"
            print(f"\n{word}; {goes_on}", file=sys.stderr, flush=True)
        sys.exit(128 + leading)


def _quiet(usual: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Says nothing of a stop that a destructor dropped: `deferred` raises it again."""

    def hook(dropped: Any) -> None:
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            usual(dropped)

    return hook
