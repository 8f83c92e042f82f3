"""What this paper adds to the page of a study: its verdict, its claims, and how it may be read.

They are read from the committed results, so that page, README and reports say the same.
"""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import yaml

from rllc.replication import readme
from rllc.suite.show.page.contents import Section, Table, below_title

CLAIM = """\
The paper claims that its optimizers (RLLC) outperform SGD, momentum SGD and Adam, the \
*baselines*. For each task the RLLC optimizer that is best on validation data is compared with the \
baseline that is best on test data, in points of test accuracy, read at the step where validation \
accuracy is highest."""
MORE = {  # files under results/tables, and their titles here
    "multiverse.md": "The headline claims in every world",
    "reported.md": "Which number did the paper report?",
    "over_tasks.md": "What holds over tasks",
    "practice.md": "Scores for practice",
}
COLUMNS = {
    "claim": "claim", "value": "value", "interval": "95 % interval", "n": "n", "p_holm": "Holm's p",
    "verdict": "verdict", "note": "notes",
}  # fmt: skip


def sections(results: Path, readme_file: Path, address: Callable[[Path], str]) -> list[Section]:
    """The verdict first, then claims and readings.

    Args:
      results: the committed results.
      readme_file: its block of results is the verdict.
      address: a file of the repository -> where it is found.
    """
    block = readme_file.read_text(encoding="utf-8").partition(readme.BEGIN)[2]
    verdict = relinked(block.partition(readme.END)[0], readme_file.parent, address)
    whole = address(results / "replication.md")
    told = f"[The whole report]({whole}) says how each verdict is reached."
    found = [Section("Does the paper replicate?", [CLAIM, verdict, told])]
    found.append(claims(results / "tables" / "claims.csv"))
    for name, title in MORE.items():
        file = results / "tables" / name
        text = relinked(below_title(file.read_text(encoding="utf-8")), file.parent, address)
        found.append(Section(title, [text], folded=True))
    return found


def claims(file: Path) -> Section:
    """Every claim with its verdict, a table for each section of the report."""
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    parts: list[str | Table] = [_counts(table)]
    columns = [column for column in COLUMNS if column in table]
    for title, rows in table.groupby("section", sort=False):
        head = [COLUMNS[column] for column in columns]
        parts.append(Table(str(title), head, rows[columns].to_numpy().tolist()))
    return Section("The paper's claims", parts, folded=True)


def _counts(table: pd.DataFrame) -> Table:
    words = list(dict.fromkeys(table.verdict))
    rows = []
    for title, members in table.groupby("section", sort=False):
        count = Counter(members.verdict)
        rows.append([str(title), *(str(count[word]) for word in words)])
    return Table("Verdicts by section", ["section", *words], rows)


def relinked(text: str, folder: Path, address: Callable[[Path], str]) -> str:
    """Markdown whose relative links lead to where the repository's files are found.

    Args:
      text: Markdown.
      folder: that its links are relative to.
      address: see `sections`.
    """

    def link(match: re.Match[str]) -> str:
        file, _, anchor = match[1].partition("#")
        at = address((folder / file).resolve())
        return f"]({at}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\((?!\w+:|#)([^)\s]+)\)", link, text)


def citation(file: Path) -> str:
    """What to cite, as Markdown, from a ``CITATION.cff``."""
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    paper = told["preferred-citation"]
    authors = ", ".join(author["name"] for author in paper["authors"])
    ours = ", ".join(author["name"] for author in told["authors"])
    return (
        f"The method: {authors}, *{paper['title']}*. {paper.get('notes', '')}\n\n"
        f"Software, tuning and results: {ours}, *{told['title']}*, version {told['version']}."
    )
