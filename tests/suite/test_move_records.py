"""scripts/move_records.py: what goes to the committed records and what stays."""

import json

from scripts.move_records import move


def shard(folder, name, run, data="real"):
    place = folder / f"mnist_mlp/{name}"
    place.parent.mkdir(parents=True, exist_ok=True)
    header = {"runs": [{"run": run}], "protocol": {"data": data}, "format": 1}
    place.with_suffix(".json").write_text(json.dumps(header))
    place.with_suffix(".parquet").write_bytes(b"")


def test_rehearsals_and_known_runs_stay(tmp_path):
    source, target = tmp_path / "local", tmp_path / "committed"
    shard(source, "new", "a")
    shard(source, "known", "b")
    shard(source, "rehearsal", "c", data="synthetic")
    shard(target, "there", "b")
    assert move(source, target) == (1, 1, 1)
    assert {path.stem for path in target.rglob("*.json")} == {"new", "there"}
    assert {path.stem for path in source.rglob("*.parquet")} == {"known", "rehearsal"}
