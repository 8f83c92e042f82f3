"""What only an accelerator trains in time, in order of worth; planned without Hydra.

Entries are data. `scripts/gpu_queue.py` trains them; `hypotheses` judges the first ones.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
import yaml

from rllc.suite import records
from rllc.suite.choose import selection
from rllc.suite.errors import PlanError
from rllc.suite.metrics import CLASSIFICATION
from rllc.suite.plan.plan import Run, make_run

CONF = Path(__file__).parents[2] / "conf"
FASHION, CIFAR, MNIST, RESNET = (
    "fashion_mnist_conv", "cifar10_conv", "mnist_conv", "cifar10_resnet20",
)  # fmt: skip
JUDGED = {
    "id": "resnet20_modes", "_target_": "tasks.evaluation_modes.judged", "name": f"{RESNET}_modes",
}  # fmt: skip
M1, M10, M2, M3 = "m_0.9", "m_0.9_m_0.0", "m2_0.6", "m3_0.6"
TABLED = (
    "sgd", "momentum", "adam", M1, M10, "m_0.9_m_0.8_m_0.7", M2, "m_0.9_m2_0.6",
    "m_0.9_m_0.0_m2_0.6", M3, "m_0.9_m_-0.9_cm_0.9i",
)  # fmt: skip
NONE: Mapping[str, Any] = MappingProxyType({})
E1 = MappingProxyType({"initial_law": "first"})
# (c₁·x, c₂/x) of the paper's grid, x near 3, 5 and 7: from e₁ they make the steps of L₀ = x·e₁.
RATES_3, RATES_5 = ((0.1, 0.001), (0.09, 0.001)), ((0.15, 0.0006), (0.05, 0.0006), (0.5, 0.0006))
RATES_7 = ((0.21, 0.00043), (0.07, 0.00043))
FEW = (RATES_3[0], RATES_5[0], RATES_7[0])
UPDATED_RATES = tuple((rate, 0.003) for rate in (0.003, 0.01, 0.03, 0.1))
LARGE_EPSILONS = (0.01, 1.0, 100.0)
# Short and small: a look whether everything works, on a CPU.
REHEARSAL = {"steps": 4, "batch_size": 8, "eval_every": 4, "law_every": 2, "data": "synthetic"}


class Sweep(NamedTuple):
    """Runs of some optimizers on a task.

    Attributes:
      task: name of its config.
      optimizers: names of their configs.
      rates: tuples in the order of the config's grid; or ``grid``, the whole of it; ``chosen``, the
        best recorded point; ``leading``, the three best.
      optimizer: further keys of the optimizers' configs.
      settings: further keys of the task's config.
      role: of the runs.
      seeds: of the runs.
    """

    task: str
    optimizers: tuple[str, ...]
    rates: Any
    optimizer: Mapping[str, Any] = NONE
    settings: Mapping[str, Any] = NONE
    role: str = "question"
    seeds: tuple[int, ...] = (200,)


class Entry(NamedTuple):
    """One line of the queue: sweeps, or the words of a script, and what they decide."""

    name: str
    why: str
    sweeps: tuple[Sweep, ...] = ()
    script: tuple[str, ...] = ()


def _from_e1(task: str) -> tuple[Sweep, ...]:
    return Sweep(task, (M2, M3), RATES_3 + RATES_5 + RATES_7, E1), Sweep(task, (M10, M1), FEW, E1)


def _large_epsilon(epsilon: float) -> Sweep:
    ridge = E1 | {"epsilon_mode": "absolute", "epsilon": epsilon}
    names = (M1, M2) if epsilon == max(LARGE_EPSILONS) else (M1,)
    return Sweep(FASHION, names, ((0.1, 0.003),), ridge)


def _judged(**angle: float) -> tuple[Sweep, ...]:
    rates = {"momentum": (0.03,), M1: (0.1, 0.003)}
    return tuple(Sweep(f"{RESNET}_modes", (o,), (r,), settings=angle) for o, r in rates.items())


def _cells(rates: str, role: str, seeds: tuple[int, ...], *of: str) -> tuple[Sweep, ...]:
    return tuple(Sweep(task, TABLED, rates, role=role, seeds=seeds) for task in of)


QUEUE = (
    Entry(
        "e1_fashion", "L₀ = x·e₁, x near 3, 5 and 7; and the law rate c₁·c₂",
        (*_from_e1(FASHION), Sweep(FASHION, (M2,), ((0.1, 0.0003),), E1)),
    ),
    Entry("e1_cifar", "the same on CIFAR-10 Conv", _from_e1(CIFAR)),
    Entry(
        "updated", "the law corrected with the updated memory",
        (Sweep(FASHION, (M1, M2, M3), UPDATED_RATES, {"correct_with": "updated"}),),
    ),
    Entry(
        "per_layer", "a law per layer",
        (Sweep(FASHION, (M1, M2), ((0.1, 0.003),), {"law_groups": "leaf"}),),
    ),
    Entry("epsilon", "large absolute ε, from e₁", tuple(map(_large_epsilon, LARGE_EPSILONS))),
    Entry(
        "resnet_modes", "which test images and statistics give the paper's 81.4 ± 0.6, loss .576",
        (*_judged(), *_judged(rotation=45.0), *_judged(rotation=90.0)),
    ),
    Entry("resnet_grids", "whole grids of ResNet-20", _cells("grid", "tune", (100,), RESNET)),
    Entry(
        "resnet_finals", "five seeds of ResNet-20 at the best of these grids",
        _cells("chosen", "final", tuple(range(5)), RESNET),
    ),
    Entry(
        "conv_tuning", "three tuning seeds at the leading points of Conv",
        _cells("leading", "tune", (100, 101, 102), FASHION, CIFAR, MNIST),
    ),
    Entry(
        "conv_finals", "ten final seeds of Conv",
        _cells("chosen", "final", tuple(range(10)), FASHION, CIFAR, MNIST),
    ),
    Entry(
        "speed", "milliseconds per step and runs per second on this device",
        script=("scripts/benchmark.py", "--only", "levers", "step", "throughput", "batching"),
    ),
)  # fmt: skip


def entries(names: list[str]) -> list[Entry]:
    """The entries of these names in the queue's order; all of them for an empty list.

    Raises:
      PlanError: a name that the queue has not.
    """
    if unknown := sorted(set(names) - {entry.name for entry in QUEUE}):
        known = ", ".join(entry.name for entry in QUEUE)
        raise PlanError(f"the queue has no entry {unknown[0]!r}; it has {known}")
    return [entry for entry in QUEUE if not names or entry.name in names]


def config(group: str, name: str) -> dict[str, Any]:
    """A config as Hydra composes it: its ``defaults`` below it, ``${.key}`` looked up."""
    if name == JUDGED["name"]:
        return config(group, RESNET) | dict(JUDGED)
    whole = _merged(group, name)
    named = {f"${{.{key}}}": value for key, value in whole.items()}
    return {key: named.get(str(value), value) for key, value in whole.items()}


def _merged(group: str, name: str) -> dict[str, Any]:
    text = (CONF / group / f"{name}.yaml").read_text(encoding="utf-8")
    given: dict[str, Any] = yaml.safe_load(text)
    whole: dict[str, Any] = {}
    for base in given.pop("defaults", []):
        whole |= {} if base == "_self_" else _merged(group, base.removesuffix("@_here_"))
    return whole | given


def planned(
    sweep: Sweep, name: str, folders: tuple[Path, ...], rehearse: bool = False
) -> list[Run]:
    """Runs of one optimizer of a sweep.

    Args:
      sweep: of the queue.
      name: of its optimizers.
      folders: with the records that ``chosen`` and ``leading`` points come from; where they have
        none the config's ``untuned`` rates are taken.
      rehearse: only the first point and seed, as `REHEARSAL`, of an MLP in place of Conv, which
        compiles in a tenth of the time.
    """
    of = sweep.task.replace("_conv", "_mlp") if rehearse else sweep.task
    task = {**config("task", of), **sweep.settings}
    optimizer = {**config("optimizer", name), **sweep.optimizer}
    runs = [
        make_run(task, {**optimizer, **p}, s, REHEARSAL if rehearse else None, role=sweep.role)
        for p in _points(sweep, task, optimizer, folders)
        for s in sweep.seeds
    ]
    return runs[:1] if rehearse else runs


def _points(
    sweep: Sweep, task: dict[str, Any], optimizer: dict[str, Any], folders: tuple[Path, ...]
) -> Iterator[Mapping[str, float]]:
    names, grid = list(optimizer["grid"]), product(*optimizer["grid"].values())
    if sweep.rates in ("chosen", "leading"):
        cell = make_run(task, optimizer | optimizer["untuned"], 100, role="tune")
        found = best_points(cell, folders)
        yield from found[: 1 if sweep.rates == "chosen" else 3] or [optimizer["untuned"]]
    else:
        every = grid if sweep.rates == "grid" else sweep.rates
        yield from (dict(zip(names, point, strict=True)) for point in every)


def best_points(cell: Run, folders: tuple[Path, ...]) -> list[dict[str, float]]:
    """Recorded tuning points of a cell at its settings: the chosen one, then the others by value.

    A point with a diverged run is left out.
    """
    if not folders:
        return []
    runs, curves = _recorded(folders)
    mine = runs[(runs.task == cell.task["name"]) & (runs.optimizer == cell.optimizer["name"])]
    mine = mine[mine.variant == selection.variant_of(cell)]
    if mine.empty:
        return []
    points = selection.tuning_points(mine, curves, CLASSIFICATION[0])
    first = selection.choose(points, CLASSIFICATION[0]).hyper.iloc[0]
    longest = points[(points.steps == points.steps.max()) & (points.diverged == 0)]
    order = longest.assign(chosen=longest.hyper == first)
    order = order.sort_values(["chosen", "value"], ascending=False, kind="stable")
    return [selection.hyper_of(text) for text in order.hyper]


@cache
def _recorded(folders: tuple[Path, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    loaded = [records.load(folder) for folder in folders]
    runs = pd.concat([each.runs for each in loaded]).drop_duplicates("run", keep="last")
    curves = pd.concat([each.curves for each in loaded])
    return selection.tidy(runs), curves.drop_duplicates(["run", "step"], keep="last")
