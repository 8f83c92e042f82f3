"""A page of made-up records on disk, for the tests of the page."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rllc.suite.records import Records
from rllc.suite.show.analysis import Analysis
from tests.suite import synthetic_records as made

TASKS = ("mnist_mlp", "mnist_conv")
OPTIMIZERS = ("SGD", "Momentum SGD", "Adam", "M(0.9)+M(0.0)", "M(0.9)+M(0.8)+M(0.7)", "Lion <b>")


def stored(found: made.SyntheticRecords, folder: Path) -> Records:
    """The same records, with probes in files as `Records.probe` reads them."""
    for shard, members in found.runs.groupby("shard"):
        path = folder / f"{shard}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        laws = found.laws(members.run).rename(columns={"law": "values"})
        columns = {name: laws[name].to_list() for name in ("run", "step")}
        if made.num_units(str(members.optimizer.iloc[0])):
            columns["law"] = [list(map(float, law)) for law in laws["values"]]
        pq.write_table(pa.table(columns), path)
    return Records(found.runs, found.curves, folder, found.metrics)


def analysed(folder: Path, untuned: tuple[str, ...] = ()) -> Analysis:
    """Two tasks, six optimizers, three seeds; one run diverged; as if tuned on whole grids.

    Args:
      folder: gets the files of probes.
      untuned: optimizers that have runs at their default point, too.
    """
    every = made.records(TASKS, OPTIMIZERS, range(3), (100,))
    lost = made.run("mnist_mlp", "Lion <b>", 3, status="diverged")
    at_default = [
        made.run(task, name, seed, 0.01, floor=0.04, noise=1e-4)
        for task in TASKS for name in untuned for seed in range(1000, 1006)
    ]  # fmt: skip
    more = made.gather([lost, *((row | {"role": "untuned"}, c) for row, c in at_default)])
    whole = every._replace(
        runs=made.pd.concat([every.runs, more.runs], ignore_index=True),
        curves=made.pd.concat([every.curves, more.curves], ignore_index=True),
    )
    found = made.analysed(stored(whole, folder))
    return found._replace(made=found.made.assign(short_grid=False))
