"""What a group goes on from, and what it says when it does not."""

import json
import signal
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite import records
from rllc.suite.engine import checkpoint, sources, stopping, training
from rllc.suite.engine.layout import Layout
from rllc.suite.engine.watching import Watcher
from rllc.suite.plan import plan
from rllc.suite.plan.targets import resolve
from tests.suite import toy
from tests.suite.engine.toy_runs import runs_of
from tests.suite.toy import SGD

pytestmark = pytest.mark.slow

TASK, DATA = toy.make(), toy.data()


def group_of(rates=(0.1, 0.03), seeds=(0, 1, 2), optimizer=SGD):
    (group,) = plan.group_runs(runs_of(optimizer, seeds, rates))
    return group


def interrupted(folder, group, steps=20):
    """A checkpoint after some steps; its path."""
    trainer = training.Trainer(group, TASK, DATA)
    trainer.advance(steps)
    path = folder / "partial" / f"{plan.shard_name(group)}.npz"
    trainer.save(path)
    return path


class Started(Watcher):
    """Notes at which step each group began."""

    def __init__(self, steps):
        self.steps = steps

    def started(self, trainer, label):
        self.steps.append(trainer.done)


def finish(folder, group, **options):
    return training.train_group(
        group, TASK, DATA, folder / "records", folder / "partial", False, **options
    ).with_suffix(".parquet")


def whole(folder, group):
    return finish(folder / "whole", group).read_bytes()


def test_a_checkpoint_of_other_runs_under_our_name_is_not_ours(tmp_path, capsys):
    """As after a copy between folders: the file's name is no proof."""
    group = group_of()
    other = interrupted(tmp_path, group_of(rates=(0.3, 0.2)))
    other.rename(tmp_path / "partial" / f"{plan.shard_name(group)}.npz")
    assert finish(tmp_path, group).read_bytes() == whole(tmp_path, group)
    assert "starts anew, its checkpoint is not used: it is of other runs" in capsys.readouterr().err
    assert len(list((tmp_path / "partial" / "aside").glob("*.npz"))) == 1


def test_a_checkpoint_of_other_code_is_not_taken_up(tmp_path, monkeypatch, capsys):
    group = group_of()
    interrupted(tmp_path, group)
    monkeypatch.setattr(sources, "digest", lambda *configs: "changed")
    finish(tmp_path, group)
    assert "written with other code" in capsys.readouterr().err


def test_the_digest_follows_the_code_of_a_users_optimizer(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import optax\ndef mine(learning_rate): return optax.sgd(learning_rate)\n")
    config = {"_target_": f"{file}:mine", "inner": {"_target_": "optax.adam"}}
    before = sources.digest(config, {"_target_": "tests.suite.toy.make"})
    assert before == sources.digest(config, {"_target_": "tests.suite.toy.make"})
    file.write_text(file.read_text() + "# changed\n")
    assert sources.digest(config, {"_target_": "tests.suite.toy.make"}) != before
    assert resolve(f"{file}:mine")(0.1)


def test_a_wrapped_inner_target_counts(tmp_path):
    file = tmp_path / "inner.py"
    file.write_text("def made(): return None\n")
    config = {"_target_": "optax.sgd", "arguments": {"x": [{"_target_": f"{file}:made"}]}}
    before = sources.digest(config)
    file.write_text("def made(): return 1\n")
    assert sources.digest(config) != before


@pytest.mark.parametrize("kept", [0, 10, 500, -20])
def test_a_damaged_checkpoint_is_said_and_kept(tmp_path, capsys, kept):
    group = group_of()
    path = interrupted(tmp_path, group)
    path.write_bytes(path.read_bytes()[:kept])
    assert finish(tmp_path, group).read_bytes() == whole(tmp_path, group)
    error = capsys.readouterr().err
    assert error.count("starts anew, its checkpoint is not used: it is damaged") == 1
    assert len(error.splitlines()) == 1
    assert len(list((tmp_path / "partial" / "aside").iterdir())) == 1


def test_a_flipped_bit_is_damage(tmp_path, capsys):
    group = group_of()
    path = interrupted(tmp_path, group)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("losses.npy")
    at = info.header_offset + 300
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    finish(tmp_path, group)
    assert "it is damaged: BadZipFile" in capsys.readouterr().err


def test_pickles_are_never_loaded(tmp_path, capsys):
    group = group_of()
    path = tmp_path / "partial" / f"{plan.shard_name(group)}.npz"
    path.parent.mkdir()
    np.savez(path, identity=np.array([{"runs": []}], object))
    finish(tmp_path, group)
    assert "it is damaged: ValueError" in capsys.readouterr().err


def test_one_of_an_older_format_is_said(tmp_path, capsys):
    group = group_of()
    path = tmp_path / "partial" / f"{plan.shard_name(group)}.npz"
    path.parent.mkdir()
    np.savez(path, done=np.array(3))
    finish(tmp_path, group)
    assert "of another version" in capsys.readouterr().err


def test_a_smaller_group_goes_on_from_the_checkpoint_of_a_larger_one(tmp_path, capsys):
    """Cut along points and along seeds; the file stays until all its runs are recorded."""
    path = interrupted(tmp_path, group_of(rates=(0.1, 0.03, 0.01)))
    for rates, seeds in [((0.03,), (0, 2)), ((0.1, 0.01), (0, 2)), ((0.1, 0.03, 0.01), (1,))]:
        assert path.exists()
        group = group_of(rates, seeds)
        found = finish(tmp_path, group)
        assert "goes on at step 20 of 60" in capsys.readouterr().err
        theirs = records.load(tmp_path / "records").curves
        finish(tmp_path / f"alone{rates}", group)
        alone = records.load(tmp_path / f"alone{rates}" / "records").curves
        both = alone.merge(theirs, on=["run", "step"])
        assert len(both) == len(alone)
        np.testing.assert_allclose(both.test_loss_x, both.test_loss_y, rtol=2e-4)
        assert found.exists()
        capsys.readouterr()
    assert not path.exists()


def test_a_group_that_is_only_partly_in_a_checkpoint_says_so(tmp_path, capsys):
    path = interrupted(tmp_path, group_of(rates=(0.1,)))
    finish(tmp_path, group_of(rates=(0.1, 0.03)))
    assert "3 of its 6 runs are also in the unfinished" in capsys.readouterr().err
    assert path.exists()


def test_another_number_of_devices_goes_on_and_says_so(tmp_path, monkeypatch, capsys):
    """Padding belongs to the layout and is not kept: here 3 seeds on 2 devices, then on 1."""
    group = group_of(rates=(0.1,))
    monkeypatch.setattr(Layout, "choose", lambda s, r, n, split, **more: Layout(4, 1, 0, 1))
    interrupted(tmp_path, group)
    monkeypatch.undo()
    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "devices", "1 devices of another")
        finish(tmp_path, group)
    assert "goes on at step 20 of 60; it was on" in capsys.readouterr().err
    theirs = records.load(tmp_path / "records").curves.set_index(["run", "step"]).test_loss
    finish(tmp_path / "whole", group)
    ours = records.load(tmp_path / "whole" / "records").curves.set_index(["run", "step"]).test_loss
    np.testing.assert_allclose(ours, theirs[ours.index], rtol=2e-4)


def test_a_complete_checkpoint_is_finished_but_not_when_forced(tmp_path, capsys):
    group = group_of()
    path = interrupted(tmp_path, group, 25)
    trainer = training.Trainer(group, TASK, DATA)
    for count in (25, 25, 10):
        trainer.advance(count)
    steps = []
    trainer.save(path)
    finish(tmp_path, group, again=True, watcher=Started(steps))
    assert "it is complete, and force=true trains again" in capsys.readouterr().err
    trainer.save(path)
    finish(tmp_path, group, watcher=Started(steps))
    assert steps == [0, 60]


def test_a_forced_group_that_was_killed_goes_on(tmp_path):
    group = group_of()
    interrupted(tmp_path, group)
    steps = []
    finish(tmp_path, group, again=True, watcher=Started(steps))
    assert steps == [20]


def test_narrow_floats_and_random_keys_come_back(tmp_path):
    """NumPy's format has no bfloat16, and a key is no array."""
    carry = {
        "narrow": jnp.arange(6, dtype=jnp.bfloat16).reshape(1, 2, 3),
        "key": jax.random.split(jax.random.key(1), (1, 2)),
    }
    checkpoint.save(tmp_path / "a.npz", carry, {}, [["x"], ["y"]], {}, "here")
    leaves = checkpoint.load(tmp_path / "a.npz", [["x"], ["y"]], {}).leaves
    fitted = checkpoint.fitted(leaves, carry, lambda array: array)
    back = checkpoint.place(fitted, carry)
    assert back["narrow"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(back["narrow"], carry["narrow"])
    same = jax.random.key_data(back["key"]) == jax.random.key_data(carry["key"])
    assert same.all()


def test_a_full_disk_costs_the_checkpoint_not_the_group(tmp_path, monkeypatch, capsys):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    assert finish(tmp_path, group_of()).exists()
    assert "no checkpoint of sgd" in capsys.readouterr().err


def test_a_stop_between_two_calls_is_taken_at_the_next_check():
    done = []

    def work():
        with stopping.deferred() as check:
            signal.raise_signal(signal.SIGTERM)
            done.append("after the signal")
            check()
            done.append("after the check")

    with pytest.raises(stopping.Terminated):
        work()
    assert done == ["after the signal"]


def test_what_a_checkpoint_says_about_itself(tmp_path):
    group = group_of()
    path = interrupted(tmp_path, group)
    told = checkpoint.identity(path)
    assert sorted(told["runs"][0] + told["runs"][1]) == sorted(run.name for run in group)
    assert told["made_by"]["package versions"]["jax"] == jax.__version__
    assert told["made_by"]["package versions"]["optax"] == optax.__version__
    assert json.dumps(told)


def test_a_run_that_its_last_update_ruins_has_diverged(tmp_path):
    """The loss of a step is that before its update: of one step it is always finite."""
    protocol = {"steps": 1, "eval_every": 1, "batch_size": 16, "data": "synthetic"}
    finish(tmp_path, runs_of(SGD, (0,), (3e38,), protocol))
    (run,) = records.load(tmp_path / "records").runs.itertuples()
    assert (run.status, run.diverged_at) == ("diverged", 1)


def test_what_is_left_of_a_group_is_read_from_its_checkpoint(tmp_path):
    """A budget is planned with it; of a damaged one the whole group is left."""
    from rllc.suite.execute import budget

    group = group_of()
    path = interrupted(tmp_path, group)
    assert budget.remaining_share(group, path.parent) == pytest.approx(40 / 60)
    path.write_bytes(path.read_bytes()[:700])
    assert budget.remaining_share(group, path.parent) == 1.0
    assert budget.remaining_share(group, tmp_path / "nowhere") == 1.0
