"""Draws docs/figures/law_drift: how gradient noise moves the learning law (docs/laws.md)."""

import argparse
from pathlib import Path

from rllc.replication.drift_figure import drift_figure
from rllc.suite import plotting

FOLDER = Path(__file__).parents[1] / "docs" / "figures"


def main() -> None:
    """Writes PNG and PDF, the same bytes every time, and says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder (default: %(default)s)")
    folder = parser.parse_args().output
    for path in plotting.save(drift_figure(), folder / "law_drift"):
        print(path)


if __name__ == "__main__":
    main()
