"""A second process does what is submitted, says what went wrong, and analyses go there."""

import os
import pickle

import pandas as pd
import pytest

from rllc.suite import beside
from rllc.suite.errors import PlanError
from rllc.suite.study import Titles
from tests.suite import synthetic_records as made


def fails():
    raise PlanError("no such thing")


def storage():
    return os.getpid(), pd.options.mode.string_storage


@pytest.mark.slow
def test_a_process_of_its_own_with_the_same_settings():
    with beside.helper(2) as other:
        process, setting = other.submit(storage).result()
        assert process != os.getpid()
        assert setting == pd.options.mode.string_storage == "python"
        with pytest.raises(PlanError, match="no such thing"):
            other.submit(fails).result()


def test_this_process_where_there_is_one_only():
    with beside.helper(1) as other:
        assert other.submit(storage).result() == (os.getpid(), "python")
        with pytest.raises(PlanError, match="no such thing"):
            other.submit(fails)


@pytest.mark.slow
def test_an_analysis_can_go_to_another_process():
    a = made.analysed(made.gather([made.run("mnist_mlp", "SGD", seed) for seed in (100, 0, 1, 2)]))
    found = pickle.loads(pickle.dumps(a._replace(records=None)))
    pd.testing.assert_frame_equal(found.cells, a.cells)
    assert found.study.pretty("M(0.9)+M2(0.6)") == "M(0.9)⊕M₂(0.6)"


def test_titles_go_there_too():
    titles = pickle.loads(pickle.dumps(Titles({"a_b": "A_B"})))
    assert [titles(name) for name in ("a_b", "c")] == ["A_B", "c"]
    assert titles.tex("a_b") == r"A\_B"
