"""The part of README.md that is generated."""

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
