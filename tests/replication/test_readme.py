"""The part of README.md that is generated."""

from pathlib import Path

import pandas as pd
import pytest

from rllc.replication import analysis, opening, readme
from tests.suite import synthetic_records as made

pytestmark = pytest.mark.slow


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    return path


def written(path, found=None):
    readme.update(path, found or analysis.analyse(made.nothing()))
    return path.read_text()


def test_only_the_text_between_the_markers_changes(page):
    text = written(page)
    assert text.startswith(f"before\n{readme.BEGIN}\n")
    assert text.endswith(f"{readme.END}\nafter\n")
    assert "old" not in text
    assert written(page) == text


@pytest.mark.parametrize("text", ["", readme.BEGIN, f"{readme.END} {readme.BEGIN}"])
def test_missing_markers_are_an_error_and_nothing_is_written(page, text):
    page.write_text(text)
    with pytest.raises(ValueError, match="lacks"):
        written(page)
    assert page.read_text() == text


def test_the_block_is_the_first_pages_verdict(page):
    found = analysis.analyse(made.nothing())
    assert opening.verdict(found.worlds) in written(page, found)


def test_what_the_readme_says_of_cosine_decays_follows_from_the_scores():
    """Laws beat the better cosine decay, intervals apart, on the MLP of CIFAR-10 alone."""
    scores = pd.read_csv(Path(__file__).parents[2] / "results" / "tables" / "practice.csv")
    better = {}
    for task, rows in scores[scores.task.str.endswith("_mlp")].groupby("task"):
        laws = rows[rows.optimizer.str.contains(r"M\d?\(")]
        cosine = rows[rows.optimizer.isin(["Momentum SGD, cosine", "Adam, cosine"])]
        assert len(cosine) == 2
        assert len(laws) >= 8
        better[task] = int((laws.low > cosine.high.max()).sum())
    assert better.pop("cifar10_mlp") > 1
    assert set(better.values()) == {0}
