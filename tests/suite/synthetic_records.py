"""Made-up records with the columns of real ones: curves from a formula, for tests and trials.

`records()` builds whatever cells are asked for; curves fall exponentially to a floor that
depends on the optimizer and on how far the rates are from a best point, so the right choice,
the right ranking and the right verdicts are known beforehand.
"""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.suite.choose import selection
from rllc.suite.metrics import Metric
from rllc.suite.records import identity, roles
from rllc.suite.show import analysis

EVALUATIONS = np.arange(0, 10_001, 250)
BEST_RATE, BEST_LAW_RATE = 0.03, 0.01


class SyntheticRecords(NamedTuple):
    """Same interface as `rllc.suite.records.Records`, all in memory."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    law_steps: int = 10
    metrics: Mapping[str, tuple[Metric, ...]] = MappingProxyType({})

    def laws(self, runs: Iterable[str]) -> pd.DataFrame:
        """Laws with the NAG crossing at step 2,000 (k = 2) or mirrored last units (k = 3)."""
        chosen = self.runs[self.runs.run.isin(list(runs))]
        parts = [_laws(run, self.law_steps) for run in chosen.itertuples()]
        return pd.concat(parts) if parts else pd.DataFrame(columns=["run", "step", "law"])


def num_units(optimizer: str) -> int:
    """Memory units of a label, words before a propagator left out; 0 for a baseline."""
    units = {"M2(": 2, "M3(": 3, "CM(": 2, "M(": 1}
    return sum(
        next(k for key, k in units.items() if p.split()[-1].startswith(key))
        for p in optimizer.split("+")
        if "(" in p
    )


def settings(task: str, optimizer: str, **protocol) -> str:
    """Canonical settings of a cell."""
    whole = {"batch_size": 128, "data": "real", "steps": 10_000, "eval_every": 250} | protocol
    law = [1.0] * num_units(optimizer)
    parts = {
        "optimizer": {"id": optimizer}, "task": {"name": task}, "protocol": whole,
        "traced": {"initial_law": law} if law else {},
    }  # fmt: skip
    return json.dumps(parts, sort_keys=True)


def hyper(**values: float) -> str:
    """The column ``hyper`` of these hyperparameters."""
    return identity.canonical({name: float(value) for name, value in values.items()})


def run(
    task: str,
    optimizer: str,
    seed: int,
    learning_rate: float = BEST_RATE,
    law_learning_rate: float = BEST_LAW_RATE,
    steps: int = 10_000,
    status: str = "finished",
    device: str = "cpu (made up)",
    floor: float | None = None,
    noise: float = 0.001,
    **protocol,
) -> tuple[dict, pd.DataFrame]:
    """One run and its curve.

    Args:
      floor: error (a fraction) that the curve falls to at the best rates; by default the paper's.
      noise: deviation over seeds of that error.
    """
    law = {} if optimizer in paper.BASELINES else {"law_learning_rate": law_learning_rate}
    rates = (learning_rate, law.get("law_learning_rate", np.nan))  # the name seeds the noise
    name = "-".join(map(str, (task, optimizer, seed, *rates, steps, *protocol.values())))
    row = {
        "run": name, "shard": f"{task}/{optimizer}", "task": task, "optimizer": optimizer,
        "family": "baseline" if optimizer in paper.BASELINES else "rllc",
        "seed": seed, "role": roles.of_seed(seed), "group": optimizer,
        "hyper": hyper(learning_rate=learning_rate, **law),
        "settings": settings(task, optimizer, **protocol), "steps": steps, "device": device,
        "status": status, "diverged_at": None,
    }  # fmt: skip
    floor = _paper_error(task, optimizer) if floor is None else floor
    far = abs(np.log10(learning_rate / BEST_RATE)) + 0.5 * abs(np.log10(law_learning_rate / 0.01))
    shared = np.random.default_rng(seed).normal()  # the same for every optimizer: paired
    own = 0.3 * np.random.default_rng([seed, *name.encode()]).normal()
    return row, _curve(name, steps, floor * (1 + 0.3 * far) + noise * (shared + own), status)


def _paper_error(task: str, optimizer: str) -> float:
    cells = paper.cells().set_index(["optimizer", "task"]).test_accuracy_mean
    return 1 - cells.get((optimizer, task), 90.0) / 100


def _curve(name: str, steps: int, floor: float, status: str) -> pd.DataFrame:
    at = EVALUATIONS[steps >= EVALUATIONS]
    error = floor + (0.9 - floor) * np.exp(-at / 800.0)
    late = 1 + 0.02 * np.maximum(0, at - 8_000) / 2_000  # overfits a little after step 8,000
    loss = 3 * error * late
    if status == "diverged":
        error, loss = np.where(at > 500, 0.9, error), np.where(at > 500, np.nan, loss)
    table = {
        "run": name, "step": at, "train_loss": loss, "validation_loss": loss * 1.01,
        "validation_accuracy": 1 - error * late, "test_loss": loss,
        "test_accuracy": 1 - error * late, "test_loss_batch_mean": loss,
        "test_accuracy_batch_mean": 1 - error * late,
    }  # fmt: skip
    return pd.DataFrame(table).astype({"run": str})


def _laws(run, every: int) -> pd.DataFrame:
    steps = np.arange(0, run.steps + 1, every)
    k = num_units(run.optimizer)
    wobble = 0.01 * np.random.default_rng(run.seed).normal(size=(len(steps), k)).cumsum(0) / 10
    law = np.ones((len(steps), k)) + wobble
    if k == 2:  # L_1 - 0.9 L_2 falls through 0 at step 2,000
        law = np.stack([0.9 + (2_000 - steps) * 1e-4, np.ones(len(steps))], 1) + wobble
    if k == 3:
        swing = 2 * (1 - np.exp(-steps / 1_500))
        law = np.stack([np.full(len(steps), 0.6), 1 - swing * 1.7, 1 + swing], 1) + wobble
    return pd.DataFrame({"run": run.run, "step": steps, "law": list(law.astype(np.float32))})


def gather(pairs: Iterable[tuple[dict, pd.DataFrame]]) -> SyntheticRecords:
    """Records of several `run`s."""
    rows, curves = zip(*pairs, strict=True)
    return SyntheticRecords(pd.DataFrame(list(rows)), pd.concat(curves, ignore_index=True))


def records(
    tasks: Iterable[str] = ("mnist_mlp",),
    optimizers: Iterable[str] = paper.OPTIMIZERS,
    seeds: Iterable[int] = range(3),
    tuning_seeds: Iterable[int] = (100, 101),
    **settings_,
) -> SyntheticRecords:
    """Tuning runs on a grid of 3 x 3 points (3 for baselines), and finals at its best point."""
    pairs = []
    optimizers, seeds, tuning_seeds = list(optimizers), list(seeds), list(tuning_seeds)
    for task in tasks:
        for name in optimizers:
            laws = (0.01,) if name in paper.BASELINES else (0.003, 0.01, 0.03)
            grid = [(rate, law) for rate in (0.01, 0.03, 0.1) for law in laws]
            pairs += [run(task, name, s, *p, **settings_) for p in grid for s in tuning_seeds]
            pairs += [run(task, name, seed, **settings_) for seed in seeds]
    return gather(pairs)


def analysed(records: NamedTuple, **arguments) -> analysis.Analysis:
    """Analysis of records as ones of the paper's study."""
    return analysis.analyse(paper.STUDY, records, **arguments)


def no_choices() -> pd.DataFrame:
    """An empty table of choices."""
    return pd.DataFrame(columns=selection.CHOICE_COLUMNS)


def nothing() -> SyntheticRecords:
    """Records of no run at all, as a fresh checkout has them."""
    runs, curves = gather([run("mnist_mlp", "SGD", 0)])[:2]
    return SyntheticRecords(runs.iloc[:0], curves.iloc[:0])


def with_law(row: dict, law) -> dict:
    """A run's row from another initial law."""
    settings = json_settings(row) | {"traced": {"initial_law": law}}
    return row | {"settings": json.dumps(settings, sort_keys=True)}


def json_settings(row: dict) -> dict:
    """The settings of a run's row, parsed."""
    return json.loads(row["settings"])
