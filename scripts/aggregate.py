"""Builds every table, figure and report from records: no training, no data, no accelerator.

python scripts/aggregate.py                     the committed ones, byte for byte
python scripts/aggregate.py --local local       this machine's, beside the committed and the paper's
"""

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
from rllc.replication import aggregation, analysis, closing, quadratic_page, readme  # noqa: E402
from rllc.replication.analysis import Replication  # noqa: E402
from rllc.replication.paper import STUDY  # noqa: E402
from rllc.suite import plotting, records  # noqa: E402
from rllc.suite.choose import selection  # noqa: E402
from rllc.suite.drawing import Drawer, Save  # noqa: E402
from rllc.suite.engine.devices import cache_folder  # noqa: E402
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


def committed(folder: Path, output: Path) -> Replication:
    """Analysis of the committed records, rates chosen from them."""
    loaded = records.load(folder)
    benchmarks = output / "benchmarks"
    timings, rates = (
        pd.read_csv(path) if (path := benchmarks / name).exists() else None
        for name in ("step_time.csv", "batching.csv")
    )
    measured = analysis.benchmark_steps(benchmarks)
    defaults = default_variants(loaded.runs)
    return analysis.analyse(loaded, None, defaults, timings, rates, measured)


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


def write(folder: Path, output: Path, drawer: Drawer) -> tuple[Replication, list[Path]]:
    """Writes everything that follows from some records; returns the analysis and the figures."""
    with drawer:
        drawn = quadratic_map(output / "quadratics", drawer.save)
        found = committed(folder, output)
        drawn += aggregation.write_figures(found, output, save=drawer.save)
        choices = output / "tuning" / "choices.csv"
        selection.write_choices(found.measured.choices, choices)
        beside, figures = studies(output / "studies", drawer.save)
        drawn += figures
        aggregation.write_tables(found, output, beside)
        aggregation.write_report(found, output)
        if output.resolve() == RESULTS.resolve():
            readme.update(ROOT / "README.md", found)
    return found, drawn


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
    arguments = parser.parse_args()
    pd.options.mode.string_storage = "python"  # Arrow's are slower where tables are small and many
    try:
        if arguments.local:
            here = arguments.local
            if not here.is_dir():
                raise records.RecordsError(f"--local {here}: there is no such folder")
            local(here / "records", here / "results", arguments.output)
            return
        check_places(arguments.records, arguments.output)
        drawer = Drawer(cache_folder() / "figures.json", arguments.redraw)
        found, drawn = write(arguments.records, arguments.output, drawer)
    except (PlanError, StudyError, records.RecordsError, OSError) as error:
        sys.exit(f"error: {error}")
    print(
        f"{len(found.measured.runs)} runs: tables, report and {len(drawn)} figure files "
        f"in {arguments.output}, {drawer.drawn} of {len(drawn) // 2} figures drawn anew"
    )


if __name__ == "__main__":
    main()
