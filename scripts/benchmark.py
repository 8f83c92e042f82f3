"""Measures speed and writes results/benchmarks: tables, plots, summary.csv.

  python scripts/benchmark.py                              # everything, about 40 minutes on 2 cores
  python scripts/benchmark.py --only update step --tasks cifar10_mlp
  python scripts/benchmark.py --only step --tasks mnist_mlp --optimizers all      # of every config
  python scripts/benchmark.py --only language              # six language models, 4 minutes
  python scripts/benchmark.py --quick --output local/benchmarks     # tiny sizes: does it work?

Rows of other devices and of what is not measured anew are kept; the steps on one task are measured
together and replaced together. Quiet the machine first.
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
from rllc.suite.errors import PlanError  # noqa: E402
from rllc.suite.speed import session, steps  # noqa: E402


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=session.SECTIONS, choices=session.SECTIONS)
    parser.add_argument(
        "--tasks", nargs="+", default=suite_tasks.names(), choices=suite_tasks.names()
    )
    parser.add_argument(
        "--optimizers", nargs="+", default=[], metavar="NAME",
        help="configs whose steps are timed beside those of the paper, such as adamw or\n"
        "'adam schedule=cosine', each at its default point; all: every one (needs Hydra)",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "benchmarks")
    for kind in ("torch", "learned"):
        default = os.environ.get(f"{kind.upper()}_PYTHON", sys.executable)
        parser.add_argument(
            f"--{kind}-python", default=default, metavar="PATH",
            help=f"interpreter of the {kind} peer (default: ${kind.upper()}_PYTHON, or this one)",
        )  # fmt: skip
    return parser.parse_args()


def configs(entries: list[str]) -> steps.Groups:
    """The optimizers that were asked for beside the paper's; without any no Hydra is needed."""
    if not entries:
        return steps.none
    from rllc.suite.plan.configuration import Conf
    from rllc.suite.speed import further

    return further.of(Conf(ROOT / "conf"), entries)


def main() -> None:
    """Measures what was asked for."""
    given = parse()
    if given.quick and given.output == ROOT / "results" / "benchmarks":
        sys.exit("error: --quick measures nothing worth keeping; give another --output")
    peers = {
        "flax": sys.executable, "torch": given.torch_python, "learned": given.learned_python
    }  # fmt: skip
    try:
        good = session.run(
            paper.STUDY, given.only, given.tasks, peers, given.output, given.quick,
            further=configs(given.optimizers),
        )  # fmt: skip
    except PlanError as error:
        sys.exit(f"error: {error}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
