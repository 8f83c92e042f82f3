"""Sweep throughput by group size, beside three peers and the matrix-product rate, in one run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rllc.suite.execute import execution
from rllc.suite.plan.plan import Run
from rllc.suite.speed import engine, flops, processes, rates, setups
from rllc.suite.speed.timing import Times, interleave

PRODUCT, SINGLE = "product on all devices", "product on one device"


def measure(
    task: str,
    optimizer: str,
    sizes: Sequence[int],
    peers: Mapping[str, str],
    folder: Path,
    rounds: int,
    seconds: float,
) -> tuple[list[dict[str, Any]], list[str]]:
    """One task with one optimizer: engine groups, peers and matrix products take turns.

    Args:
      task, optimizer: names.
      sizes: runs per program.
      peers: key of `processes.PEERS` -> interpreter.
      folder: for the peers' copy of the training set.
      rounds, seconds: see `timing.interleave`.

    Returns:
      Rows: task, optimizer, case, runs, run_steps_per_second (median), …_most (best round),
      gflops (network's operations per second / 10⁹), matmul_gflops (measured between them),
      matmul_fraction, over_loop (per run, against the Flax loop), version; and notes.
    """
    first = setups.runs(task, optimizer, 1)
    data, note = engine.data(first)
    spec = processes.of_images(first[0], setups.network(task), data, folder)
    groups = {r: setups.runs(task, optimizer, r) for r in sizes}
    rows, notes = beside(groups, data, spec, peers, rounds, seconds)
    return rows, notes + [note] * bool(note)


def beside(
    sweeps: Mapping[int, list[Run]],
    data: Any,
    spec: dict[str, Any],
    peers: Mapping[str, str],
    rounds: int,
    seconds: float,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Groups of runs, peers and matrix products in turns; rows and notes as of `measure`.

    Args:
      sweeps: number of runs -> these, of one task and optimizer.
      data: the task's Dataset.
      spec: what the peers are told (`processes.running`).
      peers: key of `processes.PEERS` -> interpreter.
      rounds, seconds: see `timing.interleave`.
    """
    run = next(iter(sweeps.values()))[0]
    per_run = flops.nominal(execution.make_task(run), run.protocol["batch_size"])
    with processes.running(dict(peers), spec) as (others, notes):
        groups = {r: engine.trainer(runs, data) for r, runs in sweeps.items()}
        cases: dict[str, Any] = {str(r): engine.steps(group) for r, group in groups.items()}
        cases |= others
        cases |= {PRODUCT: rates.product(), SINGLE: rates.single_product()}
        times = interleave(cases, rounds, seconds)
        versions = {kind: peer.version for kind, peer in others.items()}
    broken = [r for r, group in groups.items() if not engine.all_finite(group)]
    task, optimizer = run.task["name"], run.optimizer["name"]
    notes += [f"{task}: a group of {r} runs diverged" for r in broken]
    return _rows(task, optimizer, list(sweeps), times, per_run, versions), notes


def _rows(
    task: str,
    optimizer: str,
    sizes: list[int],
    times: Mapping[str, Times],
    per_run: int,
    versions: Mapping[str, str],
) -> list[dict[str, Any]]:
    best = min(times[PRODUCT].median, times[SINGLE].median)
    matmul = rates.product_flops() / best / 1e9
    loops = [kind for kind in versions if processes.PEERS[kind] == processes.LOOP]
    loop = 1 / times[loops[0]].median if loops else float("nan")
    cases = [(str(r), setups.ENGINE, r) for r in sizes]
    cases += [(kind, processes.PEERS[kind], 1) for kind in versions]
    rows = []
    for key, case, runs in cases:
        rate = runs / times[key].median
        gflops = rate * per_run / 1e9
        rows.append({
            "task": task, "optimizer": optimizer, "case": case, "runs": runs,
            "run_steps_per_second": rate, "run_steps_per_second_most": runs / times[key].least,
            "gflops": gflops, "matmul_gflops": matmul, "matmul_fraction": gflops / matmul,
            "over_loop": rate / loop, "version": versions.get(key, ""),
        })  # fmt: skip
    return rows
