"""Work that a second process may do, while this one goes on."""

import gc
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

import pandas as pd


class Here(Executor):
    """No second process: what is submitted is done at once, in this one."""

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """The future of what is done already; what the work raises is raised here."""
        future: Future[Any] = Future()
        future.set_result(work(*given, **named))
        return future


def helper(processes: int) -> Executor:
    """Does one piece of work after the other, in a process of its own where there may be two."""
    settle()
    if processes == 1:
        return Here()
    spawned = multiprocessing.get_context("spawn")  # JAX, which others import, cannot be forked
    return ProcessPoolExecutor(1, spawned, initializer=settle)


def settle() -> None:
    """Sets pandas and Python as analyses of thousands of small tables want them.

    Arrow's strings are slower in small tables, and looking for cycles in so many objects takes a
    tenth of the time.
    """
    pd.options.mode.string_storage = "python"
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
