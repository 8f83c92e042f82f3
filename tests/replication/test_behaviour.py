"""Claims about convergence, run time and spread over seeds, on records that decide them."""

import pandas as pd
import pytest

from rllc.replication import behaviour, paper
from rllc.replication.claims import NOT_MEASURED, NOT_SUPPORTED, PARTLY, SUPPORTED
from tests.suite import synthetic_records as made

pytestmark = pytest.mark.slow


def finals(tasks, seeds=3):
    """Final runs of all optimizers on some tasks, with the paper's errors."""
    return [
        made.run(task, name, seed, noise=1e-5)
        for task in tasks
        for name in paper.OPTIMIZERS
        for seed in range(seeds)
    ]


@pytest.mark.parametrize(("seeds", "verdict"), [(1, PARTLY), (2, PARTLY), (3, SUPPORTED)])
def test_faster_convergence_needs_the_papers_number_of_seeds(seeds, verdict):
    pairs = finals(["cifar10_resnet20"], seeds)
    faster = behaviour.convergence(made.analysed(made.gather(pairs)))[0]
    assert faster.verdict == verdict
    assert faster.n == f"{seeds} seed{'s' * (seeds > 1)}"
    assert "never" not in faster.note
    assert ("too few seeds for a verdict" in faster.note) == (seeds < 3)


def test_an_optimizer_that_never_gets_there_has_no_number_of_steps():
    names = (*paper.BASELINES, "M(0.9)", "M3(0.6)")
    pairs = [
        made.run("cifar10_resnet20", name, 0, floor=0.5 if name == "M3(0.6)" else None)
        for name in names
    ]
    faster = behaviour.convergence(made.analysed(made.gather(pairs)))[0]
    assert "1 of 2 never get there" in faster.note
    assert "inf" not in faster.note


def test_gains_and_spread_wait_for_most_tasks():
    three = behaviour.spread(made.analysed(made.gather(finals(paper.TASKS[:3]))))
    assert [claim.verdict for claim in three] == [PARTLY, PARTLY]
    four = behaviour.spread(made.analysed(made.gather(finals(paper.TASKS[:4]))))
    assert PARTLY not in [claim.verdict for claim in four]


def test_spread_says_what_diverged_and_where_its_interval_reaches(monkeypatch):
    pairs = finals(paper.TASKS[:4], 4)
    plain = behaviour.spread(made.analysed(made.gather(pairs)))[0]
    assert "diverged" not in plain.note
    lost = [
        made.run(paper.TASKS[task], name, 3, status="diverged")
        for task, name in ((0, "M(0.9)"), (1, "M(0.9)"), (0, "SGD"))
    ]
    gone = {row["run"] for row, _ in lost}
    pairs = [pair for pair in pairs if pair[0]["run"] not in gone] + lost
    found = behaviour.spread(made.analysed(made.gather(pairs)))[0]
    assert found.note.endswith(
        "without what diverged: 2 of 128 runs of RLLC, 1 of 48 runs of the baselines"
    )
    low, high = (float(x) for x in found.interval.strip("[]").split(", "))
    for bound, inside in ((low - 0.1, False), ((low + high) / 2, True), (high + 0.1, False)):
        monkeypatch.setattr(behaviour, "SIMILAR_SPREAD", bound)
        note = behaviour.spread(made.analysed(made.gather(pairs)))[0].note
        assert (f"interval includes {bound}" in note) == inside


def test_the_cost_of_all_experiments_is_projected_from_the_fastest_way():
    tasks = [task for task in paper.TASKS if "fashion" not in task]
    rates = pd.DataFrame({"task": tasks, "run_steps_per_second": 1000.0, "device": "GPU"})
    slower = rates.assign(run_steps_per_second=1.0)
    found = behaviour.cost(pd.concat([rates, slower]))
    runs = 7 * 3 * (3 * 15 + 13 * 18)
    assert (found.n, found.verdict) == (f"{runs:,} runs of 10,000 steps", SUPPORTED)
    assert found.value == f"{runs * 10_000 / 1000 / 3600:.1f} hours"
    assert behaviour.cost(slower).verdict == NOT_SUPPORTED
    assert behaviour.cost(rates.iloc[1:]).verdict == NOT_MEASURED


def test_run_time():
    def claim(ratio):
        rows = [("Adam", 2.0), ("M(0.9)", 2.0 * ratio), ("M2(0.6)", 2.0 * ratio)]
        table = pd.DataFrame(rows, columns=["optimizer", "milliseconds_per_step"])
        table = table.assign(network="conv", gflop_per_step=1.0, device="cpu")
        mlp, conv, _ = behaviour.run_time(made.analysed(made.nothing(), timings=table))
        assert mlp.verdict == NOT_MEASURED
        return conv

    assert (claim(1.1).verdict, claim(1.1).value) == (SUPPORTED, "×1.10")
    assert claim(1.6).verdict == NOT_SUPPORTED
