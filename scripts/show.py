"""Shows runs of yours: learning curves, comparisons, laws over time, tables of numbers.

  python scripts/show.py numbers                              everything that is recorded
  python scripts/show.py curves task=mnist_mlp                a line per optimizer and setting
  python scripts/show.py compare optimizer=sgd learning_rate=0.01,0.1
                                                              two rates, and their difference
  python scripts/show.py probe optimizer=m_0.9_m_0.0          the law over time
  python scripts/show.py curves --records examples/regression --split validation
  python scripts/show.py curves --records results/records optimizer=sgd,adam

Words pick runs: task, optimizer (label or config), role, seed, steps, any hyperparameter and
setting. Lines are means over seeds with 95 % intervals. Where a cell has final runs, others are
shown only if role or seed is asked for. Pictures and tables go to --output.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
from rllc.replication import paper  # noqa: E402
from rllc.suite import metrics, plotting, records  # noqa: E402
from rllc.suite.choose import selection  # noqa: E402
from rllc.suite.errors import PlanError, RecordsError  # noqa: E402
from rllc.suite.execute.parser import Parser  # noqa: E402
from rllc.suite.markdown import text_table  # noqa: E402
from rllc.suite.plan import studies  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402
from rllc.suite.show import lines, picking  # noqa: E402
from rllc.suite.show.lines import Line  # noqa: E402
from rllc.suite.study import Study, StudyError  # noqa: E402

WHAT = ("curves", "compare", "probe", "numbers")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="which runs")
    parser.add_argument(
        "--records", type=records.folder, default=Path("local/records"),
        help="a records folder, or the folder of a study (default: local/records)",
    )  # fmt: skip
    parser.add_argument("--output", type=records.folder, help="default: show, beside the records")
    parser.add_argument("--metric", default="", help="default: each task's leading one")
    parser.add_argument("--split", choices=("test", "validation", "train"), default="test")
    parser.add_argument("--probe", default="", help="default: law, or the only one recorded")
    given = parser.parse_intermixed_args()
    _refuse_idle(parser, given)
    return given


def _refuse_idle(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Options that would have no effect."""
    if given.probe and given.what != "probe":
        parser.error(f"--probe says nothing with {given.what}")
    draws = given.what in ("curves", "compare")
    for option in ("metric", "split"):
        if not draws and getattr(given, option) != parser.get_default(option):
            parser.error(f"--{option} says nothing with {given.what}")
    if given.metric and given.split == "train":
        parser.error("--metric says nothing with --split train, which has the loss only")


def found(place: Path) -> tuple[Path, Study, Conf]:
    """The records folder of a place, and the study and configs whose names are known there.

    Raises:
      RecordsError: there are no records.
      StudyError: the study beside them cannot be read.
    """
    file = next(
        (f / "study.yaml" for f in (place, place.parent) if (f / "study.yaml").exists()), None
    )
    folder = place / "records" if file and file.parent == place else place
    if not records.shards(folder):
        raise RecordsError(f"no records in {folder}: is it spelt right, and has anything trained?")
    if file is None:
        return folder, paper.STUDY, Conf(ROOT / "conf")
    given = studies.read(file)
    conf = Conf(ROOT / "conf", () if given.conf is None else (given.conf,))
    return folder, studies.resolved(conf, given)[0], conf


def picked(given: argparse.Namespace) -> tuple[records.Records, Study, list[Line], Path]:
    """Records, study with metrics, the lines that the words pick, and where the output goes."""
    folder, study, conf = found(given.records)
    loaded = records.load(folder)
    study = study._replace(metrics={**study.metrics, **metrics.by_task(loaded)})
    runs = picking.described(selection.tidy(loaded.runs))
    names = {name: label for label, name in conf.labels().items()}
    runs = picking.preferred(picking.pick(runs, given.words, names), given.words)
    if set(runs.data) == {"synthetic"}:
        print("made-up data: these numbers mean nothing")
    output = given.output or folder.parent / "show"
    return loaded, study, lines.of_runs(study, picking.lines(runs)), output


def draw(given: argparse.Namespace) -> None:
    """Draws or tabulates what was asked for; prints a table and the paths."""
    loaded, study, every, output = picked(given)
    if given.what == "numbers":
        return tell(lines.numbers(study, every, loaded.curves), output / "numbers.csv")
    if given.metric:
        _check_metric(study, every, given.metric)
    drawn = lines.best(study, every, loaded.curves)
    if len(drawn) < len(every):
        print(f"{len(every)} lines: the best {lines.MOST} of each task by validation are shown")
    if given.what == "probe":
        probe = _probe(loaded, drawn, given.probe)
        values = loaded.probe(probe, [run for line in drawn for run in line.runs.run])
        figure, table = lines.probe_figure(study, drawn, values, probe)
        name = probe
    else:
        figure = lines.curve_figure(study, drawn, loaded.curves, given.split, given.metric)
        table, name = lines.numbers(study, drawn, loaded.curves), given.what
    tell(table)
    if given.what == "compare":
        _compare(study, drawn, loaded.curves)
    for path in plotting.save(figure, output / name):
        print(path)
    return None


def _compare(study: Study, drawn: list[Line], curves: pd.DataFrame) -> None:
    found = list(lines.differences(study, drawn, curves))
    if not found:
        raise RecordsError("nothing to compare: the words pick one line; see `numbers`")
    print("\nvalidated, paired by seed, in the leading metric:")
    for line, first, text in found:
        print(f"  {study.title(line.task)}: {line.label(study)} minus {first.label(study)}: {text}")


def _check_metric(study: Study, every: list[Line], name: str) -> None:
    for task in {line.task for line in every}:
        if study.of_column(task, f"test_{name}") is None:
            there = ", ".join(metric.name for metric in study.all_metrics(task))
            raise RecordsError(f"{task} has no metric {name!r}; it has {there}")


def _probe(loaded: records.Records, drawn: list[Line], wanted: str) -> str:
    """The probe to draw: the one asked for, the law, or the only one there is."""
    known = loaded.probes([run for line in drawn for run in line.runs.run])
    if not known:
        raise RecordsError("nothing was recorded over time of these runs (see `probes` in configs)")
    if wanted and wanted not in known:
        raise RecordsError(f"no probe {wanted!r} is recorded; there are {', '.join(known)}")
    if not wanted and "law" not in known and len(known) > 1:
        raise RecordsError(f"which of the probes {', '.join(known)}? give --probe NAME")
    return wanted or ("law" if "law" in known else known[0])


def tell(table: pd.DataFrame, path: Path | None = None) -> None:
    """Prints a table of texts, and writes it where a path is given."""
    print(text_table([str(name) for name in table], table.to_numpy().tolist()))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False, lineterminator="\n")
        print(path)


def main() -> None:
    """Reads the command line."""
    try:
        draw(parse())
    except (PlanError, RecordsError, StudyError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
