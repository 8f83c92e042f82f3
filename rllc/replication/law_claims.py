"""The paper's claims about the learning law over training (Figure 2)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from rllc.replication import initial_laws, law_dynamics, paper
from rllc.replication.claims import (
    NOT_SUPPORTED,
    PARTLY,
    Claim,
    reduced_note,
    supported_if,
    withheld,
)
from rllc.replication.law_dynamics import (
    COUPLED,
    CROSSING_RANGE,
    MIXED,
    MOST_SEEDS,
    VANISHED,
    LawCurves,
)
from rllc.replication.paper import STUDY
from rllc.suite.markdown import counted
from rllc.suite.show.analysis import Analysis


def law(a: Analysis) -> list[Claim]:
    """Figure 2: reversal of M(0.9) and M(0), Nesterov crossing, coupling of M(0.8) and M(0.7)."""
    return [*_mixed(a, a.final), *_coupled(a, a.final)]


def law_from_elsewhere(a: Analysis, elsewhere: dict[str, pd.DataFrame]) -> list[Claim]:
    """The same claims from each other initial law that there are final runs of.

    The paper gives no initial law. Its Figure 2a begins near momentum SGD, which (1, 0) is.

    Args:
      a: the analysis.
      elsewhere: from `initial_laws.finals_from_elsewhere`.
    """
    elsewhere = elsewhere or {"first": a.final.iloc[:0]}
    return [
        claim._replace(claim=f"from {initial_laws.in_words(answer)}: {claim.claim}")
        for answer, final in elsewhere.items()
        for claim in (*_mixed(a, final), *_coupled(a, final))
    ]


def _measured(
    a: Analysis, final: pd.DataFrame, optimizer: str
) -> Iterator[tuple[LawCurves, str, bool]]:
    """Laws on every task that has them.

    Each with a note (the task, and what is reduced), and whether its rates come from a short grid:
    what the law does depends on them, so there is no verdict then.
    """
    for task in STUDY.task_order(final[final.optimizer == optimizer].task):
        curves = law_dynamics.law_curves(a.records, final, task, optimizer)
        if curves is not None:
            default = final is a.final
            why_not = withheld(a, task, optimizer) if default else ""
            reduced = reduced_note(a, task, optimizer) if default else ""
            parts = (why_not, paper.title(task), reduced)
            yield curves, "; ".join(part for part in parts if part), bool(why_not)


def _judged(claim: Claim, is_short: bool) -> Claim:
    return claim._replace(verdict=PARTLY) if is_short else claim


def _mixed(a: Analysis, final: pd.DataFrame) -> list[Claim]:
    reversal = Claim(
        "M(0.9)⊕M(0.0): the coefficient of M(0.9) dominates first, that of M(0) later",
        "Figure 2a, section 6",
        "seeds with mean L₁ > L₂ in the first tenth and L₁ < L₂ in the last tenth; nine in ten",
    )
    crossing = Claim(
        "M(0.9)⊕M(0.0): the ratio of the coefficients passes 0.9 (Nesterov) around step 2,000",
        "Figure 2a, section 6",
        "median over seeds of the last step where L₁ / L₂ falls through 0.9, the law being at "
        f"least {VANISHED:.0%} of its largest; {CROSSING_RANGE[0]:,} to {CROSSING_RANGE[1]:,}",
    )
    out = []
    for curves, note, is_short in _measured(a, final, MIXED):
        out.append(_judged(_reversal(reversal._replace(note=note), curves), is_short))
        out.append(_judged(_crossing(crossing._replace(note=note), curves), is_short))
    return out or [reversal, crossing]


def _reversal(claim: Claim, curves: law_dynamics.LawCurves) -> Claim:
    early, late = law_dynamics.dominance(curves.law)
    both = law_dynamics.is_reversed(curves.law)
    return claim._replace(
        value=f"{both.sum()} of {counted(len(both), 'seed')}",
        interval=f"L₁ − L₂: {early.mean():+.2f} first, {late.mean():+.2f} last",
        n=str(len(both)),
        verdict=supported_if(law_dynamics.mostly_reversed(curves.law)),
    )


def _crossing(claim: Claim, curves: law_dynamics.LawCurves) -> Claim:
    crossings = law_dynamics.nesterov_crossing(curves.steps, curves.law)
    found = crossings[np.isfinite(crossings)]
    if not len(found):
        none = f"no crossing in {counted(len(crossings), 'seed')}"
        return claim._replace(value=none, n=str(len(crossings)), verdict=NOT_SUPPORTED)
    middle = float(np.median(found))
    return claim._replace(
        value=f"step {middle:,.0f}",
        interval=f"range {found.min():,.0f} to {found.max():,.0f}",
        n=f"{len(found)} of {len(crossings)}",
        verdict=supported_if(law_dynamics.crosses_as_in_paper(crossings)),
    )


def _coupled(a: Analysis, final: pd.DataFrame) -> list[Claim]:
    claim = Claim(
        f"{paper.pretty(COUPLED)}: the coefficients of M(0.8) and M(0.7) are coupled with "
        "opposite sign",
        "Figure 2b, appendix A.3",
        "correlation over training below −0.5 and opposite signs in 90 % of the second half; "
        "nine seeds in ten",
    )
    out = []
    for curves, note, is_short in _measured(a, final, COUPLED):
        correlation, opposite = law_dynamics.coupling(curves.law)
        holds = (correlation < -0.5) & (opposite >= 0.9)
        filled = claim._replace(
            value=f"{holds.sum()} of {counted(len(holds), 'seed')}; "
            f"correlation {correlation.mean():.2f}",
            interval=f"range {correlation.min():.2f} to {correlation.max():.2f}",
            n=str(len(holds)),
            verdict=supported_if(holds.mean() >= MOST_SEEDS),
            note=note,
        )
        out.append(_judged(filled, is_short))
    return out or [claim]
