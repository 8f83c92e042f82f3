"""Options that scripts share, and what is said of those without effect."""

from pathlib import Path

import pytest

from rllc.suite.execute.parser import Parser


@pytest.fixture
def parser():
    made = Parser(prog="script")
    made.add_data_folder()
    made.add_yes()
    return made


def test_a_home_is_expanded_and_nothing_given_is_none(parser):
    given = parser.parse_args(["--data-folder", "~/x", "-y"])
    assert (given.data_folder, given.yes) == (Path.home() / "x", True)
    given = parser.parse_args([])
    assert (given.data_folder, given.yes) == (None, False)


def test_only_what_was_given_is_refused(parser, capsys):
    options = ["data-folder", "yes"]
    parser.refuse(parser.parse_args([]), options, "with --list")
    with pytest.raises(SystemExit) as end:
        parser.refuse(parser.parse_args(["--data-folder", "x"]), options, "with --list")
    assert end.value.code == 2
    assert "--data-folder says nothing with --list" in capsys.readouterr().err
