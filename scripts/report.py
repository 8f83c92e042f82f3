"""Writes the page of a study: verdict, table, curves, tuning maps and ranking, from records alone.

  python scripts/report.py                the paper's, from the committed records, to local/report
  python scripts/report.py FOLDER         of FOLDER/study.yaml, to FOLDER/results/page

Open index.html in a browser, or put the folder on any web server; nothing is loaded from elsewhere.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
from rllc.replication import page as of_the_paper  # noqa: E402
from rllc.replication.paper import STUDY  # noqa: E402
from rllc.suite import records  # noqa: E402
from rllc.suite.engine import header  # noqa: E402
from rllc.suite.errors import PlanError, RecordsError  # noqa: E402
from rllc.suite.execute import bench, pages  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.show import analysis  # noqa: E402
from rllc.suite.show.page import site  # noqa: E402
from rllc.suite.show.page.contents import Origin  # noqa: E402
from rllc.suite.study import StudyError  # noqa: E402
from scripts import aggregate  # noqa: E402

RESULTS = ROOT / "results"


def paper(output: Path, repository: str = "") -> Path:
    """Writes the page of this paper's replication; returns the path to open.

    Args:
      output: folder.
      repository: address of the repository on a code host; "" links to the files here.
    """
    places = pages.Places(ROOT, output, repository, header.commit().rstrip("+"))
    loaded = records.load(RESULTS / "records")
    found = analysis.analyse(STUDY, loaded, None, aggregate.default_variants(loaded.runs))
    licence = f"Code and results: [MIT licence]({places.address(ROOT / 'LICENSE')})."
    origin = Origin(
        created=pages.newest(loaded.folder),
        commit=header.commit(),
        link=lambda file: places.address(loaded.folder / f"{file}.json"),
        command="make verify RECORD={run} STEPS=all",
        licence=licence,
        citation=of_the_paper.citation(ROOT / "CITATION.cff"),
    )
    sections = of_the_paper.sections(RESULTS, ROOT / "README.md", places.address)
    return site.write(found, output, origin, sections)


def main() -> None:
    """Reads the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=records.folder, help="holds study.yaml (default: the paper)"
    )
    parser.add_argument("--output", type=records.folder, help="where the page goes")
    parser.add_argument(
        "--repository", default="", metavar="URL",
        help="of the repository on a code host, for links to records (default: to files here)",
    )  # fmt: skip
    given = parser.parse_args()
    try:
        if given.folder is None:
            index = paper(given.output or ROOT / "local" / "report", given.repository)
        else:
            index = bench.report(given.folder, ROOT / "conf", given.output)
    except (PlanError, RecordsError, StudyError, OSError) as error:
        sys.exit(f"error: {error}")
    size = sum(file.stat().st_size for file in index.parent.iterdir())
    print(f"{index} ({size / 1e6:.1f} MB with what it needs)")


if __name__ == "__main__":
    main()
