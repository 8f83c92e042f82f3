"""One training in two processes: the numbers of one process, one record, one end."""

import json
import sys

import numpy as np
import pytest

from rllc.suite import records
from rllc.suite.engine import joining, processes
from rllc.suite.engine.joining import ALONE, Joining
from rllc.suite.errors import PlanError
from tests.processes import end_of_all, free_address

REHEARSAL = ("task=mnist_mlp", "protocol=rehearsal", "protocol.steps=6", "protocol.eval_every=3")


def trained(folder, *words, of=2, devices=(1, 1), apart=((), ())):
    """What scripts/train.py leaves where `of` processes train with the same words.

    Each has a records folder of its own; `apart` are more words of each.
    """
    address = free_address()

    def command(number):
        among = [
            f"devices.processes={of}", f"devices.process={number}", f"devices.coordinator={address}"
        ]  # fmt: skip
        place = [f"records={folder / str(number) / 'records'}", f"hydra.sweep.dir={folder / 'h'}"]
        told = [*words, *place, *(among if of > 1 else []), *apart[number]]
        return ["scripts/train.py", *told, *REHEARSAL]  # -m comes first

    return end_of_all([command(i) for i in range(of)], devices[:of], RLLC_CACHE=str(folder / "c"))


def curves(folder):
    """The recorded curves, and the only record's header."""
    (document,) = (folder / "0" / "records").glob("*/*.json")
    found = records.load(folder / "0" / "records").curves
    return found.sort_values(["run", "step"]), json.loads(document.read_text())


def same(one, other, rtol):
    assert list(one.run) == list(other.run)
    for name in one:
        if name.startswith(("test", "validation", "train")):
            np.testing.assert_allclose(one[name], other[name], rtol=rtol, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("split", [(), ("devices.fsdp=2",)], ids=["data 4", "data 2 × fsdp 2"])
def test_a_run_shared_by_two_processes_has_the_numbers_of_one_device(tmp_path, split):
    """Up to rounding, which six steps amplify. Process 0 alone writes and talks."""
    first, second = trained(tmp_path / "two", *split, devices=(2, 2))
    assert (first.status, second.status) == (0, 0), first.error + second.error
    assert "validation accuracy" in first.out
    assert ["steps/s" in end.error for end in (first, second)] == [True, False]
    assert "accuracy" not in second.out  # where jaxlib says to whom it is connected
    assert not (tmp_path / "two" / "1").exists()
    assert trained(tmp_path / "one", of=1)[0].status == 0
    (ours, header), (theirs, alone) = curves(tmp_path / "two"), curves(tmp_path / "one")
    assert (header["processes"], alone["processes"]) == (2, 1)
    assert header["devices"] == {"run": 1, "data": 2 if split else 4, "fsdp": 2 if split else 1}
    same(ours, theirs, rtol=2e-4)


@pytest.mark.slow
def test_a_sweep_over_two_processes_has_the_bits_of_one(tmp_path):
    """Where no run is shared no sum changes its order. One device of each stays idle."""
    sweep = ("-m", "seed=0,1", "devices.data=1")
    ends = trained(tmp_path / "two", *sweep, devices=(2, 2))
    assert [end.status for end in ends] == [0, 0], ends[0].error + ends[1].error
    assert trained(tmp_path / "one", *sweep, of=1, devices=(2,))[0].status == 0
    (ours, header), (theirs, _) = curves(tmp_path / "two"), curves(tmp_path / "one")
    assert header["devices"] == {"run": 2, "data": 1, "fsdp": 1}
    same(ours, theirs, rtol=0)


INTERRUPTED = """
import signal, sys
from pathlib import Path
from rllc.suite.engine import joining, processes, stopping, training
from rllc.suite.engine.joining import Joining
from tests.suite import toy
from tests.suite.engine.toy_runs import runs_of

number, address, folder, stops = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]


class Stopped(training.Trainer):
    def advance(self, count):
        super().advance(count)
        if stops == str(number) and self.done >= 25:
            signal.raise_signal(signal.SIGTERM)


def main():
    joining.join(Joining(2, number, address))
    training.Trainer = Stopped
    group = runs_of(toy.OBSERVED, (0, 1), (0.1,))
    mine = folder / str(number)
    training.train_group(group, toy.make(), toy.data(), mine / "records", mine / "partial", False)


processes.run(lambda: stopping.run(main, "go on"))
"""


def interrupted(folder, stops):
    address = free_address()
    words = [["-c", INTERRUPTED, str(i), address, str(folder), stops] for i in range(2)]
    return end_of_all(words, (1, 1))


@pytest.mark.slow
def test_a_stop_of_one_stops_both_and_both_go_on(tmp_path):
    """Process 1, which sees no file of process 0, goes on from its checkpoint all the same."""
    for end in interrupted(tmp_path / "halves", "1"):
        assert (end.status, end.error.splitlines()[-1]) == (143, "terminated; go on")
    assert not (tmp_path / "halves" / "1").exists()
    first, second = interrupted(tmp_path / "halves", "nobody")
    assert (first.status, second.status) == (0, 0), first.error + second.error
    assert ["goes on at step" in end.error for end in (first, second)] == [True, False]
    assert [end.status for end in interrupted(tmp_path / "whole", "nobody")] == [0, 0]
    same(curves(tmp_path / "halves")[0], curves(tmp_path / "whole")[0], rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "apart", "line"),
    [
        ((1, 1), (("seed=1",), ("seed=2",)), "process 1 has other runs to train, or other options"),
        ((1, 2), ((), ()), "as many devices as the others: process 0 has 1, process 1 has 2"),
        ((1, 1), (("devices.data=1",),) * 2, "cannot all take an equal part in 1 runs"),
        ((1, 1), (("records=/proc/x",), ()), "records folder /proc/x is not writable"),
    ],
    ids=["runs", "devices", "parts", "folder"],
)
def test_a_refusal_is_one_line_of_both(tmp_path, devices, apart, line):
    for end in trained(tmp_path, devices=devices, apart=apart):
        *before, last = end.error.splitlines()
        assert end.status == 1
        assert last.startswith("error: ")
        assert line in last
        assert all("joins at" in text for text in before)


REFUSED = """
import sys
from rllc.suite.engine import joining, processes
from rllc.suite.engine.joining import Joining
from rllc.suite.errors import PlanError, RecordsError

number, address, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def main():
    joining.join(Joining(2, number, address))
    if what == "numbers":
        assert processes.gathered({"me": number}) == [{"me": 0}, {"me": 1}]
        assert processes.of_first(number) == 0 and processes.united([7] * number) == [7]
        sys.exit(3)
    processes.gathered(0)
    if what == "refusal":
        def refuse():
            if number:
                raise RecordsError("no room")
        try:
            processes.everywhere(refuse)
        except RecordsError as error:
            sys.exit(f"error: {error}")
    if number == 1:
        raise OSError("lost")
    try:
        processes.gathered(0)
    except PlanError as error:
        sys.exit(f"error: {error}")


processes.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "statuses", "first", "second"),
    [
        ("numbers", [3, 3], "joins at", "joins at"),
        ("refusal", [1, 1], "error: process 1: no room", "error: no room"),
        ("failure", [1, 1], "error: another process of this training has ended", "OSError: lost"),
    ],
)
def test_what_one_says_all_know(what, statuses, first, second):
    address = free_address()
    ends = end_of_all([["-c", REFUSED, str(i), address, what] for i in range(2)], (1, 1))
    assert [end.status for end in ends] == statuses, ends
    assert first in ends[0].error.splitlines()[-1]
    assert second in ends[1].error.splitlines()[-1]


@pytest.mark.parametrize(
    ("given", "among"),
    [
        ({}, ALONE),
        ({"processes": 1, "process": None, "coordinator": None}, ALONE),
        ({"processes": "auto"}, Joining(None)),
        ({"processes": 2, "process": 1, "coordinator": "a:1"}, Joining(2, 1, "a:1")),
    ],
)
def test_who_trains_together(given, among):
    assert joining.parse(given) == among


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"processes": 0}, r"processes=0 must be auto or at least 1"),
        ({"processes": 2}, r"processes=2 needs devices\.process and devices\.coordinator"),
        ({"processes": 2, "process": 2, "coordinator": "a:1"}, "process=2 must be less than"),
        ({"processes": 2, "process": -1, "coordinator": "a:1"}, "process=-1 must be null or"),
        (
            {"processes": 2, "process": 0, "coordinator": "a"},
            "coordinator='a' must be null or HOST",
        ),
        ({"process": 0}, r"need devices\.processes"),
    ],
)
def test_processes_that_mean_nothing_are_refused(given, message, monkeypatch):
    monkeypatch.delenv(joining.ADDRESS, raising=False)
    with pytest.raises(PlanError, match=message):
        joining.parse(given)


def test_alone_nothing_is_asked():
    assert (processes.leads(), processes.several()) == (True, False)
    assert processes.gathered(sys) == [sys]  # not even to be JSON
    assert processes.by_first(lambda: sys) is processes.everywhere(lambda: sys) is sys
