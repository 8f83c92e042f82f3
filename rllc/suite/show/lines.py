"""Learning curves, probes and numbers of any runs, a line for each that differ in the seed only.

Axes: s seeds, e evaluations (or recorded steps of a probe), k values of a probe.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rllc.suite.markdown import MISSING, counted
from rllc.suite.metrics import Metric
from rllc.suite.plotting import OTHERS, RC, SOLID, grid_figure, not_measured, style
from rllc.suite.score import comparisons, readings
from rllc.suite.score.statistics import Floats, paired, t_intervals
from rllc.suite.show.figures import limits, thousands
from rllc.suite.show.picking import LINE
from rllc.suite.study import Study

MOST = 10  # lines in a panel, of more the best by validation are drawn
BAND = "lines: mean over seeds; bands: 95 % interval of the mean (Student's t)"


class Line(NamedTuple):
    """Runs that differ in their seeds only.

    Attributes:
      task: their task.
      optimizer: their label.
      line: what tells them from the other lines of the cell; "" if there are none.
      runs: rows of `picking.lines`.
    """

    task: str
    optimizer: str
    line: str
    runs: pd.DataFrame

    def label(self, study: Study) -> str:
        """For people."""
        name = study.pretty(self.optimizer)
        return f"{name}, {self.line}" if self.line else name

    @property
    def finished(self) -> pd.DataFrame:
        """Those of its runs that did not diverge."""
        return self.runs[self.runs.status != "diverged"]


def of_runs(study: Study, runs: pd.DataFrame) -> list[Line]:
    """The lines, by the study's tasks and optimizers, then as the runs were picked.

    Args:
      study: whose order.
      runs: from `picking.lines`.
    """
    found = [
        Line(str(task), str(optimizer), str(line), members)
        for (task, optimizer, line), members in runs.groupby(LINE, sort=False)
    ]
    tasks, rows = study.task_order(runs.task), study.row_order(runs.optimizer)
    return sorted(found, key=lambda line: (tasks.index(line.task), rows.index(line.optimizer)))


def best(study: Study, lines: Sequence[Line], curves: pd.DataFrame, most: int = MOST) -> list[Line]:
    """The lines of each task, in their order; of more than `most` the best by validation."""
    kept: list[Line] = []
    for task in dict.fromkeys(line.task for line in lines):
        here = [line for line in lines if line.task == task]
        metric = study.leading(task)
        values = [_validation(metric, line, curves) for line in here]
        order = np.argsort(values, kind="stable")[:most]
        kept += [here[place] for place in sorted(order)]
    return kept


def _validation(metric: Metric, line: Line, curves: pd.DataFrame) -> float:
    """Mean over seeds of the best along the curve, lower is better; infinite if all diverged."""
    here = curves[curves.run.isin(set(line.finished.run))]
    signed = metric.sign * here[metric.column("validation")].astype(float)
    value = -signed.groupby(here.run).max().mean()
    return float(value) if np.isfinite(value) else np.inf


def numbers(study: Study, lines: Sequence[Line], curves: pd.DataFrame) -> pd.DataFrame:
    """Test numbers of each line at the last step and where validation is best, as text.

    Args:
      study: with the metrics of the tasks.
      lines: from `of_runs`.
      curves: evaluations.

    Returns:
      task, run (the line's label), seeds, steps, and for each metric ``<metric>, last`` and
      ``<metric>, validated``: mean ± standard deviation over seeds that did not diverge.
    """
    return pd.DataFrame([_numbers(study, line, curves) for line in lines]).fillna(MISSING)


def _numbers(study: Study, line: Line, curves: pd.DataFrame) -> dict[str, str]:
    lost = len(line.runs) - len(line.finished)
    seeds = f"{len(line.runs)}" + (f" ({lost} diverged)" if lost else "")
    row = {
        "task": study.title(line.task), "run": line.label(study), "seeds": seeds,
        "steps": f"{line.runs.steps.max():,}",
    }  # fmt: skip
    read = _read(study, line, curves)
    for metric in study.all_metrics(line.task):
        for reading in ("last", "validated"):
            values = read[read.reading == reading][metric.column()].to_numpy(float)
            row[f"test {metric.with_unit}, {reading}"] = _spread(metric, values)
    return row


def _read(study: Study, line: Line, curves: pd.DataFrame) -> pd.DataFrame:
    """The readings of a line's runs that did not diverge."""
    read = readings.readings(study, line.runs.assign(tuned=True), curves)
    return read[read.status != "diverged"]


def _spread(metric: Metric, values: Floats) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return MISSING
    mean = f"{values.mean():{metric.form}}"
    return f"{mean} ± {values.std(ddof=1):{metric.form}}" if len(values) > 1 else mean


def differences(
    study: Study, lines: Sequence[Line], curves: pd.DataFrame
) -> Iterator[tuple[Line, Line, str]]:
    """Each line against the first of its task, paired by seed, where validation is best.

    Yields:
      The line, the first, and the difference of the leading metric in words.
    """
    for task in dict.fromkeys(line.task for line in lines):
        first, *others = [line for line in lines if line.task == task]
        metric = study.leading(task)
        for line in others:
            yield line, first, _difference(study, metric, line, first, curves)


def _difference(study: Study, metric: Metric, line: Line, first: Line, curves: pd.DataFrame) -> str:
    ours, theirs = (_by_seed(study, metric, one, curves) for one in (line, first))
    both = ours.index.intersection(theirs.index)
    if both.empty:
        return "no seed in common that finished"
    rng = comparisons.stream(line.task, line.label(study), first.label(study))
    mean, low, high, n = paired(ours[both], theirs[both], rng).difference
    ends = f", 95 % interval [{low:+{metric.form}}, {high:+{metric.form}}]" if n > 1 else ""
    return f"{mean:+{metric.form}}{ends}, {counted(n, 'seed')}"


def _by_seed(study: Study, metric: Metric, line: Line, curves: pd.DataFrame) -> pd.Series:
    read = _read(study, line, curves)
    read = read[read.reading == readings.HEADLINE]
    return read.set_index("seed")[metric.column()].astype(float)


def curve_figure(
    study: Study, lines: Sequence[Line], curves: pd.DataFrame, split: str = "test", name: str = ""
) -> Figure:
    """Learning curves, a panel per task.

    Args:
      study: with the metrics of the tasks.
      lines: drawn.
      curves: evaluations.
      split: ``test``, ``validation`` or ``train``, whose only metric is the loss of the steps.
      name: of the metric; "" takes each task's leading one.
    """
    tasks = list(dict.fromkeys(line.task for line in lines))
    with mpl.rc_context(RC):
        figure, panels = _panels(len(tasks))
        for task, axes in zip(tasks, panels, strict=True):
            here = [line for line in lines if line.task == task]
            axes.set_title(study.title(task))
            _curves(study, axes, here, curves, *_column(study, task, split, name))
        figure.supxlabel(BAND, fontsize=8)
    return figure


def _column(study: Study, task: str, split: str, name: str) -> tuple[str, Metric]:
    """The column that is drawn and the metric it is of."""
    if split == "train":
        return "train_loss", Metric("loss", unit="nats")
    metric = study.of_column(task, f"test_{name}") if name else study.leading(task)
    assert metric is not None  # the script refuses other names
    return metric.column(split), metric


def _curves(
    study: Study, axes: Axes, lines: list[Line], curves: pd.DataFrame, column: str, metric: Metric
) -> None:
    means = []
    for line, (colour, dashes) in zip(lines, _styles(study, lines), strict=False):
        here = curves[curves.run.isin(set(line.finished.run))]
        wide = here.pivot(index="run", columns="step", values=column).astype(float)
        wide = metric.scale * wide.dropna(axis=1, how="all")
        lost = len(line.runs) - len(line.finished)
        label = line.label(study) + (f" ({lost} of {len(line.runs)} diverged)" if lost else "")
        mean, low, high = t_intervals(wide.to_numpy())
        axes.plot(wide.columns, mean, color=colour, linestyle=dashes, label=label)
        axes.fill_between(wide.columns, low, high, color=colour, alpha=0.15, linewidth=0)
        means.append(pd.Series(metric.sign * mean, wide.columns))
    _zoom(axes, metric, [mean for mean in means if len(mean) > 1])
    _dress(axes, f"{column.partition('_')[0]} {metric.with_unit}")


def _zoom(axes: Axes, metric: Metric, means: list[pd.Series]) -> None:
    """Leaves out the first steep part, so that differences are seen."""
    if means:
        least = 0.5 if metric.unit == "%" else 0.005 * max(abs(mean).max() for mean in means)
        axes.set_ylim(*sorted(metric.sign * end for end in limits(means, 0, least)))


def _dress(axes: Axes, label: str) -> None:
    axes.set_xlabel("iteration")
    axes.set_ylabel(label)
    axes.xaxis.set_major_formatter(thousands)
    axes.legend(fontsize=7, loc="best")


def _styles(study: Study, lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """The study's styles where each line is another optimizer, else colours in turn."""
    names = [line.optimizer for line in lines]
    if len(set(names)) == len(names):
        return iter([style(study, name, names) for name in names])
    return cycle((*SOLID, *OTHERS))


def probe_figure(
    study: Study, lines: Sequence[Line], values: pd.DataFrame, probe: str
) -> tuple[Figure, pd.DataFrame]:
    """What a probe read over training, such as a law: a panel per line, a curve per value.

    Args:
      study: for names.
      lines: drawn.
      values: from `records.Records.probe`.
      probe: its name.

    Returns:
      The figure, and per line the mean over seeds at the first, middle and last recorded step.
    """
    rows = []
    with mpl.rc_context(RC):
        figure, panels = _panels(len(lines))
        for line, axes in zip(lines, panels, strict=True):
            axes.set_title(f"{study.title(line.task)}: {line.label(study)}", fontsize=8)
            rows.append({"task": study.title(line.task), "run": line.label(study)})
            here = values[values.run.isin(set(line.finished.run))]
            if here.empty:
                not_measured(axes, "not recorded")
                continue
            steps, means = _draw_probe(axes, here, probe)
            told = {steps[i]: means[i] for i in sorted({0, len(steps) // 2, len(steps) - 1})}
            rows[-1] |= {f"step {s:,}": ", ".join(f"{x:.4g}" for x in m) for s, m in told.items()}
        figure.supxlabel(BAND, fontsize=8)
    return figure, pd.DataFrame(rows).fillna(MISSING)


def _draw_probe(axes: Axes, values: pd.DataFrame, probe: str) -> tuple[Floats, Floats]:
    """Draws a curve per value; returns the steps (e,) and the means over seeds (e, k)."""
    wide = values.pivot(index="run", columns="step", values=probe).dropna(axis=1)
    array = np.array([[list(cell) for cell in row] for row in wide.to_numpy()], float)  # (s, e, k)
    mean, low, high = t_intervals(array)
    steps = wide.columns.to_numpy()
    for unit, (colour, dashes) in zip(
        range(array.shape[2]), cycle((*SOLID, *OTHERS)), strict=False
    ):
        axes.plot(steps, mean[:, unit], color=colour, linestyle=dashes, label=f"{unit + 1}")
        axes.fill_between(steps, low[:, unit], high[:, unit], color=colour, alpha=0.15, linewidth=0)
    _dress(axes, probe.replace("_", " "))
    return steps, mean


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(3, count)
    rows = -(-count // columns)
    figure, axes = grid_figure(rows, columns, max(6.4, 4.0 * columns), 3.2 * rows + 0.3)
    for panel in axes.flat[count:]:
        panel.set_axis_off()
    return figure, list(axes.flat[:count])
