"""Runs at an optimizer's default point: planned, refused elsewhere, and ranked beside the tuned."""

import pandas as pd
import pytest

from rllc.suite.plan import configuration, plan
from rllc.suite.plan.configuration import compose
from rllc.suite.score import ranking
from rllc.suite.show import aggregation
from tests.suite import synthetic_records as made
from tests.suite.optimizers.configs import CONF

TUNED = {("mnist_mlp", "Adam"): {"learning_rate": 0.3}}
NAMES = ("SGD", "Momentum SGD", "Adam", "M(0.9)")


def run_of(*words):
    cfg = compose(CONF, ["protocol=rehearsal", "task=mnist_mlp", "seed=1000", *words])
    return configuration.run_of(cfg, TUNED)


def test_an_untuned_run_is_at_the_configs_default_whatever_was_chosen():
    run = run_of("optimizer=adam", "role=untuned")
    assert (run.traced, run.role) == ({"learning_rate": 0.001}, "untuned")
    assert run_of("optimizer=adam", "role=question").traced == {"learning_rate": 0.3}
    same = run_of("optimizer=adam", "role=untuned", "optimizer.learning_rate=1e-3")
    assert same.name == run.name  # as a record is verified
    cfg = compose(CONF, ["optimizer=muon", "role=untuned"])
    assert configuration.untuned_note([cfg], {}) == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["optimizer.learning_rate=0.1"],
            "Adam: learning_rate=0.1 must be auto, its untuned 0.001",
        ),
        (["seed=0"], "seed 0 is one for final runs; untuned runs take seeds from 1000 to 1099"),
        (["optimizer.untuned={}"], "role=untuned: optimizer Adam has no untuned.learning_rate"),
    ],
)
def test_an_untuned_run_is_nothing_else(words, message):
    words = ["~optimizer.untuned" if word == "optimizer.untuned={}" else word for word in words]
    with pytest.raises(plan.PlanError, match=message) as told:
        run_of("optimizer=adam", "role=untuned", *words)
    assert "\n" not in str(told.value)


def with_untuned(floors, seeds=(1000, 1001, 1002)):
    """Records of the tuned, and untuned runs of some optimizers by the floor of their error."""
    tuned = made.records(("mnist_mlp",), NAMES, range(3), (100,), noise=1e-4)
    pairs = [
        made.run("mnist_mlp", name, seed, 0.01, floor=floor, noise=1e-5)
        for name, floor in floors.items()
        for seed in seeds
    ]
    if not pairs:
        return tuned
    more = made.gather([(row | {"role": "untuned"}, curve) for row, curve in pairs])
    return tuned._replace(
        runs=pd.concat([tuned.runs, more.runs], ignore_index=True),
        curves=pd.concat([tuned.curves, more.curves], ignore_index=True),
    )


def ranked(records):
    a = made.analysed(records)
    field = ranking.field(a.study, a.rows, a.summary)
    table = ranking.ranking(a.study, a.rows, a.summary, field.tasks, untuned=a.untuned)
    return a, field, table.set_index("optimizer")


@pytest.mark.slow
def test_the_column_is_the_distance_to_the_tuned_best_baseline():
    plain, _, before = ranked(with_untuned({}))
    assert not plain.untuned.size
    assert set(before.reset_index()) == set(ranking.ranking_table(plain.study).names)
    a, field, table = ranked(with_untuned({"Adam": 0.04, "M(0.9)": 0.08}))
    pd.testing.assert_frame_equal(table[before.columns], before)  # the tuned know nothing of it
    assert len(a.rows) == len(plain.rows)
    assert set(a.every.role) == set(a.runs.role) == {"final", "tune"}
    best = field.value[field.optimizers.index(field.best[0]), 0].mean()
    ends = a.untuned[a.untuned.reading == "validated"].groupby("optimizer").test_accuracy.mean()
    for name in ("Adam", "M(0.9)"):
        expected = 100 * (ends[name] - best) / (100 - best)
        assert table.untuned[name] == pytest.approx(expected, rel=1e-9)
        assert table.untuned_low[name] < table.untuned[name] < table.untuned_high[name]
        assert table.untuned_runs[name] == 3
    assert table.untuned["Adam"] > table.untuned["M(0.9)"]
    assert table.untuned[["SGD", "Momentum SGD"]].isna().all()


@pytest.mark.slow
def test_pages_have_the_column_only_with_such_runs(tmp_path):
    texts = {}
    for name, floors in (("without", {}), ("with", {"Adam": 0.04})):
        a = made.analysed(with_untuned(floors))
        a = a._replace(made=a.made.assign(short_grid=False))  # as if tuned on whole grids
        aggregation.write_tables(a, tmp_path / name)
        texts[name] = (tmp_path / name / "tables" / "ranking.md").read_text()
    assert "ntuned" not in texts["without"]
    assert "untuned" not in (tmp_path / "without" / "tables" / "ranking.csv").read_text()
    assert "| untuned (%) |" in texts["with"]
    assert "“Untuned” is the same score at each optimizer's default point" in texts["with"]
    assert (
        "untuned_runs" in (tmp_path / "with" / "tables" / "ranking.csv").read_text().splitlines()[0]
    )
    assert "untuned" not in (tmp_path / "without" / "tables" / "practice.csv").read_text()
    assert "| untuned |" in (tmp_path / "with" / "tables" / "practice.md").read_text()
    for path in (tmp_path / "without" / "tables").iterdir():
        if path.stem not in ("ranking", "practice"):
            other = tmp_path / "with" / "tables" / path.name
            assert path.read_bytes() == other.read_bytes(), path.name
