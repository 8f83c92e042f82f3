"""The first page of the report, on worlds whose words are known."""

import pandas as pd
import pytest

from rllc.replication import analysis, hypotheses, multiverse, opening, paper, reach
from rllc.replication.multiverse import BEST, FORKS, MAIN, NO_RUNS
from rllc.suite.score import verdicts
from tests.suite import synthetic_records as made


def worlds(task="mnist_mlp", short_grid=False, **changed):
    """One claim in all worlds: replicated, but for what `changed` says: a fork's value -> word."""
    keys = pd.MultiIndex.from_product(
        [multiverse.SELECTIONS, multiverse.STOPS, multiverse.TESTS], names=FORKS
    )
    rows = keys.to_frame(index=False).assign(
        claim=BEST, task=task, claimed=0.5, difference=0.6, low=0.4, high=0.8, n=10.0,
        baseline_n=10.0, detectable=0.25, verdict=verdicts.REPLICATED, short_grid=short_grid,
    )  # fmt: skip
    for value, word in changed.items():
        rows.loc[(rows[FORKS] == value).any(axis=1), "verdict"] = word
    return rows


def test_seven_words_stand_in_one_sentence():
    found = pd.concat(
        [
            worlds(), worlds("mnist_conv", accuracy=verdicts.REVERSED, loss=verdicts.REVERSED)
            .assign(verdict=verdicts.REVERSED),
            worlds("fashion_mnist_mlp", last=verdicts.INCONCLUSIVE),
            worlds("cifar10_resnet20", short_grid=True),
            worlds("cifar10_mlp").assign(verdict=NO_RUNS),
        ]
    )  # fmt: skip
    text = opening.verdict(found)
    assert text.startswith(
        "**That claim is replicated on 1 of 5 tasks, reversed on 1; on 1 the answer depends on how "
        "it is measured; on 1 too few rates were tried for a verdict; 1 are not yet measured.**"
    )
    assert "| MNIST MLP | +0.50 | +0.60 [+0.40, +0.80] | 10 | replicated |" in text
    assert (
        "| Fashion-MNIST MLP | +0.50 | +0.60 [+0.40, +0.80] | 10 | depends on the stopping step |"
        in text
    )
    assert "no verdict yet: few rates tried |" in text


@pytest.mark.parametrize(("n", "other", "detectable", "needed"), [
    (10, 10, 0.5, 10),  # what is claimed is just detectable
    (10, 10, 1.0, 40),  # half the error takes four times the seeds
    (3, 6, 0.5, 4),  # 1/3 + 1/6 = 2/4
])  # fmt: skip
def test_seeds_that_would_be_needed(n, other, detectable, needed):
    rows = worlds().assign(n=n, baseline_n=other, detectable=detectable)
    assert opening.gains(rows).seeds_needed[0] == needed


@pytest.mark.slow
def test_the_page_says_what_would_change_each_open_verdict():
    quiet = worlds("fashion_mnist_mlp", last=verdicts.INCONCLUSIVE)
    noisy = worlds("mnist_conv").assign(verdict=verdicts.INCONCLUSIVE, detectable=1.0)
    empty = analysis.analyse(made.nothing())
    text = opening.page(empty._replace(worlds=pd.concat([quiet, noisy])))
    assert "**More seeds on MNIST Conv.** Its seeds find a gain of 1.00 points" in text
    assert "the paper's +0.50 would take about 40 on each side." in text
    assert "**Agreement on how to measure on Fashion-MNIST MLP.**" in text
    assert "More seeds on Fashion-MNIST MLP" not in text


@pytest.mark.slow
def test_a_confirmed_initial_law_asks_for_a_second_reading():
    empty = analysis.analyse(made.nothing())
    assert "A reading of the initial law that is confirmed" in opening.page(empty)
    words = {"e1_3": hypotheses.UNDECIDED, "e1_5": hypotheses.CONFIRMED}
    tried = empty.tried.assign(
        verdict=empty.tried.hypothesis.map(words).fillna(hypotheses.UNMEASURED)
    )
    text = opening.page(empty._replace(tried=tried))
    assert "**The second reading.** L₀ = x·e₁, x near 5: confirmed" in text
    assert "after 2 values of x were tried" in text
    assert "A reading of the initial law that is confirmed" not in text


@pytest.mark.slow
def test_without_records_the_page_has_the_papers_gains():
    text = opening.page(analysis.analyse(made.nothing()))
    assert "7 are not yet measured" in text
    assert "| CIFAR-10 ResNet-20 | +1.90 | – | – | no final runs |" in text


def test_main_world_is_the_one_that_is_shown():
    rows = worlds()
    rows.loc[~(rows[FORKS] == list(MAIN)).all(axis=1), "difference"] = 9.0
    assert opening.gains(rows).difference[0] == 0.6


def test_reach_is_the_best_run_step_and_seed_against_the_papers_mean():
    task, name = "cifar10_conv", "M(0.9)"
    theirs = paper.cells().set_index(["task", "optimizer"]).test_accuracy_mean[task, name]
    runs = [made.run(task, name, seed, floor=floor) for seed, floor in ((0, 0.3), (100, 0.2))]
    runs += [made.run(task, base, 0, floor=0.05) for base in paper.BASELINES]
    runs += [made.run("mnist_mlp", name, 0, floor=0.01)]
    found = reach.table(made.analysed(made.gather(runs)))
    assert set(found.task) == {task}
    row = found.set_index("optimizer").loc[name]
    assert row.runs == 2
    assert row.highest == pytest.approx(80, abs=1)
    assert row.short_by == pytest.approx(theirs - row.highest)
    (line,) = reach.by_task(found)
    assert (line["cells"], line["baselines"], line["of"]) == (1, 3, 3)
    assert line["short"] == int(row.short_by > 0)
