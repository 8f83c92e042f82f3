"""Builds every table, figure and report from records: no training, no data, no accelerator.

python scripts/aggregate.py                     the committed ones, byte for byte
python scripts/aggregate.py --local local       this machine's, beside the committed and the paper's
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
from rllc.replication import aggregation, analysis, closing, quadratic_page, readme  # noqa: E402
from rllc.replication.analysis import Replication  # noqa: E402
from rllc.replication.paper import STUDY  # noqa: E402
from rllc.suite import beside, plotting, records  # noqa: E402
from rllc.suite.caches import cache_folder  # noqa: E402
from rllc.suite.choose import selection  # noqa: E402
from rllc.suite.drawing import Drawer, Save  # noqa: E402
from rllc.suite.execute import bench  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.plan import configuration  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402
from rllc.suite.plan.plan import PlanError, Run  # noqa: E402
from rllc.suite.show import analysis as suite_analysis  # noqa: E402
from rllc.suite.show.aggregation import three_columns  # noqa: E402
from rllc.suite.show.analysis import Analysis  # noqa: E402
from rllc.suite.study import StudyError  # noqa: E402

CONF = Conf(ROOT / "conf")
RESULTS = ROOT / "results"


def default_variants(runs: pd.DataFrame) -> dict[tuple[str, str], str]:
    """The settings that today's configuration gives each recorded cell, for those it knows."""
    recorded, known = set(zip(runs.task, runs.optimizer, strict=True)), CONF.labels()
    optimizers = {
        label: _job(f"optimizer={known[label]}")
        for label in sorted({label for _, label in recorded} & set(known))
    }
    tasks = {
        task: _job(f"task={task}").task
        for task in sorted({task for task, _ in recorded} & set(CONF.names("task")))
    }
    return {
        (task, label): selection.variant_of(optimizers[label]._replace(task=tasks[task]))
        for task, label in sorted(recorded)
        if task in tasks and label in optimizers
    }


def _job(override: str) -> Run:
    return configuration.run_of(configuration.compose(CONF, [override]), {})


def check_places(folder: Path, output: Path) -> None:
    """Refuses to overwrite the committed results by those of other records.

    Raises:
      RecordsError: other records for `RESULTS`, or a folder without any.
    """
    if (
        output.resolve() == RESULTS.resolve()
        and folder.resolve() != (RESULTS / "records").resolve()
    ):
        raise records.RecordsError(
            f"--records {folder} would overwrite the committed results in {RESULTS}: give "
            "--output FOLDER, or --local FOLDER to see them beside the committed ones"
        )
    if not records.shards(folder):
        raise records.RecordsError(f"no records in {folder}: is it spelt right?")


def committed(folder: Path, output: Path, other: Executor | None = None) -> Replication:
    """Analysis of the committed records, rates chosen from them; `other` does a part of it."""
    loaded = records.load(folder)
    benchmarks = output / "benchmarks"
    timings, rates = (
        pd.read_csv(path) if (path := benchmarks / name).exists() else None
        for name in ("step_time.csv", "batching.csv")
    )
    measured = analysis.benchmark_steps(benchmarks)
    defaults = default_variants(loaded.runs)
    return analysis.analyse(loaded, None, defaults, timings, rates, measured, other)


def local(folder: Path, output: Path, shared: Path = RESULTS) -> None:
    """Draws this machine's results into `output` and prints them beside the others.

    Args:
      folder: this machine's records.
      output: where its tables and figures go.
      shared: the committed results.
    """
    loaded = records.load(folder)
    choices = selection.read_choices(shared / "tuning" / "choices.csv")
    ours = analysis.analyse(loaded, choices, default_variants(loaded.runs))
    a = ours.measured
    if a.final.empty:
        print(three_columns(a, a))
        return
    aggregation.write_tables(ours, output)
    aggregation.write_figures(ours, output, empty=False)
    theirs = on_tasks(set(a.final.task), shared / "records")
    print(three_columns(a, theirs))
    print("", *closing.lines(a, theirs, str(output)), sep="\n")


def on_tasks(tasks: set[str], folder: Path) -> Analysis:
    """Analysis of the records of some tasks, without what only the paper's report asks."""
    headers = [path for task in sorted(tasks) for path in sorted((folder / task).glob("*.json"))]
    loaded = records.load(folder, headers)
    return suite_analysis.analyse(STUDY, loaded, None, default_variants(loaded.runs))


def quadratic_map(folder: Path, save: Save = plotting.save) -> list[Path]:
    """Rebuilds what follows from the runs of scripts/quadratic_map.py; its figures, if any."""
    runs = folder / "runs.csv"
    return quadratic_page.write(runs, folder, save) if runs.exists() else []


def studies(folder: Path, save: Save = plotting.save) -> tuple[dict[str, Analysis], list[Path]]:
    """Rebuilds the results of the studies in a folder: what they say by name; their figures."""
    found, drawn = {}, []
    for path in sorted(folder.glob("*/study.yaml")):
        found[path.parent.name], figures = bench.rebuild(path.parent, CONF.main, save)
        drawn += figures
    return found, drawn


class Drawn(NamedTuple):
    """Figures of which one process sees to it that they are drawn.

    Attributes:
      files: of all of them.
      anew: how many figures had to be drawn.
    """

    files: list[Path]
    anew: int


def drawing(build: Callable[[Save], list[Path]], redraw: bool) -> Drawn:
    """Builds figures and has those drawn that are not there already, or all."""
    with Drawer(cache_folder() / "figures.json", redraw) as drawer:
        files = build(drawer.save)
    return Drawn(files, drawer.drawn)


def _studies(output: Path, redraw: bool) -> tuple[dict[str, Analysis], Drawn]:
    found: dict[str, Analysis] = {}

    def build(save: Save) -> list[Path]:
        known, files = studies(output / "studies", save)
        found.update(known)
        return files

    return found, drawing(build, redraw)


def _figures(found: Replication, output: Path, redraw: bool) -> Drawn:
    return drawing(lambda save: aggregation.write_figures(found, output, save=save), redraw)


def write(folder: Path, output: Path, redraw: bool, processes: int) -> tuple[Replication, Drawn]:
    """Writes everything that follows from some records; returns the analysis and the figures.

    A second process, if there may be one, takes what lets both end at about the same time.
    """
    with beside.helper(processes) as other:
        of_studies = other.submit(_studies, output, redraw)
        found = committed(folder, output, other)
        figures = other.submit(_figures, found, output, redraw)
        selection.write_choices(found.measured.choices, output / "tuning" / "choices.csv")
        known, *drawn = of_studies.result()
        aggregation.write_tables(found, output, known)
        aggregation.write_report(found, output)
        if output.resolve() == RESULTS.resolve():
            readme.update(ROOT / "README.md", found)
        drawn.append(drawing(lambda save: quadratic_map(output / "quadratics", save), redraw))
        drawn.append(figures.result())
    return found, Drawn([file for d in drawn for file in d.files], sum(d.anew for d in drawn))


def main() -> None:
    """Reads the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--records", type=records.folder, default=RESULTS / "records")
    parser.add_argument("--output", type=records.folder, default=RESULTS)
    parser.add_argument(
        "--local", type=records.folder, metavar="FOLDER",
        help="this machine's results: records in FOLDER/records, output to FOLDER/results",
    )  # fmt: skip
    parser.add_argument(
        "--redraw", action="store_true",
        help="draw all figures, also those whose files are there and show the same already",
    )  # fmt: skip
    parser.add_argument(
        "--processes", type=int, default=min(2, os.cpu_count() or 1), choices=(1, 2),
        help="2: figures and studies in a process of their own (default: %(default)s)",
    )  # fmt: skip
    arguments = parser.parse_args()
    beside.settle()
    try:
        if arguments.local:
            here = arguments.local
            if not here.is_dir():
                raise records.RecordsError(f"--local {here}: there is no such folder")
            local(here / "records", here / "results", arguments.output)
            return
        check_places(arguments.records, arguments.output)
        found, drawn = write(
            arguments.records, arguments.output, arguments.redraw, arguments.processes
        )
    except (PlanError, StudyError, records.RecordsError, OSError) as error:
        sys.exit(f"error: {error}")
    print(
        f"{len(found.measured.runs)} runs: tables, report and {len(drawn.files)} figure files "
        f"in {arguments.output}, {drawn.anew} of {len(drawn.files) // 2} figures drawn anew"
    )


if __name__ == "__main__":
    main()
