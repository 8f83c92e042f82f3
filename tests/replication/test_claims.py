"""Verdicts on records whose verdicts are known, and the counts at the top of the report."""

import pytest

from rllc.replication import (
    analysis,
    claims,
    family_claims,
    law_claims,
    paper,
    report,
)
from rllc.replication.claims import NOT_MEASURED, NOT_SUPPORTED, PARTLY, SUPPORTED, Claim
from rllc.replication.paper import STUDY
from rllc.suite.score import ranking
from rllc.suite.score.statistics import Interval
from tests.suite import synthetic_records as made

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def as_printed() -> analysis.Replication:
    """All 77 cells with the paper's own errors, four seeds, little noise."""
    pairs = [
        made.run(task, name, seed, noise=1e-5)
        for task in paper.TASKS
        for name in paper.OPTIMIZERS
        for seed in range(4)
    ]
    return analysis.analyse(made.gather(pairs))


def test_the_papers_own_numbers_support_its_claims(as_printed):
    sections = dict(report.all_claims(as_printed))
    green = sections["Green cells of the paper's Table 1: test accuracy"]
    assert len(green) == 30
    assert [claim.verdict for claim in green] == [SUPPORTED] * 30
    assert all("best: yes" in claim.note for claim in green)
    assert claims.adaptive_momentum(as_printed.measured).verdict == SUPPORTED
    faster, better = sections["Convergence on ResNet-20"]
    assert (faster.verdict, better.verdict) == (SUPPORTED, SUPPORTED)
    variation, gains = sections["Spread over seeds"]
    assert (variation.verdict, gains.verdict) == (SUPPORTED, SUPPORTED)


def test_all_cells_at_full_protocol_agree_with_themselves(as_printed):
    table = report.coverage(as_printed.measured)
    assert list(table.cells) == list(table.measured) == list(table.full) == [77] * 3
    assert list(table.whole_grid) == list(table.fully_tuned) == [0] * 3  # no tuning records
    agree = table.set_index("reading").agree
    assert agree["best"] == agree["validated"] == 77
    assert agree["last"] < 77  # CIFAR-10 errors end 2 % above their lowest, a point or more
    text = report.headline(as_printed.measured)
    assert "**77 of the paper's 77 cells are measured at full protocol**" in text
    assert "77 (validated)" in text


def test_reduced_runs_do_not_count_as_full_and_are_said_to_be_reduced():
    pairs = [
        made.run("mnist_mlp", name, seed, steps=2_000, noise=1e-5)
        for name in paper.OPTIMIZERS
        for seed in range(3)
    ]
    found = analysis.analyse(made.gather(pairs))
    table = report.coverage(found.measured).set_index("reading")
    assert (table.loc["best"].measured, table.loc["best"].full) == (11, 0)
    measured = [c for c in claims.green_cell_claims(found.measured) if c.verdict != NOT_MEASURED]
    assert measured
    assert all("reduced: 2000 of 10000 steps" in claim.note for claim in measured)


def test_a_short_grid_is_told_from_a_whole_one():
    """MNIST MLP tuned on the whole grid, MNIST Conv on two points of short runs."""
    final = [
        made.run(task, name, seed, noise=1e-5)
        for task in ("mnist_mlp", "mnist_conv")
        for name in ("M(0.9)", "Momentum SGD")
        for seed in range(3)
    ]
    rates = [1e-4 * 2.0**i for i in range(14)] + [made.BEST_RATE]
    grid = [made.run("mnist_mlp", "Momentum SGD", 100, learning_rate=rate) for rate in rates]
    short = [
        made.run("mnist_conv", "Momentum SGD", 100, learning_rate=rate, steps=1_000)
        for rate in (0.1, made.BEST_RATE)
    ]
    found = analysis.analyse(made.gather(final + grid + short))
    table = report.coverage(found.measured).set_index("reading").loc["validated"]
    assert (table.full, table.whole_grid, table.screened_grid, table.fully_tuned) == (4, 1, 0, 0)
    assert "1 of them tuned on the paper's whole grid, 0 with 3 seeds" in report.headline(
        found.measured
    )
    pair = ("M(0.9)", "Momentum SGD")
    assert claims.withheld(found.measured, "mnist_conv", *pair) == claims.SHORT_GRID
    assert not claims.withheld(found.measured, "mnist_mlp", *pair)
    note = claims.reduced_note(found.measured, "mnist_conv", "M(0.9)", "Momentum SGD")
    assert note == "reduced: tuned on 2 of 15 grid points; 1000 of 10000 steps"
    assert not claims.reduced_note(found.measured, "mnist_mlp", "M(0.9)", "Momentum SGD")
    assert claims.errors_saved(found.measured, "M(0.9)", "Momentum SGD")[1] == 1


def test_rates_from_a_screened_grid_settle_a_claim_and_are_called_reduced():
    final = [
        made.run("mnist_conv", name, seed, noise=1e-5)
        for name in ("M(0.9)", "Momentum SGD")
        for seed in range(3)
    ]
    rates = [1e-4 * 2.0**i for i in range(14)] + [made.BEST_RATE]
    kept = rates[-3:]
    grid = [
        made.run(
            "mnist_conv", "Momentum SGD", 100, learning_rate=rate, steps=3_000,
            floor=None if rate in kept else 0.1,  # too far off to draw level
        )
        for rate in rates
    ]  # fmt: skip
    grid += [made.run("mnist_conv", "Momentum SGD", 100, learning_rate=rate) for rate in kept]
    found = analysis.analyse(made.gather(final + grid))
    table = report.coverage(found.measured).set_index("reading").loc["validated"]
    assert (table.full, table.whole_grid, table.screened_grid) == (2, 0, 1)
    text = "; 1 more with all its points trained for at least 3,000 steps and the best 3 or more to"
    assert text in (report.headline(found.measured))
    assert not claims.withheld(found.measured, "mnist_conv", "M(0.9)", "Momentum SGD")
    steps = "whole grid for 3000 steps, its best points to the end"
    note = claims.reduced_note(found.measured, "mnist_conv", "M(0.9)", "Momentum SGD")
    assert note == f"reduced: tuned on {steps}"


def test_rates_from_short_grids_settle_no_claim():
    """The paper's own numbers everywhere, with rates from two short runs each."""
    pairs = [
        made.run(task, name, seed, noise=1e-5)
        for task in paper.TASKS
        for name in paper.OPTIMIZERS
        for seed in range(3)
    ]
    pairs += [
        made.run(task, name, 100, learning_rate=rate, steps=300)
        for task in paper.TASKS
        for name in paper.OPTIMIZERS
        for rate in (0.1, made.BEST_RATE)
    ]
    found = analysis.analyse(made.gather(pairs))
    given = {
        claim.claim
        for section, members in report.all_claims(found)
        for claim in members
        if claim.verdict in (SUPPORTED, NOT_SUPPORTED)
    }
    assert given == {"The test accuracy of RLLC varies little over seeds"}
    assert all("best: +" in claim.note for claim in claims.green_cell_claims(found.measured))


def test_nothing_measured_is_no_verdict():
    empty = analysis.analyse(made.nothing())
    for _, found in report.all_claims(empty):
        assert {claim.verdict for claim in found} == {NOT_MEASURED}
    assert "0 of the paper's 77 cells" in report.page(empty, [])


@pytest.mark.parametrize(
    ("low", "high", "verdict", "note"),
    [
        (0.1, 0.3, SUPPORTED, ""),
        (-0.1, 0.3, NOT_SUPPORTED, "interval includes 0"),
        (-0.3, -0.1, NOT_SUPPORTED, "the opposite holds"),
    ],
)
def test_verdict_of_a_difference(low, high, verdict, note):
    row = {"difference": (low + high) / 2, "low": low, "high": high, "n": 3}
    claim = claims.from_difference(Claim("c", "w", "m"), row, " points")
    assert (claim.verdict, claim.note) == (verdict, note)


def test_one_pair_gives_no_verdict():
    row = {"difference": 1.0, "low": float("nan"), "high": float("nan"), "n": 1}
    claim = claims.from_difference(Claim("c", "w", "m"), row, " points")
    assert (claim.verdict, claim.interval) == (PARTLY, "–")
    assert (claim.value, claim.n, claim.note) == ("+1.00 points", "1", "one pair: no verdict")


def test_without_a_verdict_other_stopping_points_give_their_differences():
    names = ("M(0.9)", *paper.BASELINES)
    found = analysis.analyse(made.gather([made.run("mnist_conv", name, 0) for name in names]))
    (claim,) = [c for c in claims.green_cell_claims(found.measured) if c.verdict != NOT_MEASURED]
    row = (
        found.measured.against[(found.measured.against.metric == "test_accuracy")]
        .set_index("reading")
        .loc["best"]
    )
    assert claim.note.startswith("one pair: no verdict; against ")
    assert f"best: {row.difference:+.2f}" in claim.note


def test_one_pair_does_not_make_a_task_of_a_claim_over_tasks():
    seeds = dict(zip(paper.TASKS, (3, 2, 2, 1), strict=False))
    pairs = [
        made.run(task, name, seed)
        for task, count in seeds.items()
        for name in ("M(0.9)", "Momentum SGD")
        for seed in range(count)
    ]
    found = analysis.analyse(made.gather(pairs))
    interval, tasks = claims.errors_saved(found.measured, "M(0.9)", "Momentum SGD")
    assert (interval.n, tasks) == (7, 3)


def test_claims_over_tasks_wait_for_most_of_them():
    claim = Claim("c", "w", "m")
    few = claims.count_over_tasks(claim, {"mnist_mlp": True, "mnist_conv": True})
    assert (few.verdict, few.value) == (PARTLY, "2 of 2 tasks")
    outcomes = dict(zip(paper.TASKS, [True, True, False, False], strict=False))
    assert claims.count_over_tasks(claim, outcomes).verdict == SUPPORTED
    outcomes["mnist_conv"] = False
    assert claims.count_over_tasks(claim, outcomes).verdict == NOT_SUPPORTED
    interval = Interval(1.0, 0.5, 1.5, 9)
    assert claims.from_interval(claim, interval, 3).verdict == PARTLY
    assert claims.from_interval(claim, interval, 4).verdict == SUPPORTED


def multi_momentum(winner="M(0.9)+M(0.0)", seeds=3):
    """Final runs of the four on four tasks, one of them ahead on all."""
    errors = dict.fromkeys(family_claims.MULTI_MOMENTUM, 0.02) | {winner: 0.01}
    return [
        made.run(task, name, seed, floor=error)
        for task in paper.TASKS[:4]
        for name, error in errors.items()
        for seed in range(seeds)
    ]


def test_most_reliable_needs_the_most_wins():
    def verdict(winner):
        pairs = multi_momentum(winner, seeds=2)
        found = family_claims.over_tasks(made.analysed(made.gather(pairs)))
        return next(c for c in found if "most reliable" in c.claim).verdict

    assert verdict("M(0.9)+M(0.0)") == SUPPORTED
    assert verdict("M(0.9)+M(0.6)") == NOT_SUPPORTED


@pytest.mark.parametrize(("better", "verdict", "tasks"), [
    ("M(0.9)+M(0.8)+M(0.7)", SUPPORTED, "4 of 4 tasks"),
    ("M(0.9)+M(0.6)", NOT_SUPPORTED, "0 of 4 tasks"),  # two units
    ("M(0.9)+M(0.0)", NOT_SUPPORTED, "0 of 4 tasks"),
])  # fmt: skip
def test_outperformed_by_settings_of_memory_three(better, verdict, tasks):
    pairs = multi_momentum(better, seeds=4)
    found = family_claims.over_tasks(made.analysed(made.gather(pairs)))
    claim = next(c for c in found if "memory 3" in c.claim)
    assert (claim.verdict, claim.value) == (verdict, tasks)


@pytest.mark.parametrize(("ahead", "verdict"), [(0.0008, NOT_SUPPORTED), (0.002, SUPPORTED)])
def test_one_of_many_settings_has_to_be_ahead_by_more_than_chance(ahead, verdict):
    """On one of five tasks one of two settings is ahead, in both cases with p below 5 % alone."""
    setting, task = "M(0.9)+M(0.8)+M(0.7)", "mnist_mlp"
    pairs = [
        made.run(on, name, seed, floor=0.02 - ahead * ((on, name) == (task, setting)), noise=0.002)
        for on in paper.TASKS[:5]
        for name in family_claims.MULTI_MOMENTUM
        for seed in range(6)
    ]
    found = made.analysed(made.gather(pairs))
    assert claims.pair(found, task, setting, "M(0.9)+M(0.0)")["p_value"] < 0.05
    claim = next(c for c in family_claims.over_tasks(found) if "memory 3" in c.claim)
    assert claim.verdict == verdict


def finals(tasks, errors, seeds=3, noise=1e-5, **settings):
    """Final runs of some optimizers on some tasks, with the paper's errors or those given."""
    return [
        made.run(task, name, seed, floor=errors.get(name), noise=noise, **settings)
        for task in tasks
        for name in paper.OPTIMIZERS
        for seed in range(seeds)
    ]


def test_competitive_with_adam_needs_more_than_ignorance():
    def verdict(noise):
        errors = {"Adam": 0.02, "M(0.9)+M(0.0)": 0.021}
        pairs = finals(paper.TASKS[:4], errors, noise=noise)
        return family_claims.over_tasks(made.analysed(made.gather(pairs)))[0].verdict

    assert verdict(1e-5) == SUPPORTED  # 0.1 points behind, surely
    assert verdict(0.02) == NOT_SUPPORTED  # nobody knows


def test_the_best_of_a_kind_is_chosen_on_validation_data():
    """M3(0.6) is best on test data, M2(0.6) on validation data, where M(0.9)+M(0.0) wins."""
    errors = {"M2(0.6)": 0.02, "M3(0.6)": 0.03, "M(0.9)+M2(0.6)": 0.05, "M(0.9)+M(0.0)": 0.015}
    errors |= {"M(0.9)+M(0.8)+M(0.7)": 0.05}
    runs = made.gather(finals(paper.TASKS[:4], errors))
    on_test = runs.curves.run.str.contains("M3(0.6)", regex=False)
    curves = runs.curves.assign(test_accuracy=runs.curves.test_accuracy.mask(on_test, 0.999))
    found = family_claims.over_tasks(made.analysed(runs._replace(curves=curves)))[-1]
    assert (found.verdict, found.value) == (NOT_SUPPORTED, "0 of 4 tasks")


def test_the_best_of_a_kind_waits_for_the_whole_kind():
    runs = made.gather(finals(paper.TASKS[:4], {"M2(0.6)": 0.001}))
    found = family_claims.over_tasks(made.analysed(runs))[-1]
    assert (found.verdict, found.value) == (SUPPORTED, "4 of 4 tasks")
    some = runs.runs[~runs.runs.optimizer.isin(["M3(0.6)"])]
    found = family_claims.over_tasks(made.analysed(runs._replace(runs=some)))[-1]
    assert found.verdict == NOT_MEASURED


def test_the_most_reliable_does_not_diverge():
    runs = made.gather(multi_momentum(seeds=3))
    lost = (runs.runs.optimizer == "M(0.9)+M(0.0)") & (runs.runs.seed > 0)
    status = runs.runs.status.mask(lost, "diverged")
    found = family_claims.over_tasks(
        made.analysed(runs._replace(runs=runs.runs.assign(status=status)))
    )
    assert next(c for c in found if "most reliable" in c.claim).verdict == NOT_SUPPORTED


def test_too_few_seeds_are_not_called_too_few_tasks():
    unknown = Interval(1.0, float("nan"), float("nan"), 8)
    claim = claims.from_interval(Claim("c", "w", "m"), unknown, 4)
    assert (claim.verdict, claim.note) == (PARTLY, claims.FEW_SEEDS)


def test_most_reliable_takes_no_short_grids():
    pairs = multi_momentum(seeds=2)
    pairs += [made.run(task, "M(0.9)+M(0.6)", 100, steps=300) for task in paper.TASKS[:4]]
    found = family_claims.over_tasks(made.analysed(made.gather(pairs)))
    assert next(c for c in found if "most reliable" in c.claim).verdict == NOT_MEASURED


@pytest.mark.parametrize("lost", [paper.BASELINES, ("M2(0.6)", "M3(0.6)", "M(0.9)+M2(0.6)")])
def test_a_kind_that_diverges_everywhere_still_gives_a_report(lost):
    runs = made.gather(finals(["mnist_mlp"], {}))
    status = runs.runs.status.mask(runs.runs.optimizer.isin(lost), "diverged")
    found = analysis.analyse(runs._replace(runs=runs.runs.assign(status=status)))
    assert report.page(found, report.all_claims(found))
    assert ranking.task_sets(
        STUDY, ranking.field(STUDY, found.measured.rows, found.measured.summary)
    ) == [["mnist_mlp"]]


def test_law_claims(as_printed):
    found = law_claims.law(as_printed.measured)
    assert len(found) == 3 * len(paper.TASKS)
    assert {claim.verdict for claim in found} == {SUPPORTED}
    crossing = next(claim for claim in found if "passes 0.9" in claim.claim)
    assert crossing.value.startswith("step 1,") or crossing.value.startswith("step 2,")


def test_cells_that_disagree_are_listed():
    pairs = [made.run("mnist_mlp", "SGD", seed, floor=0.05, noise=1e-5) for seed in range(3)]
    found = analysis.analyse(made.gather(pairs))
    text = report.page(found, [])
    row = next(line for line in text.splitlines() if line.startswith("| SGD | MNIST MLP"))
    assert "| 95.00 | 98.16 | -3.16 | 0.30 | 3 | full |" in row
