"""RLLC: optimizers whose memory combination corrects itself at every step.

Retrospective learning law correction keeps k vectors of gradient history (the *memory*) and steps
along a combination of them whose weights (the *law*) follow each new gradient's projection on the
memory. Everything here is an `optax.GradientTransformation`, and needs jax, numpy and optax only;
the experiments live in `rllc.suite`, which runs from a checkout and is not installed.
"""

from rllc.alias import linear_memory, lm_rllc, mix, scale_by_step, wrap
from rllc.groups import law_labels
from rllc.law import resolve_initial_law as initial_law
from rllc.metric import RmsMetricState, precondition_by_rms
from rllc.normal_form import NormalForm, normal_form
from rllc.propagators import (
    NonDecayingMemoryWarning,
    Propagator,
    complex_jordan,
    complex_momentum,
    jordan,
    momentum,
    parse,
    union,
)
from rllc.rules import (
    MemoryRule,
    adam_and_momentum,
    filtered,
    gradient_history,
    last_steps,
    sign_momentum,
)
from rllc.schedules import inverse_power_schedule
from rllc.spelling import canonical_arguments
from rllc.transform import RllcState, get_law, scale_by_rllc

__version__ = "0.1.0"

__all__ = [
    "MemoryRule",
    "NonDecayingMemoryWarning",
    "NormalForm",
    "Propagator",
    "RllcState",
    "RmsMetricState",
    "adam_and_momentum",
    "canonical_arguments",
    "complex_jordan",
    "complex_momentum",
    "filtered",
    "get_law",
    "gradient_history",
    "initial_law",
    "inverse_power_schedule",
    "jordan",
    "last_steps",
    "law_labels",
    "linear_memory",
    "lm_rllc",
    "mix",
    "momentum",
    "normal_form",
    "parse",
    "precondition_by_rms",
    "scale_by_rllc",
    "scale_by_step",
    "sign_momentum",
    "union",
    "wrap",
]
