"""One specification of columns writes CSV, Markdown and LaTeX; templates name nothing unknown."""

import re
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
import pytest

from rllc.suite import templates
from rllc.suite.study import Study
from rllc.suite.table import Column, Table, csv_only, optimizer_column, seeds_column

ROOT = Path(__file__).parents[2]
STUDY = Study("a", (), (), pretty=lambda name: f"<{name}>", latex=lambda name: f"${name}$")
TABLE = Table((
    optimizer_column(STUDY), Column("test_accuracy", "accuracy (%)", ".1f"),
    *csv_only("learning_rate", "reached"), seeds_column(), Column("diverged"),
    Column("", "twice", lambda row: 2 * row.seeds),
))  # fmt: skip
DATA = pd.DataFrame({
    "diverged": [1, 0], "seeds": [3, 2], "optimizer": ["sgd", "adam"], "unused": ["x", "y"],
    "test_accuracy": [98.12345, np.nan], "learning_rate": [0.003, 1e-5],
})  # fmt: skip


def test_csv_has_the_named_columns_in_order_and_fixed_digits(tmp_path):
    TABLE.to_csv(DATA, tmp_path / "new" / "a.csv")
    assert (tmp_path / "new" / "a.csv").read_bytes() == (
        b"optimizer,test_accuracy,learning_rate,reached,seeds,diverged\n"
        b"sgd,98.1235,0.003,,3,1\nadam,,1e-05,,2,0\n"
    )
    TABLE.to_csv(DATA.assign(test_accuracy=1e-7), tmp_path / "fine.csv", fine=True)
    assert "sgd,1e-07,0.003" in (tmp_path / "fine.csv").read_text()


def test_markdown_shows_the_titled_columns():
    assert TABLE.to_markdown(DATA).splitlines() == [
        "| optimizer | accuracy (%) | seeds | twice |",
        "| :-- | :-: | :-: | :-: |",
        "| <sgd> | 98.1 | 3, 1 diverged | 6 |",
        "| <adam> | – | 2 | 4 |",
    ]
    assert TABLE.to_markdown(TABLE.empty()).count("\n") == 1


def test_latex_is_escaped_where_a_column_has_no_latex_of_its_own():
    text = TABLE.to_latex(DATA, "A caption")
    assert r"\begin{tabular}{lccc}" in text
    assert r"optimizer & accuracy (\%) & seeds & twice \\" in text
    assert r"$sgd$ & 98.1 & 3, 1 diverged & 6 \\" in text


def test_a_column_that_the_data_lack_is_an_error_in_text():
    with pytest.raises(AttributeError, match="test_accuracy"):
        TABLE.to_markdown(DATA.drop(columns="test_accuracy"))


def test_a_template_names_nothing_unknown(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "a.md").write_text(
        "{{ x | shown('.1f') }} <b>\n{% if y %}\ny\n{% endif %}\n\n"
    )
    module = str(tmp_path / "room.py")
    assert templates.render(module, "a.md", x=1.26, y=True) == "1.3 <b>\ny"
    assert templates.render(module, "a.md", x=float("nan"), y=False) == "– <b>"
    with pytest.raises(jinja2.UndefinedError, match="'y' is undefined"):
        templates.render(module, "a.md", x=1)


def test_every_template_is_used_by_its_room():
    for template in sorted((ROOT / "rllc").rglob("templates/*")):
        room = [*template.parents[1].glob("*.py"), *template.parent.iterdir()]
        named = re.compile(rf'"{re.escape(template.name)}"')
        assert any(named.search(path.read_text()) for path in room), template
