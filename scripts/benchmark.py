"""Measures speed and writes results/benchmarks: tables, plots, summary.csv.

  python scripts/benchmark.py                              # everything, about 40 minutes on 2 cores
  python scripts/benchmark.py --only update step --tasks cifar10_mlp
  python scripts/benchmark.py --only language              # six language models, 4 minutes
  python scripts/benchmark.py --quick --output local/benchmarks     # tiny sizes: does it work?

Rows of other devices and of what is not measured anew are kept. Quiet the machine first.
Peers that are not installed are skipped with a note; PyTorch and learned_optimization may live
in environments of their own (--torch-python, --learned-python).
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
from rllc.suite.engine import devices  # noqa: E402

devices.configure()

import tasks as suite_tasks  # noqa: E402
from rllc.replication import paper  # noqa: E402
from rllc.suite.speed import session  # noqa: E402


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=session.SECTIONS, choices=session.SECTIONS)
    parser.add_argument(
        "--tasks", nargs="+", default=suite_tasks.names(), choices=suite_tasks.names()
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "benchmarks")
    for kind in ("torch", "learned"):
        default = os.environ.get(f"{kind.upper()}_PYTHON", sys.executable)
        parser.add_argument(
            f"--{kind}-python", default=default, metavar="PATH",
            help=f"interpreter of the {kind} peer (default: ${kind.upper()}_PYTHON, or this one)",
        )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    """Measures what was asked for."""
    given = parse()
    if given.quick and given.output == ROOT / "results" / "benchmarks":
        sys.exit("error: --quick measures nothing worth keeping; give another --output")
    peers = {
        "flax": sys.executable, "torch": given.torch_python, "learned": given.learned_python
    }  # fmt: skip
    sys.exit(
        not session.run(paper.STUDY, given.only, given.tasks, peers, given.output, given.quick)
    )


if __name__ == "__main__":
    main()
