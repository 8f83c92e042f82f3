"""The paper's claims about convergence, run time and spread over seeds."""

import numpy as np
import pandas as pd

from rllc.replication import paper
from rllc.replication.claims import (
    FEW_SEEDS,
    FEW_TASKS,
    MOST_TASKS,
    PARTLY,
    Claim,
    reduced_note,
    supported_if,
    withheld,
)
from rllc.replication.paper import STUDY
from rllc.suite.markdown import counted
from rllc.suite.score.comparisons import scores
from rllc.suite.score.provenance import full_cells, short_grids
from rllc.suite.score.readings import HEADLINE
from rllc.suite.score.statistics import spread_ratio
from rllc.suite.score.tuning_analysis import target_table
from rllc.suite.show.analysis import Analysis

SIMILAR_TIME = 1.25  # “approximatively the same” run time: at most a quarter longer
SIMILAR_SPREAD = 1.5
_RESNET = "cifar10_resnet20"


def convergence(a: Analysis) -> list[Claim]:
    """Figure 1: RLLC converges faster and generalizes better on ResNet-20."""
    faster = Claim(
        "RLLC optimizers converge faster on CIFAR-10 ResNet-20",
        "Figure 1",
        "RLLC optimizers whose median steps to the best baseline's final accuracy are fewer than "
        "that baseline's; more than half",
    )
    better = Claim(
        "RLLC optimizers generalize better on CIFAR-10 ResNet-20",
        "Figure 1",
        "RLLC optimizers whose difference to the best baseline is above 0 with its interval; "
        "more than half",
    )
    return [_faster(a, faster), _better(a, better)]


def _faster(a: Analysis, claim: Claim) -> Claim:
    table = target_table(a.targets)
    here = table[(table.task == _RESNET) & table.optimizer.isin(paper.RLLC)]
    if here.empty:
        return claim
    quick = here[here.median_steps < here.baseline_median_steps]
    reached = here.median_steps[np.isfinite(here.median_steps)]
    steps = f"median steps {reached.min():g} to {reached.max():g}" if len(reached) else ""
    lost = len(here) - len(reached)
    never = f"{lost} of {len(here)} never get there" if lost else ""
    base = f"{here.baseline.iloc[0]} {here.baseline_median_steps.iloc[0]:g}"
    compared = (*paper.BASELINES, *here.optimizer)
    few = FEW_SEEDS if here.runs.min() < paper.SEEDS else ""
    why_not = withheld(a, _RESNET, *compared) or few
    notes = [why_not, steps, never, base, reduced_note(a, _RESNET, *compared)]
    return claim._replace(
        value=f"{len(quick)} of {len(here)} optimizers",
        n=counted(here.runs.min(), "seed"),
        verdict=PARTLY if why_not else supported_if(2 * len(quick) > len(here)),
        note="; ".join(note for note in notes if note),
    )


def _better(a: Analysis, claim: Claim) -> Claim:
    here = a.against[(a.against.task == _RESNET) & (a.against.metric == "test_accuracy")]
    here = here[(here.reading == HEADLINE) & here.optimizer.isin(paper.RLLC) & (here.n > 1)]
    if here.empty:
        return claim
    above = int((here.low > 0).sum())
    compared = (*paper.BASELINES, *here.optimizer)
    why_not = withheld(a, _RESNET, *compared)
    return claim._replace(
        value=f"{above} of {len(here)} optimizers",
        interval=f"differences [{here.difference.min():+.2f}, {here.difference.max():+.2f}]",
        n=f"{here.n.min()} pairs",
        verdict=PARTLY if why_not else supported_if(2 * above > len(here)),
        note="; ".join(n for n in (why_not, reduced_note(a, _RESNET, *compared)) if n),
    )


def run_time(a: Analysis) -> list[Claim]:
    """A.4.2: RLLC's run time is approximately that of the baselines, Adam's above all."""
    return [_run_time(a.timings, network) for network in ("mlp", "conv", "resnet20")]


def _run_time(timings: pd.DataFrame, network: str) -> Claim:
    claim = Claim(
        f"RLLC takes about as long per step as Adam, {paper.title(f'cifar10_{network}')}",
        "section 1, appendix A.4.2, Figure 3",
        f"median over RLLC optimizers of time / Adam's time; at most {SIMILAR_TIME}",
    )
    here = timings[timings.network == network]
    ours, adam = here[here.optimizer.isin(paper.RLLC)], here[here.optimizer == "Adam"]
    if ours.empty or adam.empty:
        return claim
    times = ours.groupby("optimizer").milliseconds_per_step.median().astype(float)
    ratio = times / float(adam.milliseconds_per_step.median())
    return claim._replace(
        value=f"×{ratio.median():.2f}",
        interval=f"range ×{ratio.min():.2f} to ×{ratio.max():.2f}",
        n=f"{len(ratio)} optimizers",
        verdict=supported_if(ratio.median() <= SIMILAR_TIME),
        note=" + ".join(sorted(set(here.device))) if "device" in here else "",
    )


def cost(rates: pd.DataFrame) -> Claim:
    """A.6: all of its experiments take 28 hours on eight A100, 224 on one.

    Args:
      rates: of one accelerator (columns task, way, run_steps_per_second, device); Fashion-MNIST is
        taken to be as fast as MNIST, whose shapes it has.
    """
    optimizers, hours = 16, 224
    claim = Claim(
        f"All experiments, {optimizers} optimizers tuned with three seeds on seven tasks, take "
        f"{hours} hours on one A100",
        "appendix A.6",
        "hours of training on one accelerator at the measured rate of each task's fastest way of "
        f"sharing it; at most {hours}",
    )
    best = rates.groupby("task").run_steps_per_second.max()
    known = [best.get(task.replace("fashion_mnist", "mnist")) for task in paper.TASKS]
    if not all(known):
        return claim
    points, baselines = STUDY.grid_points, len(paper.BASELINES)
    runs = paper.SEEDS * (
        baselines * points["baseline"] + (optimizers - baselines) * max(points.values())
    )
    ours = sum(runs * paper.STEPS / rate / 3600 for rate in known)
    return claim._replace(
        value=f"{ours:.1f} hours",
        n=f"{runs * len(known):,} runs of {paper.STEPS:,} steps",
        verdict=supported_if(ours <= hours),
        note=f"{' + '.join(sorted(set(rates.device)))}, a faster device than the paper's; without "
        "evaluation, compilation and data; projected from short measurements",
    )


def spread(a: Analysis) -> list[Claim]:
    """A.4.1 and Figure 5: small variation over seeds, and gains larger than it."""
    return [_variation(a), _gains(a)]


def _variation(a: Analysis) -> Claim:
    claim = Claim(
        "The test accuracy of RLLC varies little over seeds",
        "Figure 5, appendix A.7",
        "standard deviation over seeds pooled over a task's cells, RLLC's / the baselines'; "
        f"geometric mean over tasks; at most {SIMILAR_SPREAD}",
    )
    here = a.summary[(a.summary.reading == HEADLINE) & (a.summary.seeds - a.summary.diverged > 1)]
    ours, theirs = (here[here.optimizer.isin(names)] for names in (paper.RLLC, paper.BASELINES))
    tasks = [task for task in paper.TASKS if task in set(ours.task) & set(theirs.task)]
    if not tasks:
        return claim
    ours, theirs = (cells[cells.task.isin(tasks)] for cells in (ours, theirs))
    rows = a.rows[(a.rows.reading == HEADLINE) & (a.rows.status != "diverged")]
    names = (*paper.RLLC, *paper.BASELINES)
    accuracy = np.moveaxis(scores(STUDY, rows[rows.task.isin(tasks)], list(names), tasks), 0, 1)
    ratio, low, high, _ = spread_ratio(accuracy, np.isin(names, paper.RLLC))
    enough = len(tasks) >= MOST_TASKS
    notes = [
        "" if enough else FEW_TASKS,
        f"interval includes {SIMILAR_SPREAD}" if low <= SIMILAR_SPREAD <= high else "",
        _left_out(ours, theirs),
        _some_reduced(a, ours),
    ]
    return claim._replace(
        value=f"×{ratio:.2f}",
        interval=f"[{low:.2f}, {high:.2f}]" if np.isfinite([low, high]).all() else claim.interval,
        n=f"{len(ours)} cells, {len(tasks)} of {len(paper.TASKS)} tasks",
        verdict=supported_if(ratio <= SIMILAR_SPREAD) if enough else PARTLY,
        note="; ".join(note for note in notes if note),
    )


def _left_out(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
    """How many runs of RLLC and of the baselines diverged, and so have no accuracy to vary."""
    counts = [
        f"{cells.diverged.sum()} of {cells.seeds.sum()} runs of {name}"
        for name, cells in (("RLLC", ours), ("the baselines", theirs))
        if cells.diverged.sum()
    ]
    return f"without what diverged: {', '.join(counts)}" if counts else ""


def _some_reduced(a: Analysis, cells: pd.DataFrame) -> str:
    """How many of the cells were not trained at the paper's full protocol."""
    full = full_cells(a.made)
    count = sum((row.task, row.optimizer) not in full for row in cells.itertuples())
    return f"{count} of {len(cells)} cells reduced" if count else ""


def _gains(a: Analysis) -> Claim:
    green = paper.green_cells()
    theirs = int((green.gain > green.test_accuracy_std).sum())
    claim = Claim(
        "The gains over the baselines are larger than the standard deviation over seeds",
        "appendix A.4.1, Table 2",
        "green cells of the paper whose difference to the best baseline exceeds their standard "
        "deviation here; more than half",
        note=f"in the paper's own numbers {theirs} of {len(green)}",
    )
    here = a.against[(a.against.metric == "test_accuracy") & (a.against.reading == HEADLINE)]
    stds = a.summary[a.summary.reading == HEADLINE].set_index(["task", "optimizer"])
    keys = {(cell.task, cell.optimizer) for cell in green.itertuples()}
    is_green = [key in keys for key in zip(here.task, here.optimizer, strict=True)]
    here = here[np.array(is_green, bool) & (here.n > 1)]
    whole = [
        not short_grids(a.made, r.task, r.optimizer, *paper.BASELINES) for r in here.itertuples()
    ]
    here = here[np.array(whole, bool)]
    if here.empty:
        return claim
    above = [r.difference > stds.test_accuracy_std[r.task, r.optimizer] for r in here.itertuples()]
    tasks = here.task.nunique()
    few = "" if tasks >= MOST_TASKS else FEW_TASKS
    return claim._replace(
        value=f"{sum(above)} of {len(above)} cells",
        n=f"{len(above)} of {len(green)} cells, {tasks} of {len(paper.TASKS)} tasks",
        verdict=PARTLY if few else supported_if(2 * sum(above) > len(above)),
        note="; ".join(part for part in (few, claim.note, _some_reduced(a, here)) if part),
    )
