"""What the replication adds to an analysis: open questions, initial laws and law rates."""

from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rllc.replication import (
    deviations,
    half_precision,
    hypotheses,
    initial_laws,
    law_rates,
    law_variants,
    multiverse,
    reach,
    reported,
    search,
    second_reading,
    short_horizon,
)
from rllc.replication.paper import STUDY
from rllc.suite.beside import Here
from rllc.suite.choose.selection import Defaults
from rllc.suite.score.step_times import COLUMNS
from rllc.suite.show import analysis
from rllc.suite.show.analysis import Analysis

RATES = ["task", "way", "run_steps_per_second", "device"]


class Replication(NamedTuple):
    """The analysis of this paper's records, and what only this paper asks.

    Attributes:
      measured: the analysis of any study.
      deviations: distance of every answer to an open question from the paper (`deviations`).
      elsewhere: final runs from other initial laws than the default, by answer (`initial_laws`).
      witnesses: the law of Figure 2a from each initial law (`initial_laws.witnesses`).
      law_rates: accuracy and what is left of the law, by law rate (`law_rates.table`).
      tried: what the authors may have run on Conv (`hypotheses.table`).
      worlds: the headline claims in every world (`multiverse.table`).
      reach: what the paper's grid can reach on Conv (`reach.table`).
      biases: corrections by batch size (`short_horizon.table`).
      variants: laws that may not collapse (`law_variants.analyse`).
      reported: every cell at every reading (`reported.table`).
      second: the cells of the second reading (`second_reading.table`).
      half: bfloat16 beside float32 (`half_precision.table`).
      searches: what the search of propagators found (`search.found`).
      rates: steps per second of an accelerator by task and way of sharing it (`RATES`).
    """

    measured: Analysis
    deviations: pd.DataFrame
    elsewhere: dict[str, pd.DataFrame]
    witnesses: pd.DataFrame
    law_rates: pd.DataFrame
    tried: pd.DataFrame
    worlds: pd.DataFrame
    reach: pd.DataFrame
    biases: pd.DataFrame
    variants: law_variants.Variants
    reported: pd.DataFrame
    second: pd.DataFrame
    half: pd.DataFrame
    searches: list[search.Found]
    rates: pd.DataFrame


def analyse(
    records: Any,
    choices: pd.DataFrame | None = None,
    defaults: Defaults | None = None,
    timings: pd.DataFrame | None = None,
    rates: pd.DataFrame | None = None,
    measured: pd.DataFrame | None = None,
    other: Executor | None = None,
) -> Replication:
    """Computes a `Replication`.

    Arguments as of `rllc.suite.show.analysis.analyse`, ``rates``, and `other`, which does a part.
    """
    a = analysis.analyse(STUDY, records, choices, defaults, timings, measured)
    worlds = (other or Here()).submit(multiverse.table, a)
    elsewhere = initial_laws.finals_from_elsewhere(a.every, a.runs, records.curves)
    cells = reported.table(a.final, records.curves)
    return Replication(
        measured=a,
        deviations=deviations.deviations(a.every, a.runs, records.curves),
        elsewhere=elsewhere,
        witnesses=initial_laws.witnesses(a.every, a.runs, records),
        law_rates=law_rates.table(a.runs, records),
        tried=hypotheses.table(a.every, a.runs, records),
        reach=reach.table(a),
        biases=short_horizon.table(a.every, records),
        variants=law_variants.analyse(a),
        reported=cells,
        second=second_reading.table(elsewhere, cells, records.curves),
        half=half_precision.table(a),
        searches=search.found(a),
        rates=pd.DataFrame(columns=RATES) if rates is None else rates,
        worlds=worlds.result(),
    )


def benchmark_steps(folder: Path) -> pd.DataFrame | None:
    """Times of a training step (`step_times.COLUMNS`), by the benchmark of the most optimizers.

    Fashion-MNIST has MNIST's shapes, and so its times.

    Args:
      folder: of the benchmarks; without ``training_step.csv`` there are none.
    """
    file = folder / "training_step.csv"
    if not file.exists():
        return None
    times = pd.read_csv(file)
    counts = times.device.value_counts()
    times = times[times.device == min(counts[counts == counts.max()].index)][COLUMNS]
    same = times[times.task.str.startswith("mnist_")]
    return pd.concat([times, same.assign(task="fashion_" + same.task)], ignore_index=True)
