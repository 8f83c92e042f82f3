"""Summary and Markdown, made of the measured tables alone."""

from pathlib import Path
from typing import Any

import pandas as pd

from rllc.suite.markdown import markdown_table
from rllc.suite.speed import store, update
from rllc.suite.speed.setups import UNITS
from rllc.suite.speed.throughput import ENGINE
from rllc.suite.study import Study

HEADLINE = "Momentum SGD"  # the optimizer that all peers have
SUMMARY = ["metric", "case", "value", "device"]


def summary(study: Study, folder: Path) -> pd.DataFrame:
    """One row per figure: metric, case, value, device.

    ``matmul_fraction``, ``speedup_over_loop`` and ``run_steps_per_second`` per task come from the
    fastest group of it with `HEADLINE`; ``update_time_over_adam`` from n = 10⁷.
    """
    rows = [row for _, row in best_groups(study, store.read(folder, "throughput")).iterrows()]
    metrics = {
        "matmul_fraction": "matmul_fraction",
        "speedup_over_loop": "over_loop",
        "run_steps_per_second": "run_steps_per_second",
    }
    found = [
        (m, row.task, row[column], row.device) for m, column in metrics.items() for row in rows
    ]
    table = store.read(folder, "update")
    if len(table):
        table = table[table["size"] == update.REFERENCE]
        wanted = [f"k={k}" for k in UNITS]
        found += [
            ("update_time_over_adam", row.case, row.over_adam, row.device)
            for row in table[table.case.isin(wanted)].itertuples()
        ]
    return pd.DataFrame(found, columns=SUMMARY).dropna(subset="value").reset_index(drop=True)


def best_groups(study: Study, throughput: pd.DataFrame, optimizer: str = HEADLINE) -> pd.DataFrame:
    """The engine's fastest group of each device and task, in the order of the study's tasks."""
    if throughput.empty:
        return throughput
    here = throughput[(throughput.case == ENGINE) & (throughput.optimizer == optimizer)]
    best = here.loc[here.groupby(["device", "task"]).run_steps_per_second.idxmax()]
    order = {task: i for i, task in enumerate(study.tasks)}
    return best.sort_values(by=["device", "task"], key=lambda c: c.map(order).fillna(0))


def step_times(folder: Path, device: str) -> pd.DataFrame:
    """What Figure 3 is drawn of: CIFAR-10 on one device."""
    table = store.read(folder, "training_step")
    columns = ["network", "optimizer", "milliseconds_per_step", "gflop_per_step", "device"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    here = table[table.task.str.startswith("cifar10_") & (table.device == device)]
    return here[columns].reset_index(drop=True)


def write(study: Study, folder: Path, device: str) -> None:
    """Writes summary.csv, step_time.csv and README.md."""
    store.save(summary(study, folder), folder / "summary.csv")
    store.save(step_times(folder, device), folder / "step_time.csv")
    (folder / "README.md").write_text(to_markdown(study, folder))


def to_markdown(study: Study, folder: Path) -> str:
    """All tables, device by device."""
    tables = {name: store.read(folder, name) for name in store.TABLES}
    known = sorted({d for table in tables.values() if len(table) for d in table.device})
    parts = ["# Benchmarks", _INTRO]
    for device in known:
        parts.append(f"## {device}")
        here = {k: t[t.device == device] if len(t) else t for k, t in tables.items()}
        parts += [
            f"### {title}\n\n{section(study, here[name])}"
            for name, title, section in _SECTIONS
            if len(here[name])
        ]
    return "\n\n".join(parts) + "\n"


_INTRO = (
    "Made by `make benchmark`. Within a table all cases took turns (A B C A B C …) in one run, and "
    "medians over the rounds are shown. GFLOP/s counts the products of the plain network; "
    "Winograd convolutions need fewer, so a fraction may exceed 100 %; "
    "`summary.csv` holds one row per headline figure, the other CSV files every number here, the "
    "JSON files versions, dates and notes, among them on what was measured otherwise."
)


def _update(study: Study, table: pd.DataFrame) -> str:
    head = ["case", "numbers moved per parameter", *[f"n = {n:.0e}" for n in _sizes(table)]]
    head = [text.replace("e+0", "e") for text in head] + ["× Adam", "× copy"]
    body = []
    for case, rows in table.groupby("case", sort=False):
        times = [f"{t:.2f}" for t in rows.sort_values("size").ns_per_parameter]
        at = rows[rows["size"] == update.REFERENCE]
        ratios = [f"{at[c].iloc[0]:.2f}" if len(at) else "–" for c in ("over_adam", "over_copy")]
        body.append([_case(case), rows.numbers_per_parameter.iloc[0], *times, *ratios])
    note = (
        "Nanoseconds per parameter, parameters and state in place; ratios at n = 10⁷. Small "
        "trees take several steps in one call. Numbers moved: 3 k + 4 for k memory units, 7 for "
        "Adam."
    )
    return f"{note}\n\n{markdown_table(head, body)}"


def _case(case: str) -> str:
    return f"{case}: {UNITS[int(case[2:])]}" if case.startswith("k=") else case


def _sizes(table: pd.DataFrame) -> list[int]:
    return sorted(set(table["size"]))


def _steps(study: Study, table: pd.DataFrame) -> str:
    tasks = study.task_order(table.task)
    names = study.row_order(table.optimizer)
    cells = table.set_index(["optimizer", "task"])
    body = []
    for name in names:
        found = [cells.loc[(name, t)] if (name, t) in cells.index else None for t in tasks]
        texts = ["–" if r is None else f"{r.milliseconds_per_step:.3g} ms" for r in found]
        body.append([study.pretty(name), *texts])
    work = table.drop_duplicates("task").set_index("task")
    body.append(["GFLOP, network", *[f"{work.gflop_network[t]:.3g}" for t in tasks]])
    body.append(["GFLOP, compiler", *[f"{work.gflop_per_step[t]:.3g}" for t in tasks]])
    note = "One run alone. Fashion-MNIST has MNIST's shapes, and so its times."
    return f"{note}\n\n{markdown_table(['optimizer', *map(study.title, tasks)], body)}"


def _throughput(study: Study, table: pd.DataFrame) -> str:
    head = ["task", "optimizer", "case", "runs", "run-steps/s", "GFLOP/s", "of matmul", "× loop"]
    body: list[list[Any]] = [
        [
            study.title(row.task), study.pretty(row.optimizer), row.case, row.runs,
            f"{row.run_steps_per_second:.4g}", f"{row.gflops:.3g}",
            f"{100 * row.matmul_fraction:.0f} %",
            "–" if pd.isna(row.over_loop) else f"{row.over_loop:.2f}",
        ]
        for row in table.itertuples()
    ]  # fmt: skip
    return f"{markdown_table(head, body)}\n\n{_projection(study, table)}"


def _projection(study: Study, table: pd.DataFrame) -> str:
    """Time of the study's whole tuning at the rates of the fastest groups."""
    best, runs = best_groups(study, table), _grid_runs(study)
    hours = {r.task: runs * study.steps / r.run_steps_per_second / 3600 for r in best.itertuples()}
    if not hours or not runs:
        return ""
    parts = ", ".join(f"{study.title(task)} {value:.3g}" for task, value in hours.items())
    return (
        f"The {study.source}'s protocol ({runs} runs of {study.steps} steps per task) at these "
        f"rates, evaluation not counted, in hours: {parts}; together {sum(hours.values()):.3g}."
    )


def _grid_runs(study: Study) -> int:
    """Tuning runs of a task: whole grids of all optimizers, with every tuning seed."""
    most = max(study.grid_points.values(), default=0)
    points = [
        study.grid_points.get("baseline", most) if name in study.baselines else most
        for name in study.optimizers
    ]
    return sum(points) * study.tuning_seeds


def batching(study: Study, table: pd.DataFrame) -> str:
    """One device's ways of training several runs; runs and processes in all."""
    head = ["task", "way", "processes", "runs", "run-steps/s", "GFLOP/s", "× alone"]
    alone = table[table.way == "alone"].set_index("task").run_steps_per_second
    body = [
        [
            study.title(row.task), row.way, row.processes, row.runs,
            f"{row.run_steps_per_second:,.0f}", f"{row.gflops:,.0f}",
            f"{row.run_steps_per_second / alone[row.task]:.2f}" if row.task in alone else "–",
        ]
        for row in table.itertuples()
    ]  # fmt: skip
    optimizers = ", ".join(map(study.pretty, table.optimizer.unique()))
    note = (
        f"{optimizers}; several runs as one program, its convolutions grouped (what `vmap` makes "
        "of them) or unrolled run by run, or the runs taking turns; or as processes of their own."
    )
    return f"{note}\n\n{markdown_table(head, body)}"


def _scaling(study: Study, table: pd.DataFrame) -> str:
    units = {"runs": "step of the group", "width": "step of the group", "units": "update"}
    body = [
        [row["axis"], row["size"], units[row["axis"]], f"{row['milliseconds']:.3g}"]
        for row in table.to_dict("records")
    ]
    return markdown_table(["what grows", "to", "of what", "milliseconds"], body)


def _compilation(study: Study, table: pd.DataFrame) -> str:
    head = ["task", "optimizer", "runs", "first time", "second time", "peak memory"]
    body = [
        [
            study.title(row.task), study.pretty(row.optimizer), row.runs,
            f"{row.compile_seconds:.1f} s", f"{row.compile_seconds_again:.1f} s",
            f"{row.peak_gigabytes:.2f} GB",
        ]
        for row in table.itertuples()
    ]  # fmt: skip
    note = (
        "All programs of a group; the second process finds them in the persistent cache. Memory: "
        "most that the process held, data set and JAX included."
    )
    return f"{note}\n\n{markdown_table(head, body)}"


_SECTIONS: tuple[tuple[str, str, Any], ...] = (
    ("update", "Update alone", _update),
    ("training_step", "Whole training step", _steps),
    ("throughput", "Sweep throughput", _throughput),
    ("batching", "Several runs on one accelerator", batching),
    ("scaling", "How cost grows", _scaling),
    ("compilation", "Compile time and memory", _compilation),
)
