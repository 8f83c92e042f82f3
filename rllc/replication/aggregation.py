"""From records to every committed table, figure and report, the same bytes every time."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pandas as pd
from matplotlib.figure import Figure

from rllc.replication import (
    captions,
    figures,
    half_precision,
    hypotheses,
    initial_laws,
    law_figures,
    law_rates,
    law_variants,
    law_variants_beyond,
    multiverse,
    question_figures,
    question_report,
    question_verdicts,
    reach,
    report,
    reported,
    search,
    second_reading,
    short_horizon,
    summary,
)
from rllc.replication.analysis import Replication
from rllc.replication.deviations import DEVIATIONS
from rllc.replication.initial_laws import WITNESSES
from rllc.replication.law_dynamics import COUPLED, MIXED
from rllc.replication.law_rates import LAW_RATES
from rllc.replication.paper import STUDY
from rllc.replication.question_verdicts import ANSWERS
from rllc.replication.search import STANDING
from rllc.suite import plotting
from rllc.suite.drawing import Save
from rllc.suite.score.provenance import short_grids
from rllc.suite.show import aggregation
from rllc.suite.show.aggregation import write_text
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.figures import curve_table


def write_tables(
    r: Replication, output: Path, studies: Mapping[str, Analysis] = MappingProxyType({})
) -> None:
    """Writes everything under ``output/tables``; `studies` are those under ``output/studies``."""
    aggregation.write_tables(r.measured, output)
    folder = output / "tables"
    ANSWERS.to_csv(question_verdicts.answers(r.deviations), folder / "questions.csv")
    DEVIATIONS.to_csv(r.deviations, folder / "questions_cells.csv")
    WITNESSES.to_csv(r.witnesses, folder / "initial_laws.csv")
    LAW_RATES.to_csv(r.law_rates, folder / "law_rates.csv")
    a = r.measured
    accuracies = initial_laws.accuracies(r.elsewhere, a.records.curves, a.summary)
    questions = question_report.page(r.deviations, r.witnesses, accuracies, r.law_rates)
    write_text(folder / "questions.md", questions)
    short_horizon.BIASES.to_csv(r.biases, folder / "short_horizon.csv")
    write_text(folder / "short_horizon.md", short_horizon.page(r.biases))
    _write_variants(r, output, studies)
    _write_readings(r, folder)
    _write_search(r, folder)


def _write_variants(r: Replication, output: Path, studies: Mapping[str, Analysis]) -> None:
    """Which law does not collapse."""
    folder, chosen = output / "tables", law_variants.chosen(r.variants.choice)
    beyond = law_variants_beyond.section(
        chosen, studies.get(law_variants_beyond.STUDY), output / "quadratics" / "runs.csv"
    )
    law_variants.CHOICE.to_csv(r.variants.choice, folder / "law_variants_choice.csv")
    law_variants.RESULTS.to_csv(r.variants.results, folder / "law_variants.csv")
    law_variants.TEST_NUMBERS.to_csv(r.variants.tests, folder / "law_variants_tests.csv")
    write_text(folder / "law_variants.md", law_variants.page(r.variants, beyond))


def _write_readings(r: Replication, folder: Path) -> None:
    """What the paper may have run and reported, and its claims in every world."""
    hypotheses.POINTS.to_csv(r.tried, folder / "hypotheses.csv")
    write_text(folder / "hypotheses.md", hypotheses.page(r.tried))
    second_reading.CELLS.to_csv(r.second, folder / "second_reading.csv")
    write_text(folder / "second_reading.md", second_reading.page(r.second, r.witnesses))
    half_precision.CELLS.to_csv(r.half, folder / "half_precision.csv")
    write_text(folder / "half_precision.md", half_precision.page(r.half))
    reach.REACH.to_csv(r.reach, folder / "reach.csv")
    reported.REPORTED_CELLS.to_csv(r.reported, folder / "reported.csv")
    write_text(folder / "reported.md", reported.page(r.reported))
    multiverse.WORLDS.to_csv(r.worlds, folder / "multiverse.csv")
    write_text(folder / "multiverse.md", multiverse.page(r.worlds))


def _write_search(r: Replication, folder: Path) -> None:
    parts = [f.standing for f in r.searches] or [STANDING.empty()]
    STANDING.to_csv(pd.concat(parts, ignore_index=True), folder / "propagator_search.csv")
    write_text(folder / "propagator_search.md", search.page(r.searches))


def write_report(r: Replication, output: Path) -> None:
    """Writes ``summary.md``, ``replication.md`` and its rows as ``tables/claims.csv``."""
    sections = report.all_claims(r)
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "summary.md", summary.page(r, output / "benchmarks"))
    write_text(output / "replication.md", report.page(r, sections))
    report.CLAIMS.to_csv(report.claims_table(sections), output / "tables" / "claims.csv")


def all_figures(r: Replication) -> dict[str, Callable[[], Figure]]:
    """Every figure by file name, drawn when called."""
    a = r.measured
    curves = curve_table(a.study, a.final, a.records.curves, a.made)
    out: dict[str, Callable[[], Figure]] = {
        "figure1": lambda: figures.figure1(curves),
        **_figures_of_laws(r),
        "figure3": lambda: figures.figure3(a.timings),
        "figure4": lambda: figures.figure4(curves),
        "figure5": lambda: figures.figure5(curves),
        "questions": lambda: question_figures.questions_figure(r.deviations),
    }
    for task in STUDY.task_order(r.law_rates.task):
        out[f"law_rates_{task}"] = partial(law_rates.figure, a.runs, a.records, task)
    if len(r.biases):
        out["short_horizon"] = lambda: short_horizon.figure(r.biases)
    return out | aggregation.sweep_drawings(a)


def _figures_of_laws(r: Replication) -> dict[str, Callable[[], Figure]]:
    """Figure 2 from every initial law on every task with records.

    ``figure2`` is the first that shows what the paper's does, whatever its initial law; where none
    does, the suite's own initial law on the first task.
    """
    a = r.measured
    found = law_figures.like_the_paper(a.records, {"": a.final, **r.elsewhere})
    main = found or ("", law_figures.default_task(a.final))
    with_law = a.final[a.final.optimizer.isin([MIXED, COUPLED])]
    tasks = STUDY.task_order(with_law.task) or [main[1]]
    laws = {("", task): partial(_law_figure, a, task) for task in tasks}
    for answer, final in r.elsewhere.items():
        words = initial_laws.in_words(answer)
        for task in STUDY.task_order(final.task):
            laws[answer, task] = partial(law_figures.figure2, a.records, final, task, words)
    rest = {_law_name(*key): draw for key, draw in laws.items() if key != main}
    return {"figure2": laws[main], **rest}


def _law_name(answer: str, task: str) -> str:
    word = re.sub(r"[^\w.]+", "_", answer).strip("_")
    return "_".join(part for part in ("figure2", word, task) if part)


def _law_figure(a: Analysis, task: str) -> Figure:
    is_short = short_grids(a.made, task, MIXED, COUPLED)
    note = "rates from a short grid" if is_short else ""
    return law_figures.figure2(a.records, a.final, task, note=note)


def write_figures(
    r: Replication, output: Path, empty: bool = True, save: Save = plotting.save
) -> list[Path]:
    """Draws everything under ``output/figures`` as PNG and PDF; returns the paths."""
    return aggregation.write_figures(all_figures(r), output, captions.caption, empty, save)
