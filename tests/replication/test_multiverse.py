"""Claims in every world, on made-up final runs whose words are known."""

import numpy as np
import pandas as pd
import pytest

from rllc.replication import multiverse, paper
from rllc.replication.multiverse import BEST, FORKS, MAIN, MOMENTUM, NO_RUNS
from rllc.replication.paper import STUDY
from rllc.suite.show import analysis
from tests.suite import synthetic_records as made

pytestmark = pytest.mark.slow

TASK = "cifar10_mlp"


@pytest.fixture(scope="module")
def found():
    """All cells of one task with the paper's accuracies and 0.1 points of noise."""
    records = made.records((TASK,), seeds=range(5))
    return multiverse.table(analysis.analyse(STUDY, records))


def test_every_claim_on_every_task_in_every_world(found):
    assert list(found.columns) == multiverse.WORLDS.names
    assert len(found) == 2 * len(paper.TASKS) * 12
    assert set(found.verdict[found.task != TASK]) == {NO_RUNS}
    here = found[(found.task == TASK) & (found["selection"] == "accuracy")]
    assert NO_RUNS not in set(here.verdict)
    assert set(here.n) == {5}


def test_a_difference_as_large_as_the_papers_is_replicated(found):
    row = found.set_index(["claim", "task", *FORKS]).loc[(MOMENTUM, TASK, *MAIN)]
    claimed = multiverse.claimed_by_the_paper(MOMENTUM, TASK)
    theirs = paper.cells().set_index(["task", "optimizer"]).test_accuracy_mean[TASK]
    assert claimed == pytest.approx(theirs["M(0.9)"] - theirs["Momentum SGD"])
    assert row.claimed == claimed
    assert row.low < row.difference < row.high
    assert (row.low > 0) == (row.verdict in ("replicated", "smaller than claimed"))
    assert row.difference == pytest.approx(claimed, abs=0.5)


def test_a_diverged_run_counts_as_a_guess_and_does_not_narrow_the_interval():
    records = made.records((TASK,), seeds=range(3))
    best = multiverse.table(analysis.analyse(STUDY, records))
    best = best.set_index(["claim", "task", *FORKS]).loc[(BEST, TASK, *MAIN)].optimizer
    lost = records.runs.optimizer.isin([best, "M(0.9)"]) & (records.runs.seed == 0)
    records.runs.loc[lost, "status"] = "diverged"
    found = multiverse.table(analysis.analyse(STUDY, records))
    found = found.set_index(["claim", "task", *FORKS])
    assert found.optimizer[(BEST, TASK, *MAIN)] not in (best, "M(0.9)")
    row = found.loc[(MOMENTUM, TASK, *MAIN)]
    assert row.difference < -5  # one of three runs at 10 %
    assert row.high > 0
    assert row.verdict == "inconclusive"


def test_the_margin_is_half_of_what_is_claimed_and_never_above_the_tolerance():
    assert multiverse.margin(0.2) == 0.1
    assert multiverse.margin(5.0) == paper.TOLERANCE
    assert multiverse.margin(-1.0) == paper.TOLERANCE


def worlds(**changed):
    """All worlds of one claim, replicated but for what `changed` says: a fork's value -> word."""
    keys = pd.MultiIndex.from_product(
        [multiverse.SELECTIONS, multiverse.STOPS, multiverse.TESTS], names=FORKS
    )
    rows = keys.to_frame(index=False).assign(verdict="replicated", short_grid=False)
    for value, word in changed.items():
        rows.loc[(rows[FORKS] == value).any(axis=1), "verdict"] = word
    return rows


def test_a_claim_that_depends_on_the_way_says_on_what():
    assert multiverse.overall(worlds()) == "replicated"
    assert multiverse.overall(worlds(last="inconclusive")) == "hinges on reading"
    assert multiverse.overall(worlds(paired="reversed")) == "hinges on test"
    both = worlds(last="inconclusive", paired="reversed")
    assert multiverse.hinges(both) == ["reading", "test"]
    assert multiverse.overall(worlds(loss=NO_RUNS)) == "replicated"
    assert multiverse.overall(worlds(accuracy=NO_RUNS)) == NO_RUNS
    assert multiverse.overall(worlds().assign(short_grid=True)) == multiverse.SHORT_GRID


def test_the_page_has_a_line_per_claim_and_task(found):
    text = multiverse.page(found)
    lines = [line for line in text.splitlines() if line.startswith(("| RLLC", "| M(0.9)"))]
    assert len(lines) == 14
    assert sum(NO_RUNS in line for line in lines) >= 12
    (line,) = [x for x in lines if x.startswith(f"| {BEST}, {paper.title(TASK)}")]
    row = found.set_index(["claim", "task", *FORKS]).loc[(BEST, TASK, *MAIN)]
    assert f"{row.difference:+.2f} [{row.low:+.2f}, {row.high:+.2f}]" in line
    assert np.isfinite(row.detectable)
