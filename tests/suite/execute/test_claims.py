"""One owner per group."""

from pathlib import Path

import pytest

from rllc.suite import records
from rllc.suite.execute import claims, execution
from rllc.suite.execute.session import Cell, Session
from rllc.suite.plan import configuration, plan

pytestmark = pytest.mark.slow

CONF = Path(__file__).parents[3] / "conf"
SHORT = ["task=mnist_mlp", "protocol=rehearsal", "protocol.steps=4", "protocol.eval_every=2"]


def run_of(*words):
    return configuration.run_of(configuration.compose(CONF, [*SHORT, *words]), {})


def test_a_claim_has_one_owner_until_it_ends(tmp_path):
    with claims.claim(tmp_path, "a", wait=False) as first:
        with claims.claim(tmp_path, "a", wait=False) as second:
            assert (first, second) == ("first", "no")
        with claims.claim(tmp_path, "b", wait=False) as other:
            assert other == "first"
    with claims.claim(tmp_path, "a", wait=True) as again:
        assert again == "first"


def test_a_session_passes_over_what_another_trains(tmp_path):
    group = [run_of("optimizer=sgd")]
    options = execution.Options(tmp_path / "records", progress=False)
    session = Session(float("inf"), options, lambda text: None)
    session.pace["mnist_mlp"] = 0.0
    cell = Cell("mnist_mlp", "SGD", group)
    with claims.claim(options.checkpoints, plan.shard_name(group), wait=False):
        assert session.train(cell, wait=False)
        assert not records.finished(options.folder)
    assert session.train(cell, wait=False)
    assert records.finished(options.folder) == {group[0].name}


def test_groups_are_cut_the_same_whatever_is_recorded(tmp_path):
    """Ten points in groups of at most four: the rest of them are the groups they were."""
    runs = [run_of("optimizer=sgd", f"optimizer.learning_rate={i / 100}") for i in range(1, 11)]
    options = execution.Options(tmp_path / "records", group_size=4, progress=False)
    groups = execution.prepare(runs, options)
    assert execution.execute_group(groups[0], options).error is None
    left = execution.prepare(runs, options)
    assert [[r.name for r in g] for g in left] == [[r.name for r in g] for g in groups[1:]]
