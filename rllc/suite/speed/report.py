"""Summary and Markdown, made of the measured tables alone."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from rllc.suite.markdown import shown
from rllc.suite.speed import store, update
from rllc.suite.speed.setups import ENGINE, UNITS
from rllc.suite.study import Study
from rllc.suite.table import Column, Table, optimizer_column, task_column
from rllc.suite.templates import render

HEADLINE = "Momentum SGD"  # the optimizer that all peers have
SUMMARY = ["metric", "case", "value", "device"]


def summary(study: Study, folder: Path) -> pd.DataFrame:
    """One row per figure: metric, case, value, device.

    ``matmul_fraction``, ``speedup_over_loop`` and ``run_steps_per_second`` per task come from the
    fastest group of it with `HEADLINE`; of a language model from the largest, with
    ``speedup_over_best_peer``; ``update_time_over_adam`` from n = 10⁷.
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
    found += _of_language(store.read(folder, "language"))
    table = store.read(folder, "update")
    if len(table):
        table = table[table["size"] == update.REFERENCE]
        wanted = [f"k={k}" for k in UNITS]
        found += [
            ("update_time_over_adam", row.case, row.over_adam, row.device)
            for row in table[table.case.isin(wanted)].itertuples()
        ]
    return pd.DataFrame(found, columns=SUMMARY).dropna(subset="value").reset_index(drop=True)


def _of_language(table: pd.DataFrame) -> list[tuple[str, str, float, str]]:
    metrics = {
        "matmul_fraction": "matmul_fraction",
        "speedup_over_loop": "over_loop",
        "speedup_over_best_peer": "over_best_peer",
        "run_steps_per_second": "run_steps_per_second",
    }
    if table.empty:
        return []
    ours = table[table.case == ENGINE].sort_values("runs").groupby(["device", "task"]).last()
    rows = ours.reset_index().to_dict("records")
    return [(m, row["task"], row[c], row["device"]) for m, c in metrics.items() for row in rows]


def best_groups(study: Study, throughput: pd.DataFrame, optimizer: str = HEADLINE) -> pd.DataFrame:
    """The engine's fastest group of each device and task, in the order of the study's tasks."""
    if throughput.empty:
        return throughput
    here = throughput[(throughput.case == ENGINE) & (throughput.optimizer == optimizer)]
    best = here.loc[here.groupby(["device", "task"]).run_steps_per_second.idxmax()]
    order = {task: i for i, task in enumerate(study.tasks)}
    return best.sort_values(by=["device", "task"], key=lambda c: c.map(order).fillna(0))


def step_times(study: Study, folder: Path, device: str) -> pd.DataFrame:
    """What Figure 3 is drawn of: the study's optimizers on CIFAR-10, on one device."""
    table = store.read(folder, "training_step")
    columns = ["network", "optimizer", "milliseconds_per_step", "gflop_per_step", "device"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    here = table[table.task.str.startswith("cifar10_") & (table.device == device)]
    here = here[here.optimizer.isin(study.optimizers)]
    return here[columns].reset_index(drop=True)


def write(study: Study, folder: Path, device: str) -> None:
    """Writes summary.csv, step_time.csv and README.md."""
    store.save(summary(study, folder), folder / "summary.csv")
    store.save(step_times(study, folder, device), folder / "step_time.csv")
    (folder / "README.md").write_text(page(study, folder) + "\n")


def page(study: Study, folder: Path) -> str:
    """All tables, device by device."""
    tables = {name: store.read(folder, name) for name in store.TABLES}
    known = sorted({d for table in tables.values() if len(table) for d in table.device})
    devices = {
        device: [
            (title, section(study, table[table.device == device]))
            for name, (title, section) in _SECTIONS.items()
            for table in [tables[name]]
            if len(table) and (table.device == device).any()
        ]
        for device in known
    }
    return render(__file__, "benchmarks.md", devices=devices)


def _update(study: Study, table: pd.DataFrame) -> str:
    sizes = sorted(set(table["size"]))
    columns = Table((
        Column("case", "case", lambda row: _case(row.case)),
        Column("numbers_per_parameter", "numbers moved per parameter"),
        *(Column(str(n), f"n = {n:.0e}".replace("e+0", "e"), ".2f") for n in sizes),
        Column("over_adam", "× Adam", ".2f"), Column("over_copy", "× copy", ".2f"),
    ))  # fmt: skip
    times = table.pivot(index="case", columns="size", values="ns_per_parameter").rename(columns=str)
    at = table[table["size"] == update.REFERENCE].set_index("case")[["over_adam", "over_copy"]]
    rows = table.drop_duplicates("case")[["case", "numbers_per_parameter"]]
    return columns.to_markdown(rows.join(times, on="case").join(at, on="case"))


def _case(case: str) -> str:
    return f"{case}: {UNITS[int(case[2:])]}" if case.startswith("k=") else case


def _parts(study: Study, table: pd.DataFrame) -> str:
    columns = Table((
        Column("part", "part"),
        *(Column(text, study.pretty(text), ".2f") for text in UNITS.values()),
    ))  # fmt: skip
    both = [
        table.pivot(index="part", columns="units", values=name).reindex(table.part.unique())
        for name in ("ns_per_parameter", "over_bytes")
    ]
    named = both[1].set_axis([f"{part}, × its bytes" for part in both[1].index])
    return columns.to_markdown(pd.concat([both[0], named]).rename_axis("part").reset_index())


def _steps(study: Study, table: pd.DataFrame) -> str:
    tasks = study.task_order(table.task)
    columns = Table((
        optimizer_column(study), *(Column(task, study.title(task)) for task in tasks),
    ))  # fmt: skip
    texts = table.assign(text=[shown(x, ".3g", " ms") for x in table.milliseconds_per_step])
    times = texts.pivot(index="optimizer", columns="task", values="text")
    work = table.drop_duplicates("task").set_index("task")[["gflop_network", "gflop_per_step"]]
    work = work.map(lambda x: shown(x, ".3g")).T.set_axis(["GFLOP, network", "GFLOP, compiler"])
    rows = pd.concat([times.reindex(study.row_order(table.optimizer)), work])
    return columns.to_markdown(rows.rename_axis("optimizer").reset_index())


def _throughput(study: Study, table: pd.DataFrame) -> str:
    columns = Table((
        task_column(study), optimizer_column(study), Column("case", "case"), Column("runs", "runs"),
        Column("run_steps_per_second", "run-steps/s", ".4g"), Column("gflops", "GFLOP/s", ".3g"),
        Column("matmul_fraction", "of matmul", lambda row: f"{100 * row.matmul_fraction:.0f} %"),
        Column("over_loop", "× loop", ".2f"),
    ))  # fmt: skip
    return f"{columns.to_markdown(table)}\n\n{_projection(study, table)}"


def _language(study: Study, table: pd.DataFrame) -> str:
    columns = Table((
        Column("case", "case"), Column("runs", "runs"),
        Column("run_steps_per_second", "run-steps/s", ".4g"), Column("gflops", "GFLOP/s", ".3g"),
        Column("matmul_fraction", "of matmul", lambda row: f"{100 * row.matmul_fraction:.0f} %"),
        Column("over_loop", "× loop", ".2f"), Column("over_best_peer", "× best peer", ".2f"),
        Column("version", "version"),
    ))  # fmt: skip
    return render(
        __file__, "language.md", rows=table.iloc[0], table=columns.to_markdown(table)
    )  # fmt: skip


def _projection(study: Study, table: pd.DataFrame) -> str:
    """Time of the study's whole tuning at the rates of the fastest groups."""
    best, runs = best_groups(study, table), _grid_runs(study)
    hours = {r.task: runs * study.steps / r.run_steps_per_second / 3600 for r in best.itertuples()}
    if not hours or not runs:
        return ""
    return render(__file__, "projection.md", study=study, runs=runs, hours=hours)


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
    columns = Table((
        task_column(study), Column("way", "way"), Column("processes", "processes"),
        Column("runs", "runs"), Column("run_steps_per_second", "run-steps/s", ",.0f"),
        Column("gflops", "GFLOP/s", ",.0f"), Column("over_alone", "× alone", ".2f"),
    ))  # fmt: skip
    alone = table[table.way == "alone"].set_index("task").run_steps_per_second
    rows = table.assign(over_alone=table.run_steps_per_second / table.task.map(alone))
    optimizers = ", ".join(map(study.pretty, table.optimizer.unique()))
    return render(
        __file__, "batching.md", optimizers=optimizers, table=columns.to_markdown(rows)
    )  # fmt: skip


def _levers(study: Study, table: pd.DataFrame) -> str:
    columns = Table((
        task_column(study), optimizer_column(study), Column("runs", "runs"),
        Column("lever", "lever"), Column("run_steps_per_second", "run-steps/s", ",.4g"),
        Column("over_none", "× none", ".2f"),
    ))  # fmt: skip
    return columns.to_markdown(table)


def _scaling(study: Study, table: pd.DataFrame) -> str:
    units = {"runs": "step of the group", "width": "step of the group", "units": "update"}
    columns = Table((
        Column("axis", "what grows"), Column("size", "to"),
        Column("", "of what", lambda row: units[row.axis]),
        Column("milliseconds", "milliseconds", ".3g"),
    ))  # fmt: skip
    return columns.to_markdown(table)


def _compilation(study: Study, table: pd.DataFrame) -> str:
    columns = Table((
        task_column(study), optimizer_column(study), Column("runs", "runs"),
        Column("", "first time", lambda row: f"{row.compile_seconds:.1f} s"),
        Column("", "second time", lambda row: f"{row.compile_seconds_again:.1f} s"),
        Column("", "peak memory", lambda row: f"{row.peak_gigabytes:.2f} GB"),
    ))  # fmt: skip
    return columns.to_markdown(table)


_SECTIONS: dict[str, tuple[str, Callable[[Study, pd.DataFrame], str]]] = {
    "update": ("Update alone", _update),
    "update_parts": ("Update taken apart", _parts),
    "training_step": ("Whole training step", _steps),
    "throughput": ("Sweep throughput", _throughput),
    "language": ("Language model", _language),
    "batching": ("Several runs on one accelerator", batching),
    "levers": ("Levers of a step's speed", _levers),
    "scaling": ("How cost grows", _scaling),
    "compilation": ("Compile time and memory", _compilation),
}
