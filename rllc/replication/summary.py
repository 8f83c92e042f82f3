"""`results/summary.md`: every cell beside the paper's, what falls short, and speed, on one page."""

from pathlib import Path

import pandas as pd

from rllc.replication import early_choice, law_rates, paper, question_report, report, search
from rllc.replication.analysis import Replication
from rllc.replication.paper import STUDY
from rllc.suite.choose import screens
from rllc.suite.markdown import MISSING, markdown_table
from rllc.suite.score.provenance import FULL
from rllc.suite.score.readings import HEADLINE
from rllc.suite.show.analysis import Analysis
from rllc.suite.show.tables import ordered
from rllc.suite.speed import report as speed
from rllc.suite.speed import store


def to_markdown(r: Replication, benchmarks: Path) -> str:
    """The page.

    Args:
      r: what the records say.
      benchmarks: folder of the measurements of speed; without any, the page has none.
    """
    return f"# Results on one page\n\n{_results(r)}{_speed(benchmarks)}"


def _results(r: Replication) -> str:
    a = r.measured
    cells = a.cells[a.cells.reading == HEADLINE]
    measured = STUDY.task_order(set(cells.task))
    cells = ordered(STUDY, cells[cells.optimizer.isin(paper.OPTIMIZERS)])
    optimizers = list(dict.fromkeys(cells.optimizer))
    by_cell = {(row.optimizer, row.task): _cell(row) for row in cells.itertuples()}
    body = [[paper.pretty(o), *(by_cell.get((o, t), "–") for t in measured)] for o in optimizers]
    head = ["test accuracy (%)", *(paper.title(task) for task in measured)]
    table = markdown_table(head, body) if measured else "No final runs are recorded yet."
    return (
        f"{report.headline(a)}\n\n"
        "Mean ± standard deviation over seeds at the step chosen on validation data, n runs (those "
        "that diverged are not in the mean, those that ended at chance are); the paper's mean in "
        f"brackets{_metric_note(cells)}."
        "\n\n"
        f"{table}\n\n{_provenance(a)}{_beyond(r)}"
        "All readings, losses and intervals: [Table 1](tables/table1.md), "
        "[Table 2](tables/table2.md), [how each cell was made]"
        "(tables/provenance.md), [verdicts on the paper's claims]"
        "(replication.md), [figures](figures).\n"
    )


def _metric_note(cells: pd.DataFrame) -> str:
    """How far the paper's metric, a mean over test batches, is from ours."""
    change = (cells.batch_accuracy_mean - cells.test_accuracy_mean).dropna()
    if change.empty:
        return ""
    return (
        " (a mean over test batches, which would change ours by "
        f"{change.min():+.2f} to {change.max():+.2f} points)"
    )


def _cell(row) -> str:
    if pd.isna(row.test_accuracy_mean):
        return f"diverged, n={row.seeds} ({row.paper_accuracy:.2f})"
    spread = "" if pd.isna(row.test_accuracy_std) else f" ± {row.test_accuracy_std:.2f}"
    lost = f", {row.diverged} diverged" if row.diverged else ""
    lost += f", {row.at_chance} at chance" if row.at_chance else ""
    return f"{row.test_accuracy_mean:.2f}{spread}, n={row.seeds}{lost} ({row.paper_accuracy:.2f})"


def _provenance(a: Analysis) -> str:
    """Devices and what falls short of the paper's protocol, so that no number stands without it."""
    made = a.made[a.made.optimizer.isin(paper.OPTIMIZERS)]
    if made.empty:
        return ""
    devices = ", ".join(sorted({part for d in made.device.dropna() for part in d.split(" + ")}))
    text = (
        f"Trained on: {devices}. Hyperparameters: points of the paper's grids, chosen by "
        "validation accuracy on tuning seeds that no final run shares.\n\n"
    )
    parts = ("training", "tuning")
    body = [
        [paper.title(task), *(_short(made[made.task == task], part) for part in parts)]
        for task in STUDY.task_order(made.task)
    ]
    body = [row for row in body if row[1:] != [MISSING, MISSING]]
    if body:
        text += markdown_table(["short of the paper's protocol", *parts], body) + "\n\n"
    if early := early_choice.sentence(a.early):
        text += f"{early} [By step](figures/tuning_steps.png).\n\n"
    if checked := screens.sentence(STUDY, a.screens):
        text += f"{checked} [By grid](tables/screens.csv).\n\n"
    return text


def _short(made: pd.DataFrame, part: str) -> str:
    """What the cells of one task lack, most common first, with their number where they differ."""
    counts = made[made[part] != FULL][part].value_counts(sort=False).sort_index()
    counts = counts.sort_values(ascending=False, kind="stable")
    if list(counts) == [len(made)]:
        return str(counts.index[0])
    return ", ".join(f"{text} ({n} of {len(made)} cells)" for text, n in counts.items()) or MISSING


def _beyond(r: Replication) -> str:
    """Verdicts on the open questions, and of a search beyond the paper's propagators."""
    verdicts = question_report.one_line(r.deviations)
    lines = [f"[Questions the paper leaves open](tables/questions.md): {verdicts}."]
    if len(r.witnesses):
        lines.append(question_report.witness_sentence(r.witnesses))
    if by_law_rate := law_rates.summary(r.law_rates):
        lines.append(by_law_rate)
    lines += [
        f"{search.sentence(found)} [All candidates](tables/propagator_search.md)."
        for found in search.found(r.measured)
    ]
    return "".join(f"{line}\n\n" for line in lines)


def _speed(folder: Path) -> str:
    path = folder / "summary.csv"
    if not path.exists():
        return ""
    parts = ["Speed, from [`make benchmark`](benchmarks): momentum SGD in groups of runs."]
    for device, rows in pd.read_csv(path).groupby("device", sort=True):
        value = rows.set_index(["metric", "case"]).value
        parts.append(_throughput(str(device), value))
        ratios = rows[rows.metric == "update_time_over_adam"]
        if len(ratios):
            times = ", ".join(f"{row.case}: ×{row.value:.2f}" for row in ratios.itertuples())
            parts.append(
                f"Time of an RLLC update alone over Adam's, 10⁷ parameters, {device}: {times}."
            )
    shared = store.read(folder, "batching")
    if len(shared):
        parts += [
            f"On one {device}, {speed.batching(STUDY, rows)}"
            for device, rows in shared.groupby("device", sort=True)
        ]
    return "\n" + "\n\n".join(parts) + "\n"


def _throughput(device: str, value: pd.Series) -> str:
    """One row per task."""
    measures = {
        "run_steps_per_second": ("run-steps/s", "{:,.4g}"),
        "matmul_fraction": ("products at the rate of a bare matmul", "{:.0%}"),
        "speedup_over_loop": ("against a Flax + optax loop", "×{:.2f}"),
    }
    tasks = STUDY.task_order([case for _, case in value.index if case in paper.TASKS])
    body = [
        [
            paper.title(task),
            *(
                form.format(value[metric, task]) if (metric, task) in value.index else "–"
                for metric, (_, form) in measures.items()
            ),
        ]
        for task in tasks
    ]
    return markdown_table([device, *(title for title, _ in measures.values())], body)
