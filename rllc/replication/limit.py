"""Appendix A.3: M(0.9)⊕M(0.75 + δ)⊕M(0.75 − δ) becomes M(0.9)⊕M₂(0.75) as δ goes to 0.

Two things are measured against δ: how far apart the spans of the two optimizers' abstract rules
are, and how far apart their parameters end on a noisy quadratic. The paper concludes the second
from the first, "in theory", and warns of "numerical instability". Two things stand in between:

- before the k-th step the memory has less than full rank. Of the corrections that explain the
  gradient equally well the pseudo-inverse takes the shortest, and which that is depends on the
  basis. `WAYS` with a wait keep the law until the memory has full rank;
- the relaxation of the pseudo-inverse, relative to the mean diagonal entry of the Gram matrix,
  does not tell two close units apart, and the limit has none.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
import pandas as pd
from matplotlib.figure import Figure
from scipy.linalg import subspace_angles

import rllc
from rllc.suite.plotting import BLACK, BLUE, GREEN, ORANGE, RC, VERMILION
from rllc.suite.table import Column, Table

CENTRE = 0.75
LIMIT = f"M(0.9)+M2({CENTRE})"
UNITS = 3  # steps after which the memory has full rank
DELTAS = tuple(float(f"{10.0**-e:.3g}") for e in np.arange(0.75, 6.01, 0.25))
LENGTH, STEPS, SIZE = 400, 200, 32
RATE, LAW_RATE = 0.05, 0.01


class Way(NamedTuple):
    """How both optimizers run.

    Attributes:
      title: in words.
      dtype: of parameters and memory.
      epsilon: relaxation of the pseudo-inverse.
      wait: steps before the law first moves.
      colour: of its line.
    """

    title: str
    dtype: Any
    epsilon: float
    wait: int
    colour: str


WAYS: Mapping[str, Way] = MappingProxyType({
    "exact_waits": Way("float64, no relaxation, law waits", jnp.float64, 0.0, UNITS, BLUE),
    "exact": Way("float64, no relaxation", jnp.float64, 0.0, 0, GREEN),
    "relaxed": Way("float64, ε = 10⁻⁶, law waits", jnp.float64, 1e-6, UNITS, ORANGE),
    "float32": Way("float32, ε = 10⁻⁶: as in use", jnp.float32, 1e-6, 0, VERMILION),
})  # fmt: skip
MEASURED = Table((
    Column("delta", "δ", ".2g"),
    Column("angle", "sine of the angle between the spans", ".2e"),
    *(Column(name, way.title, ".2e") for name, way in WAYS.items()),
))  # fmt: skip


def close(delta: float) -> rllc.Propagator:
    """O(δ) of appendix A.3."""
    return rllc.union(
        rllc.momentum(0.9), rllc.momentum(CENTRE + delta), rllc.momentum(CENTRE - delta)
    )


def angle(delta: float) -> float:
    """Sine of the largest principal angle between the spans of the abstract rules."""
    rules = (p.abstract_rule(LENGTH) for p in (close(delta), rllc.parse(LIMIT)))
    return float(np.sin(subspace_angles(*rules).max()))


def measured(deltas: Sequence[float] = DELTAS) -> pd.DataFrame:
    """`MEASURED`, a row per δ; distances are relative. Takes about ten seconds."""
    rows: dict[str, Any] = {"delta": deltas, "angle": [angle(delta) for delta in deltas]}
    rows |= {name: distances(deltas, way) for name, way in WAYS.items()}
    return pd.DataFrame(rows, columns=MEASURED.names)


def distances(deltas: Sequence[float], way: Way) -> list[float]:
    """|θ_δ − θ| / |θ_0 − θ| after `STEPS` steps, θ being the limit's parameters.

    Both begin with the same direction: the law (1, ½, ½) of O(δ) is (1, 1, 0) of the limit up to
    terms of δ².
    """
    with jax.enable_x64(way.dtype == jnp.float64):
        start, end = _trained(rllc.parse(LIMIT), (1.0, 1.0, 0.0), way)
        found = [_trained(close(delta), (1.0, 0.5, 0.5), way)[1] for delta in deltas]
    return [float(np.linalg.norm(other - end) / np.linalg.norm(start - end)) for other in found]


def _trained(p: rllc.Propagator, law: tuple[float, ...], way: Way) -> tuple[np.ndarray, np.ndarray]:
    """Parameters before and after training on a quadratic of condition 100 with noisy gradients."""
    curvature = jnp.asarray(np.geomspace(0.01, 1.0, SIZE), way.dtype)
    noise = jnp.asarray(np.random.default_rng(0).normal(size=(STEPS, SIZE)), way.dtype)
    optimizer = rllc.lm_rllc(
        p, RATE, lambda step: jnp.where(step < way.wait, 0.0, LAW_RATE).astype(way.dtype),
        initial_law=law, epsilon=way.epsilon, max_gradient_ratio=None,
    )  # fmt: skip

    def step(carry: Any, z: jax.Array) -> tuple[Any, None]:
        params, state = carry
        updates, state = optimizer.update(curvature * params + 0.1 * z, state, params)
        return (optax.apply_updates(params, updates), state), None

    start = jnp.ones(SIZE, way.dtype)
    (end, _), _ = jax.jit(lambda: jax.lax.scan(step, (start, optimizer.init(start)), noise))()
    return np.asarray(start, np.float64), np.asarray(end, np.float64)


def figure(found: pd.DataFrame) -> Figure:
    """Spans and parameters against δ.

    Args:
      found: from `measured`.
    """
    with mpl.rc_context(RC):
        drawn = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = drawn.subplots()
        axes.loglog(found.delta, found.angle, "--", color=BLACK, label=MEASURED.titles[1])
        for name, way in WAYS.items():
            style = ":" if way.dtype == jnp.float32 else "-"  # it lies on the line before
            axes.loglog(found.delta, found[name], style, color=way.colour, label=way.title)
        axes.invert_xaxis()
        axes.set_xlabel("δ")
        axes.set_ylabel("relative distance to the limit")
        axes.set_title(f"M(0.9)⊕M({CENTRE} + δ)⊕M({CENTRE} − δ) → M(0.9)⊕M₂({CENTRE})")
        axes.legend()
    return drawn
