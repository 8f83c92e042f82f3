"""Sweeps over the law rate, on made-up runs whose law is known."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from rllc.replication import aggregation, analysis, law_rates, paper, question_report
from rllc.replication.paper import STUDY
from rllc.suite.choose.selection import with_hyper
from tests.suite import synthetic_records as made

pytestmark = pytest.mark.slow

TASK, NAME = "mnist_conv", "M(0.9)"
LEFT = {0.0003: 0.8, 0.001: 0.5, 0.003: 0.1}


class Records(NamedTuple):
    """Made-up records in which a law falls from 2 to 2 × `LEFT` of its law rate."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    metrics: Mapping = MappingProxyType({})

    def laws(self, runs):
        steps = np.arange(0, 10_001, 10)
        parts = []
        for run in with_hyper(self.runs[self.runs.run.isin(list(runs))]).itertuples():
            left = LEFT.get(run.law_learning_rate, 1.0)
            law = 2 * (1 - (1 - left) * steps / 10_000)
            units = np.stack([law] * made.num_units(run.optimizer), 1).astype(np.float32)
            parts.append(pd.DataFrame({"run": run.run, "step": steps, "law": list(units)}))
        return pd.concat(parts) if parts else pd.DataFrame(columns=["run", "step", "law"])


def swept(seeds=(200,), name=NAME, floors=(0.01, 0.02, 0.04), **more):
    return [
        made.run(TASK, name, seed, 0.1, law_rate, floor=floor, noise=0.0, **more)
        for law_rate, floor in zip(LEFT, floors, strict=True)
        for seed in seeds
    ]


def analysed(pairs):
    return analysis.analyse(Records(*made.gather(pairs)[:2]))


def test_a_row_per_law_rate_with_accuracy_and_what_is_left_of_the_law():
    a = analysed([*swept(seeds=(200, 201)), *swept(name="M2(0.6)")])
    table = a.law_rates
    assert list(table.columns) == law_rates.LAW_RATES.names
    first = table[table.optimizer == NAME]
    assert list(first.law_learning_rate) == sorted(LEFT)
    np.testing.assert_allclose(first.law_left, list(LEFT.values()), rtol=1e-6)
    drift = [-2 * (1 - left) / 10_000 / law_rate for law_rate, left in LEFT.items()]
    np.testing.assert_allclose(first.drift, drift, rtol=1e-5)
    assert list(first.seeds) == [2, 2, 2]
    values = law_rates.readings.readings(
        STUDY, a.measured.runs.assign(tuned=True), a.measured.records.curves
    )
    slow = values[(values.run.str.contains("0.0003")) & (values.optimizer == NAME)]
    for reading in law_rates.READINGS:
        wanted = slow[slow.reading == reading].test_accuracy.mean()
        assert first[reading].iloc[0] == pytest.approx(wanted)
    assert first.loss.iloc[0] == pytest.approx(slow[slow.reading == "best"].test_loss.mean())
    theirs = paper.cells().set_index(["task", "optimizer"]).test_accuracy_mean
    assert set(first.paper_accuracy) == {theirs[TASK, NAME]}
    assert list(dict.fromkeys(table.optimizer)) == [NAME, "M2(0.6)"]  # the paper's order


def test_only_full_length_runs_on_question_seeds_of_cells_with_several_law_rates():
    alone = [made.run(TASK, "M3(0.6)", 200, rate, 0.003) for rate in (0.03, 0.1)]
    kept = [*swept(), made.run(TASK, NAME, 200, 0.03, 0.003)]
    a = analysed([*kept, *alone, *swept(seeds=(100,)), *swept(seeds=(0,))])
    assert set(law_rates.runs(a.measured.runs).run) == {row["run"] for row, _ in kept}
    short = analysed(swept(steps=3_000))
    assert short.law_rates.empty
    assert law_rates.summary(short.law_rates) == ""


def test_a_diverged_run_is_counted_and_gives_no_number():
    lost = made.run(TASK, NAME, 201, 0.1, 0.0003, status="diverged")
    both = analysed([*swept(), lost]).law_rates.iloc[0]
    alone = analysed(swept()).law_rates.iloc[0]
    assert (both.seeds, both.diverged) == (2, 1)
    assert both.validated == alone.validated
    only = analysed([lost, *swept()[1:]]).law_rates
    assert only.iloc[0][["validated", "loss", "law_left", "drift"]].isna().all()
    rest = only.iloc[1:].validated
    shown = f"| {rest.iloc[1]:.2f} (10 %) | {rest.iloc[0]:.2f} (50 %) | diverged |"
    assert shown in law_rates.summary(only)
    assert "1 diverged" in law_rates.LAW_RATES.to_markdown(only)


def test_the_report_the_summary_and_the_figure_show_the_sweep():
    a = analysed(swept())
    best = a.law_rates.iloc[0]
    said = law_rates.summary(a.law_rates)
    assert "| test accuracy (%) by law rate | 0.003 | 0.001 | 0.0003 | paper |" in said
    assert f"| {best.validated:.2f} (80 %) | {best.paper_accuracy:.2f} |" in said
    text = question_report.page(a.deviations, by_law_rate=a.law_rates)
    assert f"law_rates_{TASK}.png" in text
    assert "| 80 % |" in text
    drawn = aggregation.all_figures(a)[f"law_rates_{TASK}"]()
    accuracy, law = drawn.axes
    ends = {line.get_label(): line.get_ydata()[-1] for line in accuracy.lines}
    assert ends["law rate 0.0003"] == pytest.approx(best["last"])
    assert ends["the paper's mean"] == best.paper_accuracy
    lowest = sorted(line.get_ydata()[-1] for line in law.lines if len(line.get_xdata()) > 2)
    np.testing.assert_allclose(lowest, sorted(LEFT.values()), rtol=1e-6)


def test_a_learning_rate_with_one_law_rate_stands_beside_the_others():
    a = analysed([*swept()[:2], made.run(TASK, NAME, 200, 0.03, 0.003)])
    low, high = law_rates.summary(a.law_rates).splitlines()[-2:]
    assert "learning rate 0.03 |" in low
    assert "(10 %) | – | – |" in low
    assert "learning rate 0.1 | – |" in high
    drawn = aggregation.all_figures(a)[f"law_rates_{TASK}"]()
    (legend,) = drawn.legends
    labels = [text.get_text() for text in legend.get_texts()]
    rates = [f"law rate {rate:g}" for rate in sorted(LEFT)]  # of both columns, the first has one
    assert labels == [*rates, "the paper's mean"]


def test_the_figure_leaves_diverged_runs_out():
    lost = [made.run(TASK, NAME, 200, 0.1, rate, status="diverged") for rate in LEFT]
    some = aggregation.all_figures(analysed([*lost[:1], *swept()[1:]]))[f"law_rates_{TASK}"]()
    labels = [line.get_label() for line in some.axes[0].lines]
    assert labels == ["law rate 0.001", "law rate 0.003", "the paper's mean"]
    none = aggregation.all_figures(analysed(lost))[f"law_rates_{TASK}"]()
    assert [line.get_label() for line in none.axes[0].lines] == ["the paper's mean"]
