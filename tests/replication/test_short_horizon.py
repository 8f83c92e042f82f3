"""The measure of short-horizon bias, on made-up laws whose corrections are known."""

import json

import numpy as np
import pandas as pd
import pytest

from rllc.replication import short_horizon
from rllc.replication.short_horizon import MIXED, REVERSE, YES
from rllc.suite.choose import selection
from tests.suite import synthetic_records as made

TASK, STEPS = "mnist_mlp", np.arange(0, 1_001, 250)


class Held:
    """Runs whose law moves by `correction(batch, step)` times the law rate in every step."""

    def __init__(self, correction, batches=(16, 64), seeds=(200, 201)):
        rows, curves, laws = [], [], []
        for batch in batches:
            for seed in seeds:
                row, curve = made.run(
                    TASK, short_horizon.OPTIMIZER, seed, law_learning_rate=short_horizon.STILL,
                    steps=1_000, batch_size=batch,
                )  # fmt: skip
                moves = [0, *(250 * correction(batch, s) + 0.1 * (seed - 200.5) for s in STEPS[1:])]
                law = 1 + short_horizon.STILL * np.cumsum(moves)
                rows.append(row | {"run": f"{batch}-{seed}"})
                curves.append(curve.assign(run=f"{batch}-{seed}"))
                laws += [(f"{batch}-{seed}", s, [x]) for s, x in zip(STEPS, law, strict=True)]
        self.runs, self.curves = pd.DataFrame(rows), pd.concat(curves)
        self._laws = pd.DataFrame(laws, columns=["run", "step", "law"])

    def laws(self, runs):
        return self._laws[self._laws.run.isin(runs)]


def biases(correction):
    records = Held(correction)
    return short_horizon.table(selection.tidy(records.runs), records)


def theory(batch, step):
    return batch / 1_000 - step / 5_000


def test_corrections_are_changes_of_the_law_over_its_rate():
    found = biases(theory)
    assert list(found.batch_size) == [16] * 4 + [64] * 4
    wanted = [theory(row.batch_size, row.step) for row in found.itertuples()]
    np.testing.assert_allclose(found.correction, wanted, atol=1e-9)
    np.testing.assert_allclose(found.deviation, np.sqrt(0.5) * 0.1 / 250, rtol=1e-5)
    assert set(found.seeds) == {2}


@pytest.mark.parametrize(
    ("correction", "words"),
    [
        (theory, (YES, YES, YES)),
        (lambda batch, step: -theory(batch, step), (REVERSE, REVERSE, REVERSE)),
        (lambda batch, step: 1 + theory(batch, step), (YES, YES, REVERSE)),
        (lambda batch, step: batch / 1_000 - 0.03 - step / 1e6, (YES, YES, MIXED)),
    ],
)
def test_the_three_predictions_are_judged(correction, words):
    (row,) = short_horizon.judged(biases(correction)).itertuples()
    assert (row.ordered, row.falls, row.negative) == words


def test_other_runs_do_not_enter():
    records = Held(theory)
    settings = json.loads(records.runs.settings[0])
    others = records.runs.assign(
        hyper=made.hyper(learning_rate=0.03, law_learning_rate=0.003), settings=json.dumps(settings)
    )
    assert short_horizon.table(selection.tidy(others), records).empty
    assert "Not measured yet" in short_horizon.page(short_horizon.BIASES.empty())


def test_the_page_and_the_figure_show_every_batch_size():
    found = biases(theory)
    assert "16: -0.034, 64: +0.014" in short_horizon.page(found)
    (axes,) = short_horizon.figure(found).axes
    assert [line.get_label() for line in axes.lines[:2]] == ["16", "64"]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), found.correction[4:])
