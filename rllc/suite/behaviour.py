"""The paper's claims about convergence, run time and spread over seeds."""

import numpy as np
import pandas as pd
from scipy import stats

from rllc.suite import paper
from rllc.suite.analysis import Analysis
from rllc.suite.claims import NOT_MEASURED, Claim, reduced_note, short_grids, verdict, withheld
from rllc.suite.provenance import full_cells
from rllc.suite.readings import HEADLINE
from rllc.suite.statistics import pooled_std
from rllc.suite.sweeps import target_table

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
    steps = f"median steps {here.median_steps.min():g} to {here.median_steps.max():g}"
    base = f"{here.baseline.iloc[0]} {here.baseline_median_steps.iloc[0]:g}"
    compared = (here.baseline.iloc[0], *here.optimizer)
    few = "too few seeds for a verdict" if here.runs.min() < paper.SEEDS else ""
    why_not = withheld(a, _RESNET, *compared) or few
    notes = [why_not, steps, base, reduced_note(a, _RESNET, *compared)]
    return claim._replace(
        value=f"{len(quick)} of {len(here)} optimizers",
        n=f"{here.runs.min()} seeds",
        verdict=NOT_MEASURED if why_not else verdict(2 * len(quick) > len(here)),
        note="; ".join(note for note in notes if note),
    )


def _better(a: Analysis, claim: Claim) -> Claim:
    here = a.against[(a.against.task == _RESNET) & (a.against.metric == "test_accuracy")]
    here = here[(here.reading == HEADLINE) & here.optimizer.isin(paper.RLLC) & (here.n > 1)]
    if here.empty:
        return claim
    above = int((here.low > 0).sum())
    compared = (here.baseline.iloc[0], *here.optimizer)
    why_not = withheld(a, _RESNET, *compared)
    return claim._replace(
        value=f"{above} of {len(here)} optimizers",
        interval=f"differences [{here.difference.min():+.2f}, {here.difference.max():+.2f}]",
        n=f"{here.n.min()} pairs",
        verdict=NOT_MEASURED if why_not else verdict(2 * above > len(here)),
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
        verdict=verdict(ratio.median() <= SIMILAR_TIME),
        note=" + ".join(sorted(set(here.device))) if "device" in here else "",
    )


def spread(a: Analysis) -> list[Claim]:
    """A.4.1 and Figure 5: small variation over seeds, and gains larger than it."""
    return [_variation(a), _gains(a)]


def _variation(a: Analysis) -> Claim:
    claim = Claim(
        "The test accuracy of RLLC varies little over seeds",
        "Figure 5, appendix A.7",
        "standard deviation over seeds pooled over cells, RLLC's / the baselines'; at most "
        f"{SIMILAR_SPREAD}",
    )
    here = a.summary[(a.summary.reading == HEADLINE) & (a.summary.seeds > 1)]
    ours, theirs = here[here.optimizer.isin(paper.RLLC)], here[here.family == "baseline"]
    theirs = theirs[theirs.task.isin(ours.task)]
    ours = ours[ours.task.isin(theirs.task)]
    if ours.empty:
        return claim
    pooled = [pooled_std(group.test_accuracy_std, group.seeds) for group in (ours, theirs)]
    freedom = [int((group.seeds - 1).sum()) for group in (ours, theirs)]
    ratio = pooled[0] / pooled[1]
    low, high = ratio / np.sqrt(stats.f.ppf([0.975, 0.025], *freedom))
    return claim._replace(
        value=f"×{ratio:.2f} ({pooled[0]:.2f} against {pooled[1]:.2f} points)",
        interval=f"[{low:.2f}, {high:.2f}]",
        n=f"{len(ours)} cells, {ours.task.nunique()} of {len(paper.TASKS)} tasks",
        verdict=verdict(ratio <= SIMILAR_SPREAD),
        note=_some_reduced(a, ours),
    )


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
    found = [
        row.difference > stds.test_accuracy_std[row.task, row.optimizer]
        for row in here.itertuples()
        if not short_grids(a, row.task, row.optimizer, row.baseline)
    ]
    if not found:
        return claim
    return claim._replace(
        value=f"{sum(found)} of {len(found)} cells",
        n=f"{len(found)} of {len(green)} cells",
        verdict=verdict(2 * sum(found) > len(found)),
        note="; ".join(part for part in (claim.note, _some_reduced(a, here)) if part),
    )
