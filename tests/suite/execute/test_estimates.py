"""How long a training takes: from records of this machine, or from its first steps."""

import pytest

from rllc.suite.engine import devices
from rllc.suite.execute import estimates, execution
from rllc.suite.execute.estimates import Announcer
from rllc.suite.execute.execution import Options
from rllc.suite.plan import plan
from rllc.suite.records.shards import Shard
from tests.suite.toy import SGD, TASK

STEPS = 1000


def group(seeds=2, name="SGD", **protocol):
    whole = {"steps": STEPS, "batch_size": 16, "eval_every": 500} | protocol
    config = {**SGD, "name": name}
    return [plan.make_run(TASK, config, seed, whole) for seed in range(seeds)]


def header(seconds, name="SGD", runs=2, status="finished", **more):
    return {
        "task": {"name": "toy"}, "optimizer": {"name": name}, "device": devices.describe(),
        "protocol": {"steps": STEPS, "batch_size": 16, "data": "real"}, "runs_in_program": runs,
        "runs": [{"status": status}] * runs,
        "wall_seconds": {"training_and_evaluation": seconds}, **more,
    }  # fmt: skip


@pytest.fixture
def recorded(monkeypatch):
    """Sets the headers that any records folder has."""

    def set_to(*headers):
        shards = [Shard("a", h, "a") for h in headers]
        monkeypatch.setattr(estimates.records, "shards", lambda folder: shards)

    return set_to


@pytest.fixture
def announce(tmp_path):
    """An announcer with what it said and asked; the answer is no."""

    def made(groups, **options):
        said, asked = [], []

        def ask(text):
            asked.append(text)
            return "n"

        return Announcer(groups, Options(tmp_path, **options), said.append, ask), said, asked

    return made


def test_the_record_most_alike_gives_the_speed(recorded, tmp_path):
    """The same optimizer first, then the nearest size; other devices and quick ones never."""
    recorded(
        header(100.0, runs=2), header(800.0, runs=8), header(50.0, name="Adam"),
        header(10_000.0, device="another"), header(1.0, runs=2), header(9_000.0, status="diverged"),
        header(7_000.0, protocol={"steps": STEPS, "batch_size": 1, "data": "real"}),
    )  # fmt: skip
    folders = [tmp_path]
    known = lambda g: estimates.estimate([g], Options(tmp_path), folders).seconds  # noqa: E731
    assert known(group(2)) == pytest.approx(100.0)
    assert known(group(8)) == pytest.approx(800.0)
    assert known(group(1)) == pytest.approx(50.0)
    assert known(group(2, name="Adam")) == pytest.approx(50.0)
    assert known(group(2, steps=3000)) == pytest.approx(300.0)


def test_what_is_not_known_is_named_and_measured_in_the_first_steps(recorded, announce, tmp_path):
    recorded()
    group_ = group(2, steps=40, eval_every=10)
    announcer, said, _ = announce([group_, group(3, name="Adam", steps=40)])
    assert announcer.before()
    assert said == [
        "no speed of toy is recorded on this machine: an estimate follows after the first steps"
    ]

    class Slow:
        runs, done = group_, 20

    for seconds in (1e6, 2.0):  # the first call compiles
        announcer.advanced(Slow, 2, seconds)
    assert said[1:] == ["toy: about 1 min 40 s for 2 programs, by its first 20 steps"]


def test_where_other_processes_train_no_estimate_follows(recorded, announce):
    recorded()
    announcer, said, _ = announce([group(2)])
    announcer.here = False
    assert announcer.before()
    assert said == ["no speed of toy is recorded on this machine, so there is no estimate"]


def test_a_long_training_is_asked_for_on_a_terminal_only(recorded, announce, monkeypatch):
    recorded(header(700.0))
    announcer, said, asked = announce([group(2)])
    assert announcer.before()  # tests have no terminal
    assert said == [
        "about 11 min 40 s one after another, by the recorded speed of 2 programs on this machine"
    ]
    monkeypatch.setattr(estimates.sys, "stdin", _Terminal())
    monkeypatch.setattr(estimates.sys, "stderr", _Terminal())
    assert not announcer.before()
    assert asked == ["go on? [Y/n] "]
    unasked, _, asked = announce([group(2)], yes=True)
    assert unasked.before()
    short, said, asked_short = announce([group(2, steps=10)])
    assert short.before()
    assert (said, asked, asked_short) == ([], [], [])


class _Terminal:
    def isatty(self):
        return True

    def write(self, text):
        return len(text)

    def flush(self):
        pass


@pytest.mark.slow
def test_a_refusal_after_the_first_steps_stops_with_a_checkpoint(tmp_path, recorded, monkeypatch):
    recorded()
    runs = group(1, steps=400, eval_every=400)
    options = Options(tmp_path / "records", progress=False)
    announcer = Announcer([runs], options, lambda text: None, lambda text: "no")
    announcer.before()
    monkeypatch.setattr(estimates, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(estimates.sys, "stdin", _Terminal())
    monkeypatch.setattr(estimates.sys, "stderr", _Terminal())
    with pytest.raises(KeyboardInterrupt):
        execution.execute_group(runs, options, watcher=announcer)
    assert list(options.checkpoints.glob("*.npz"))
