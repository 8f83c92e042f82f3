"""What this paper adds to the page says the same as README and reports, and its links lead on."""

from pathlib import Path

import pandas as pd
import pytest

from rllc.replication import page, readme
from rllc.suite.execute.pages import Places
from rllc.suite.show.page import site
from rllc.suite.show.page.contents import Table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sections():
    places = Places(ROOT, ROOT / "local" / "report", "https://host/rllc", "abc")
    return page.sections(ROOT / "results", ROOT / "README.md", places.address)


def test_the_verdict_comes_first_and_is_the_readmes(sections):
    first = sections[0]
    block = (ROOT / "README.md").read_text().partition(readme.BEGIN)[2].partition(readme.END)[0]
    rows = [line for line in block.splitlines() if line.startswith("| ")]
    assert len(rows) > 7
    assert all(row in first.parts[1] for row in rows)
    assert "<table>" in site.markdown(first.parts[1])


def test_every_claim_is_there_with_its_verdict(sections):
    claims = pd.read_csv(ROOT / "results" / "tables" / "claims.csv", keep_default_na=False)
    counts, *tables = sections[1].parts
    assert sum(len(table.rows) for table in tables) == len(claims)
    assert all(isinstance(table, Table) for table in tables)
    place = tables[0].head.index("verdict")
    said = [row[place] for table in tables for row in table.rows]
    assert said == list(claims.verdict)
    assert sum(int(n) for row in counts.rows for n in row[1:]) == len(claims)


def test_what_holds_over_tasks_is_there_under_headings_of_its_own(sections):
    text = (ROOT / "results" / "tables" / "over_tasks.md").read_text(encoding="utf-8")
    (part,) = next(s for s in sections if s.title == "What holds over tasks").parts
    html = site.markdown(part)
    assert html.count("<table>") == text.count("| :-- |") > 0
    assert html.count("<h3>") == text.count("\n## ") > 0
    assert "<h1>" not in html
    assert "<h2>" not in html


def test_links_lead_to_the_repository(sections):
    text = "\n".join(part for s in sections for part in s.parts if isinstance(part, str))
    assert "](https://host/rllc/blob/abc/results/replication.md)" in text
    assert "](../" not in text


def test_links_are_made_anew():
    said = page.relinked(
        "[a](x/y.md#part) [b](https://z) [c](#here)", Path("/top"), lambda file: f"at:{file}"
    )
    assert said == "[a](at:/top/x/y.md#part) [b](https://z) [c](#here)"


def test_without_a_host_links_lead_to_files():
    places = Places(ROOT, ROOT / "local" / "report")
    assert places.address(ROOT / "results" / "summary.md") == "../../results/summary.md"


def test_the_paper_is_cited_and_our_version_named():
    said = page.citation(ROOT / "CITATION.cff")
    assert "*Dynamic Memory Based Adaptive Optimization*" in said
    assert "double-blind" in said
    assert "version" in said
