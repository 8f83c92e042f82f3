"""Names of runs: every recorded one keeps its own, wherever code is moved."""

import json
from pathlib import Path

import pytest

import rllc
from rllc.suite import records
from rllc.suite.plan import plan
from rllc.suite.records import identity, roles

HERE = Path(__file__).parent
RECORDS = HERE.parents[2] / "results" / "records"
NAMES = (HERE / "recorded_names.txt").read_text().split()


def recorded_runs():
    """(name in the record, group in the record, the run as it would be planned today)."""
    for shard in records.shards(RECORDS):
        header, optimizer = shard.header, shard.header["optimizer"]
        for row in header["runs"]:
            if "hyper" in row:
                shown = row["hyper"] | row["settings"]
            else:
                told = ("run", "seed", "status", "diverged_at")
                shown = {key: value for key, value in row.items() if key not in told}
            traced = {key: value for key, value in shown.items() if key != "initial_law"}
            traced = {key: float(value) for key, value in traced.items()}
            if "initial_law" in shown:
                units = rllc.parse(optimizer["propagator"]).num_units
                law = rllc.initial_law(shown["initial_law"], units)
                traced["initial_law"] = tuple(map(float, law))
            run = plan.Run(
                header["task"], optimizer, traced, row["seed"], header["protocol"], shown
            )
            yield row["run"], header["group"], run


@pytest.mark.slow
def test_every_recorded_run_keeps_its_name():
    found = list(recorded_runs())
    assert set(NAMES) <= {name for name, _, _ in found}
    assert len(NAMES) == len(set(NAMES)) == 3902
    assert [(name, group) for name, group, run in found if run.name != name] == []
    assert [name for name, group, run in found if run.group != group] == []


def test_a_moved_target_with_an_id_is_the_same_run():
    config = {"name": "Mine", "id": "mine", "_target_": "a.b.mine", "learning_rate": 0.1}
    task = {"name": "toy", "_target_": "tests.suite.toy.make"}
    here = plan.make_run(task, config, 0)
    there = plan.make_run(task, config | {"_target_": "c.mine"}, 0)
    assert here.name == there.name
    assert plan.make_run(task, config | {"id": "other"}, 0).name != here.name
    known = {"name": "SGD", "_target_": "optax.sgd", "learning_rate": 0.1}
    assert plan.make_run(task, known, 0).name == plan.make_run(task, known | {"id": "sgd"}, 0).name


def test_a_function_to_evaluate_with_may_move_too():
    config = {"name": "Mine", "id": "mine", "_target_": "a.mine", "learning_rate": 0.1}
    task = {"name": "toy", "_target_": "tests.suite.toy.make"}

    def name(reader):
        return plan.make_run(task, config | {"evaluation_parameters": reader}, 0).name

    here, there = ({"id": "average", "_target_": path} for path in ("a.average", "b.average"))
    assert name(here) == name(there)
    assert name(here | {"id": "other"}) != name(here)
    assert name(here) != plan.make_run(task, config, 0).name
    path = "optax.contrib.schedule_free_eval_params"  # as recorded runs have it
    known = name({"id": "schedule_free_average", "_target_": "moved.average"})
    assert name(path) == name({"_target_": path}) == known
    run = plan.make_run(task, config | {"evaluation_parameters": path}, 0)
    kept = {key: run.optimizer[key] for key in ("evaluation_parameters",)}
    hashed = identity.digest({"_target_": "mine", **kept})
    assert identity.digest(identity.hashed(identity.optimizer(run.optimizer))) == hashed


def test_of_a_users_file_the_content_determines_a_run(tmp_path):
    sgd = {"name": "SGD", "_target_": "optax.sgd", "learning_rate": 0.1}

    def made(path, **more):
        task = {"name": "points", "_target_": "tasks.regression", "path": str(path), **more}
        return plan.make_run(task, sgd, 0)

    one, moved = tmp_path / "one.npz", tmp_path / "moved.npz"
    one.write_bytes(b"content")
    moved.write_bytes(b"content")
    run = made(one, files=["path"])
    assert run.name == made(moved, files=["path"]).name
    assert made(one).name != made(moved).name  # as runs before there was `files` are called
    recorded = json.loads(json.dumps(run.task)) | {"path": "gone.npz"}
    assert identity.task(recorded) == identity.task(run.task)
    moved.write_bytes(b"changed!")
    assert run.name != made(moved, files=["path"]).name
    folder, copied = tmp_path / "texts", tmp_path / "copied"
    for place in (folder, copied):
        (place / "deep").mkdir(parents=True)
        (place / "deep" / "a.txt").write_text("one")
        (place / ".index").write_text(place.name)
    assert made(folder, files=["path"]).name == made(copied, files=["path"]).name
    (copied / "deep" / "a.txt").write_text("other")
    assert made(folder, files=["path"]).name != made(copied, files=["path"]).name
    with pytest.raises(plan.PlanError, match=r"task points: path=.*none\.npz: No such file"):
        made(tmp_path / "none.npz", files=["path"])
    with pytest.raises(plan.PlanError, match=r"files=\['data'\] must list arguments"):
        made(one, files=["data"])


def test_a_target_with_an_argument_the_suite_needs_itself():
    config = {"name": "Mine", "_target_": "a.mine", "learning_rate": 0.1}
    task = {"name": "toy", "_target_": "tests.suite.toy.make"}
    nested = plan.make_run(task, config | {"arguments": {"name": "x", "b1": 0.9}}, 0)
    assert nested.optimizer["arguments"] == {"name": "x"}
    assert nested.optimizer["b1"] == 0.9
    other = plan.make_run(task, config | {"arguments": {"name": "y"}, "b1": 0.9}, 0)
    assert nested.name != other.name
    beside = plan.make_run(task, config | {"arguments": {"name": "x"}, "b1": 0.9}, 0)
    assert nested.name == beside.name
    with pytest.raises(plan.PlanError, match=r"optimizer.b1 is given twice"):
        plan.make_run(task, config | {"arguments": {"b1": 0.9}, "b1": 0.9}, 0)


@pytest.mark.parametrize(
    ("role", "seed", "message"),
    [
        ("final", 100, "seed 100 is one for tune or candidate runs; final runs take seeds from 0"),
        ("tune", 0, "seed 0 is one for final runs; tune runs take seeds from 100 to 199"),
        ("question", 1, "seed 1 is one for final runs"),
        ("guess", 0, "role='guess' must be one of final, tune, candidate, question"),
    ],
)
def test_a_role_has_seeds_of_its_own(role, seed, message):
    config = {"name": "SGD", "_target_": "optax.sgd", "learning_rate": 0.1}
    task = {"name": "toy", "_target_": "tests.suite.toy.make"}
    with pytest.raises(plan.PlanError, match=message):
        plan.make_run(task, config, seed, role=role)


def test_a_study_may_give_roles_other_seeds():
    seeds = {"tune": (0, 1), "final": (5, 6)}
    assert roles.complaint("tune", 0, seeds) == ""
    assert "the seeds 5, 6" in roles.complaint("final", 0, seeds)
    assert roles.complaint("question", 9, seeds) == ""
    assert "seed 5 is one for final runs" in roles.complaint("question", 5, seeds)


@pytest.mark.slow
def test_roles_of_old_records_come_from_their_seeds():
    loaded = records.load(RECORDS)
    counts = loaded.runs.groupby("role").seed.agg(["min", "max"])
    assert counts.loc["final"].tolist() == [0, 9]
    assert counts.loc["tune"].tolist() == [100, 102]
    assert counts.loc["candidate"].tolist() == [100, 102]
    assert counts.loc["question", "min"] == 200
    of_candidates = loaded.runs[loaded.runs.family == "candidate"]
    assert set(of_candidates.role) == {"candidate", "final"}  # the winner was tested


def test_a_hash_is_of_the_canonical_json():
    assert identity.digest({"b": 1, "a": [1.0]}) == identity.digest(json.loads('{"a":[1.0],"b":1}'))
