"""The chosen law beyond images: bits of a language model saved, and cells of quadratics counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rllc.replication import law_variants_beyond as beyond
from rllc.replication import quadratics
from rllc.replication.law_variants import MOMENTUM, RATE
from rllc.suite.metrics import Metric
from rllc.suite.show import analysis
from rllc.suite.study import Study
from tests.suite import synthetic_records as made

VARIANT = quadratics.VARIANT
TASK = "text"
FLOORS = {MOMENTUM: 0.30, "Adam": 0.34, VARIANT: 0.25}


def studied(floor: float):
    """Final runs of two baselines and the variant, tuned at 0.03, losses near their floors."""
    floors = {**FLOORS, VARIANT: floor}
    tuning = [
        made.run(TASK, name, 100, rate, RATE, floor=floors[name], noise=0.0)
        for name in floors for rate in (0.03, 0.3)
    ]  # fmt: skip
    finals = [
        made.run(TASK, name, seed, 0.03, RATE, floor=floors[name], noise=0.001)
        for name in floors for seed in range(3)
    ]  # fmt: skip
    study = Study(
        "text", (TASK,), tuple(floors), (MOMENTUM, "Adam"),
        metrics={TASK: (Metric("loss", "min", "nats", guess=np.log(10)),)},
    )  # fmt: skip
    return analysis.analyse(study, made.gather([*tuning, *finals]))


@pytest.mark.slow
@pytest.mark.parametrize(("floor", "word", "sign"), [(0.25, "better", 1), (0.4, "worse", -1)])
def test_fewer_bits_are_a_difference_above_zero(floor, word, sign):
    a = studied(floor)
    (row,) = beyond.language(a, VARIANT).itertuples()
    assert (row.rival, row.word) == (MOMENTUM, word)  # of the two the one of lower loss
    assert np.sign(row.difference) == np.sign(row.low) == sign
    curves = a.records.curves[a.records.curves.run.isin(a.final.run)]
    best = curves.loc[curves.groupby("run").validation_loss.idxmin()].set_index("run").test_loss
    mean = a.final.assign(bits=a.final.run.map(best)).groupby("optimizer").bits.mean()
    assert row.difference == pytest.approx(mean[MOMENTUM] - mean[VARIANT])


def runs(name: str, role: str, excess: float, rate: float = 0.1) -> pd.DataFrame:
    level = excess * np.exp(0.01 * np.array([-1.0, 0.0, 1.0]))
    return pd.DataFrame({
        "role": role, "optimizer": name, "condition": 10.0, "noise": 0.1, "seed": range(3),
        "learning_rate": rate, "excess": level, "diverged": False,
    }).reindex(columns=quadratics.RUNS)  # fmt: skip


def test_cells_are_counted_by_optimizer_and_by_what_was_tuned():
    whole = pd.concat([
        runs(MOMENTUM, "final", 1e-3), runs(VARIANT, "final", 1e-4),
        runs(VARIANT, quadratics.DEFAULT, 2e-3), runs(quadratics.ADAM, "final", 1e-3),
    ]).astype({"diverged": bool, "law_1": float, "law_2": float})  # fmt: skip
    found = beyond.on_quadratics(whole).set_index(["optimizer", "way"])
    assert found.loc[(VARIANT, "tuned")].to_dict() == {"lower": 1, "tie": 0, "higher": 0}
    assert found.loc[(VARIANT, "default")].to_dict() == {"lower": 0, "tie": 0, "higher": 1}
    assert found.loc[(quadratics.ADAM, "tuned")].to_dict() == {"lower": 0, "tie": 1, "higher": 0}


def test_nothing_measured_is_no_section():
    assert beyond.section(VARIANT, None, Path("none.csv")) == ""
    assert beyond.section(None, None, Path("none.csv")) == ""
