"""The paper's claims about the learning law over training (Figure 2)."""

import numpy as np

from rllc.suite import law_dynamics, paper
from rllc.suite.analysis import Analysis
from rllc.suite.claims import NOT_SUPPORTED, Claim, reduced_note, verdict
from rllc.suite.law_dynamics import COUPLED, MIXED

MOST_SEEDS = 0.9  # all of three, nine of ten
CROSSING_RANGE = (1_000, 4_000)  # within a factor of two of the paper's “around the 2k step”


def law(a: Analysis) -> list[Claim]:
    """Figure 2: reversal of M(0.9) and M(0), Nesterov crossing, coupling of M(0.8) and M(0.7)."""
    return [*_mixed(a), *_coupled(a)]


def _tasks(a: Analysis, optimizer: str) -> list[str]:
    return paper.in_order(a.final[a.final.optimizer == optimizer].task, paper.TASKS)


def _mixed(a: Analysis) -> list[Claim]:
    reversal = Claim(
        "M(0.9)⊕M(0.0): the coefficient of M(0.9) dominates first, that of M(0) later",
        "Figure 2a, section 6",
        "seeds with mean L₁ > L₂ in the first tenth and L₁ < L₂ in the last tenth; nine in ten",
    )
    crossing = Claim(
        "M(0.9)⊕M(0.0): the ratio of the coefficients passes 0.9 (Nesterov) around step 2,000",
        "Figure 2a, section 6",
        "median over seeds of the last step where L₁ / L₂ falls through 0.9; "
        f"{CROSSING_RANGE[0]:,} to {CROSSING_RANGE[1]:,}",
    )
    out = []
    for task in _tasks(a, MIXED):
        curves = law_dynamics.law_curves(a.records, a.final, task, MIXED)
        if curves is not None:
            notes = "; ".join(
                p for p in (str(paper.title(task)), reduced_note(a, task, MIXED)) if p
            )
            out.append(_reversal(reversal._replace(note=notes), curves))
            out.append(_crossing(crossing._replace(note=notes), curves))
    return out or [reversal, crossing]


def _reversal(claim: Claim, curves: law_dynamics.LawCurves) -> Claim:
    early, late = law_dynamics.dominance(curves.law)
    both = (early > 0) & (late < 0)
    return claim._replace(
        value=f"{both.sum()} of {len(both)} seeds",
        interval=f"L₁ − L₂: {early.mean():+.2f} first, {late.mean():+.2f} last",
        n=str(len(both)),
        verdict=verdict(both.mean() >= MOST_SEEDS),
    )


def _crossing(claim: Claim, curves: law_dynamics.LawCurves) -> Claim:
    crossings = law_dynamics.nesterov_crossing(curves.steps, curves.law)
    found = crossings[np.isfinite(crossings)]
    if not len(found):
        none = f"no crossing in {len(crossings)} seeds"
        return claim._replace(value=none, n=str(len(crossings)), verdict=NOT_SUPPORTED)
    middle = float(np.median(found))
    inside = CROSSING_RANGE[0] <= middle <= CROSSING_RANGE[1]
    return claim._replace(
        value=f"step {middle:,.0f}",
        interval=f"range {found.min():,.0f} to {found.max():,.0f}",
        n=f"{len(found)} of {len(crossings)}",
        verdict=verdict(inside and 2 * len(found) > len(crossings)),
    )


def _coupled(a: Analysis) -> list[Claim]:
    claim = Claim(
        f"{paper.pretty(COUPLED)}: the coefficients of M(0.8) and M(0.7) are coupled with "
        "opposite sign",
        "Figure 2b, appendix A.3",
        "correlation over training below −0.5 and opposite signs in 90 % of the second half; "
        "nine seeds in ten",
    )
    out = []
    for task in _tasks(a, COUPLED):
        curves = law_dynamics.law_curves(a.records, a.final, task, COUPLED)
        if curves is None:
            continue
        correlation, opposite = law_dynamics.coupling(curves.law)
        holds = (correlation < -0.5) & (opposite >= 0.9)
        notes = (str(paper.title(task)), reduced_note(a, task, COUPLED))
        out.append(
            claim._replace(
                value=f"{holds.sum()} of {len(holds)} seeds; correlation {correlation.mean():.2f}",
                interval=f"range {correlation.min():.2f} to {correlation.max():.2f}",
                n=str(len(holds)),
                verdict=verdict(holds.mean() >= MOST_SEEDS),
                note="; ".join(part for part in notes if part),
            )
        )
    return out or [claim]
