"""Draws what the documentation shows of the theory of laws, into docs/figures.

law_drift: how gradient noise moves the law (docs/laws.md). limit: appendix A.3's limit, with its
numbers as CSV (docs/replication.md). Takes a minute or two.
"""

import argparse
from pathlib import Path

from rllc.replication import limit
from rllc.replication.drift_figure import drift_figure
from rllc.suite import plotting

FOLDER = Path(__file__).parents[1] / "docs" / "figures"


def main() -> None:
    """Writes PNG and PDF, the same bytes every time on one machine, and says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder (default: %(default)s)")
    folder = parser.parse_args().output
    found = limit.measured()
    limit.MEASURED.to_csv(found, folder / "limit.csv", fine=True)
    drawn = {"law_drift": drift_figure(), "limit": limit.figure(found)}
    for name, figure in drawn.items():
        for path in plotting.save(figure, folder / name):
            print(path)


if __name__ == "__main__":
    main()
