"""Which measurements to make, how thoroughly, and in what order; keeps what each one gives."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from rllc.suite.engine import training
from rllc.suite.speed import (
    batching,
    compilation,
    language,
    levers,
    parts,
    plots,
    report,
    scaling,
    setups,
    steps,
    store,
    throughput,
    update,
)
from rllc.suite.speed.timing import Progress
from rllc.suite.study import Study

SECTIONS = (
    "update",
    "parts",
    "step",
    "throughput",
    "language",
    "batching",
    "levers",
    "scaling",
    "compilation",
)
WEIGHTS = {"mlp": 1.0, "conv": 3.0, "resnet20": 12.0}  # rough cost of a task, for the ETA
Measured = tuple[list[dict[str, Any]], list[str]]


class Effort(NamedTuple):
    """How much is measured.

    Attributes:
      rounds: turns of each case.
      few: turns where steps are slow (Conv, ResNet-20).
      seconds: length of a turn.
      call: length of a turn of training: that of the engine's own calls, which each find their
        memory anew.
      sizes: numbers of parameters for the update.
      widths, runs, units: sizes for the scaling.
    """

    rounds: int = 5
    few: int = 3
    seconds: float = 0.4
    sizes: tuple[int, ...] = update.SIZES
    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 1024)
    runs: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    units: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16)
    call: float = training.SECONDS_PER_CALL


FULL = Effort()
QUICK = Effort(2, 2, 0.02, (10**4, 10**5), (16, 32), (1, 2), (1, 2), 0.02)


class Job(NamedTuple):
    """One measurement: which table it fills, its rough cost, and how to make it."""

    table: str
    name: str
    weight: float
    measure: Callable[[], Measured]


def jobs(
    study: Study,
    sections: Sequence[str],
    tasks: Sequence[str],
    peers: dict[str, str],
    folder: Path,
    quick: bool = False,
    further: steps.Groups = steps.none,
) -> list[Job]:
    """The measurements asked for.

    Args:
      study: whose optimizers' steps are timed.
      sections: of `SECTIONS`.
      tasks: names.
      peers: key of `processes.PEERS` -> interpreter.
      folder: for files that the peers read.
      quick: tiny sizes, to see that everything works.
      further: optimizers whose steps are timed beside the study's.
    """
    effort = QUICK if quick else FULL
    found: list[Job] = []
    if "update" in sections:
        found += [_update(size, effort) for size in effort.sizes]
    if "parts" in sections:
        found.append(_parts(max(effort.sizes) if quick else update.REFERENCE, effort))
    if "step" in sections:
        some = [task for task in tasks if not task.startswith("fashion")]
        found += [_step(study, task, effort, quick, further) for task in some]
    if "throughput" in sections:
        found += [_throughput(t, o, peers, folder, effort, quick) for t in tasks for o in _pair(t)]
    if "language" in sections:
        found.append(_language(peers, folder, effort, quick))
    if "batching" in sections and jax.default_backend() != "cpu":
        found += [_batching(t, effort, quick) for t in tasks if not t.startswith("fashion")]
    if "levers" in sections and jax.default_backend() != "cpu":
        found += [_levers(t, effort) for t in tasks if not t.startswith("fashion")]
    if "scaling" in sections:
        found += _scaling(effort)
    if "compilation" in sections:
        found += [_compilation(t, quick) for t in tasks if not t.startswith("fashion")]
    return found


def _update(size: int, effort: Effort) -> Job:
    def measure() -> Measured:
        rows = list(update.measure((size,), effort.rounds, effort.seconds / 2))
        return rows, [] if rows else [f"update of {size:.0e} parameters skipped: too little memory"]

    return Job("update", f"update n={size:.0e}", 3 + size / 1e7, measure)


def _parts(n: int, effort: Effort) -> Job:
    def measure() -> Measured:
        return list(parts.measure(n, effort.rounds, effort.seconds / 2)), []

    return Job("update_parts", "parts of the update", 20, measure)


def _step(study: Study, task: str, effort: Effort, quick: bool, further: steps.Groups) -> Job:
    names = setups.figure_optimizers(study, quick)
    groups = {name: setups.runs(task, name, 1) for name in names}
    groups |= {name: runs for name, runs in further(task).items() if name not in groups}

    def measure() -> Measured:
        return steps.measure(task, groups, _rounds(task, effort), effort.seconds / 2)

    return Job("training_step", f"training step {task}", len(groups) * _weight(task), measure)


def _pair(task: str) -> tuple[str, ...]:
    """The optimizer all peers have, and on MNIST and CIFAR-10 one of the paper's."""
    return (report.HEADLINE,) if task.startswith("fashion") else (report.HEADLINE, setups.UNITS[2])


def _throughput(
    task: str, optimizer: str, peers: dict[str, str], folder: Path, effort: Effort, quick: bool
) -> Job:
    sizes = setups.group_sizes(task, jax.devices()[0].platform, quick)
    if optimizer != report.HEADLINE:  # peers have plain optimizers only, and one size is enough
        sizes, peers = sizes[-1:], {k: v for k, v in peers.items() if k == "flax"}

    def measure() -> Measured:
        rounds, seconds = _rounds(task, effort), _turn(task, effort)
        return throughput.measure(task, optimizer, sizes, peers, folder, rounds, seconds)

    weight = 4 * _weight(task) * (len(sizes) + len(peers))
    return Job("throughput", f"throughput {task}, {optimizer}", weight, measure)


def _language(peers: dict[str, str], folder: Path, effort: Effort, quick: bool) -> Job:
    sizes = [1, 2] if quick else [1, language.RUNS]
    have = {kind: python for kind, python in peers.items() if kind != "learned"}  # has no such task

    def measure() -> Measured:
        return language.measure(sizes, have, folder, effort.rounds, effort.call)

    return Job("language", "language model", 60 + 30 * len(have), measure)


def _batching(task: str, effort: Effort, quick: bool) -> Job:
    """Processes of their own for convolutional networks only: an MLP's runs fill one product.

    A ResNet-20 has one to itself, since more in one program gain little.
    """
    runs = {"mlp": 18, "conv": 6, "resnet20": 3}[setups.network(task)]
    counts = [] if setups.network(task) == "mlp" else [2] if quick else [4, 8]

    each = 1 if setups.network(task) == "resnet20" else runs

    def measure() -> Measured:
        rounds, seconds = _rounds(task, effort), _turn(task, effort)
        return batching.measure(task, setups.UNITS[3], runs, counts, each, rounds, seconds)

    weight = 4 * _weight(task) * (4 + len(counts))
    return Job("batching", f"batching {task}", weight, measure)


def _levers(task: str, effort: Effort) -> Job:
    """Of one run: what is bound by launches is, above all, a program with few runs."""

    def measure() -> Measured:
        rounds, seconds = _rounds(task, effort), _turn(task, effort)
        return levers.measure(task, setups.UNITS[2], 1, rounds, seconds)

    return Job("levers", f"levers {task}", 4 * _weight(task) * len(levers.LEVERS), measure)


def _scaling(effort: Effort) -> list[Job]:
    rounds, seconds = effort.rounds, effort.seconds / 2
    made: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "runs": lambda: scaling.by_runs(effort.runs, rounds, seconds),
        "width": lambda: scaling.by_width(effort.widths, 6, rounds, seconds),
        "units": lambda: scaling.by_units(effort.units, rounds, seconds),
    }
    return [Job("scaling", f"scaling {axis}", 25, _without_notes(f)) for axis, f in made.items()]


def _without_notes(measure: Callable[[], list[dict[str, Any]]]) -> Callable[[], Measured]:
    return lambda: (measure(), [])


def _compilation(task: str, quick: bool) -> Job:
    runs = setups.group_sizes(task, jax.devices()[0].platform, quick)[-1]

    def measure() -> Measured:
        return compilation.measure(task, runs, setups.UNITS[2])

    return Job("compilation", f"compilation {task}", 12 + 4 * _weight(task), measure)


def _rounds(task: str, effort: Effort) -> int:
    return effort.rounds if setups.network(task) == "mlp" else effort.few


def _turn(task: str, effort: Effort) -> float:
    """Seconds; evaluations, every 250 steps, cut an MLP's calls before they are full."""
    return min(2.0, effort.call) if setups.network(task) == "mlp" else effort.call


def _weight(task: str) -> float:
    return WEIGHTS[setups.network(task)]


def run(
    study: Study,
    sections: Sequence[str],
    tasks: Sequence[str],
    peers: dict[str, str],
    output: Path,
    quick: bool = False,
    show: bool = True,
    further: steps.Groups = steps.none,
) -> bool:
    """Measures, writing every table as soon as it is there; a failed measurement is reported.

    Returns:
      Whether every measurement succeeded.
    """
    device, good = store.device(), True
    measured: dict[str, list[dict[str, Any]]] = {}
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        todo = jobs(study, sections, tasks, peers, Path(folder), quick, further)
        progress = Progress({job.name: job.weight for job in todo}, show)
        for job in todo:
            try:
                rows, new = job.measure()
            except Exception as error:
                rows, new, good = [], [f"{job.name} failed: {type(error).__name__}: {error}"], False
            jax.clear_caches()
            measured.setdefault(job.table, []).extend(rows)
            notes += new
            if rows:
                store.write(output, job.table, rows, device)
            progress.finish(job.name, new)
    store.write_raw(output, measured, notes, device)
    report.write(study, output, device)
    plots.write(study, output, device)
    print(f"wrote {output}", file=sys.stderr if not show else sys.stdout)
    return good
