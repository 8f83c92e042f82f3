"""Numbers that ruin optimizers, over every propagator and dtype: laws and parameters stay finite.

A case is a descent along Σ h θ²/2 in two leaves whose gradients are scaled, spoilt, or left alone.
A right value exists where the descent in float64 ends finite and, in float16, where no gradient or
memory is near that dtype's largest number. The law must be finite in every case.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import yaml

import rllc
from tests.torture.trials import Trial, side_by_side

STEPS = 800
DTYPES = ("float64", "float32", "bfloat16", "float16")
CONF = Path(__file__).parents[2] / "conf" / "optimizer"
FURTHER = ("M2(0.9)", "CM(0.3+0.2i)", "M3(0.9)+M(0.0)")
CURVATURES = ((1.0, 2.0, 3.0), (1.0, 10.0, 100.0), (0.1, 1.0, 10.0), (1e-3, 1.0, 1.5))


class Case(NamedTuple):
    """One descent.

    Attributes:
      name: of its kind.
      curvature: h, (3,).
      rate: of the steps, as a share of 1 / (gain of the memory · largest h).
      law_rate: c₂.
      first, second: factors of the gradients of the leaves, (STEPS,).
      scale: of all gradients; the rate is divided by it.
    """

    name: str
    curvature: tuple[float, ...]
    rate: float
    law_rate: float
    first: np.ndarray
    second: np.ndarray
    scale: float = 1.0


def cases() -> list[Case]:
    """All descents: 24 noiseless quadratics, and the spoilt ones."""
    plain = np.ones(STEPS)

    def spoilt(at: slice | int, value: float) -> np.ndarray:
        factors = plain.copy()
        factors[at] = value
        return factors

    made = [
        Case("noiseless quadratic", h, rate, law_rate, plain, plain)
        for h in CURVATURES
        for rate in (0.05, 0.3)
        for law_rate in (0.003, 0.01, 0.03)
    ]
    usual = (1.0, 2.0, 3.0), 0.1, 0.01
    same = [Case("collinear gradients", (1.0, 1.0, 1.0), r, 0.03, plain, plain) for r in (0.1, 0.5)]
    late = slice(50, None)
    return [
        *made,
        *same,
        Case("one gradient of 1e4 times the usual", *usual, spoilt(50, 1e4), spoilt(50, 1e4)),
        Case("one gradient of 1e30", *usual, spoilt(50, 1e30), spoilt(50, 1e30)),
        Case("gradients of 1e30", *usual, plain, plain, 1e30),
        Case("gradients of 1e-30", *usual, plain, plain, 1e-30),
        Case("NaN in one leaf once", *usual, plain, spoilt(50, np.nan)),
        Case("NaN in one leaf for good", *usual, plain, spoilt(late, np.nan)),
        Case("infinite in one leaf", *usual, plain, spoilt(late, np.inf)),
        Case("gradients of zero", *usual, 0 * plain, 0 * plain),
        Case("gradients that vanish", *usual, spoilt(late, 0), spoilt(late, 0)),
    ]


def propagators() -> list[str]:
    """Those of all configs, and further ones."""
    loaded = (yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml")))
    found = [config["propagator"] for config in loaded if "propagator" in config]
    found = [name for name in found if name != "???"]  # to be given by the user
    return list(dict.fromkeys([*found, *FURTHER]))


Make = Callable[[Any, Any], optax.GradientTransformation]  # (rate, law rate)


def optimizers() -> dict[str, tuple[Make, float, Make | None]]:
    """Label -> optimizer, gain of its memory, and the one inside whose own failures are its own."""
    found: dict[str, tuple[Make, float, Make | None]] = {}
    for name in propagators():
        gain = float(np.abs(rllc.parse(name).abstract_rule(400)).sum())
        one = 1.0 / rllc.parse(name).num_units
        found[f"lm_rllc {name}"] = (lambda r, c, n=name: rllc.lm_rllc(n, r, c), gain, None)
        found[f"linear_memory {name}"] = (
            lambda r, c, n=name, one=one: rllc.linear_memory(n, jnp.full(round(1 / one), one), r),
            gain,
            None,
        )
    for name, inner, gain in (
        ("sgd", optax.sgd, 1.0),
        ("momentum", lambda r: optax.sgd(r, momentum=0.9), 10.0),
        ("adam", lambda r: optax.adam(r), 1.0),
    ):
        found[f"wrap {name}"] = (
            lambda r, c, inner=inner: rllc.wrap(inner(r), 1.0, 0.1 * r),
            gain,
            lambda r, c, inner=inner: inner(r),
        )
    found["mix sgd adam"] = (
        lambda r, c: rllc.mix(optax.sgd(r), optax.adam(r), law_learning_rate=0.1 * r),
        1.0,
        lambda r, c: optax.adam(r),  # plain SGD is finite wherever that is
    )
    return found


def descents(make: Make, gain: float, dtype: str, every: list[Case]) -> dict[str, np.ndarray]:
    """All cases in one program: name of a leaf, or law -> finite in each case, (cases,) bool.

    ``largest`` is the largest gradient times the gain.
    """

    def one(h: Any, rate: Any, law_rate: Any, first: Any, second: Any, scale: Any) -> Any:
        tx = make(rate, law_rate)
        theta = {"a": jnp.ones(3, dtype), "b": jnp.ones(2, dtype)}

        def step(carry: Any, factors: Any) -> Any:
            theta, state = carry
            wide = jax.tree.map(lambda x: x.astype(wider), theta)
            gradient = {
                "a": (factors[0] * scale * h * wide["a"]).astype(dtype),
                "b": (factors[1] * scale * h[:2] * wide["b"]).astype(dtype),
            }
            updates, state = tx.update(gradient, state, theta)
            largest = jnp.abs(jnp.concatenate([gradient["a"], gradient["b"]])).max()
            return (optax.apply_updates(theta, updates), state), largest.astype(jnp.float32)

        (theta, state), largest = jax.lax.scan(step, (theta, tx.init(theta)), (first, second))
        try:
            law = rllc.get_law(state)
        except ValueError:  # an optimizer without one
            law = jnp.ones(1)
        return {
            "a": jnp.isfinite(theta["a"]).all(),
            "b": jnp.isfinite(theta["b"]).all(),
            "law": jnp.isfinite(law).all() & (jnp.abs(law) < 1e6).all(),
            "largest": jnp.nanmax(largest) * gain,
        }

    wider = jnp.promote_types(dtype, jnp.float32)
    columns = [
        np.array([case.curvature for case in every], wider),
        np.array([_rate(case, gain) for case in every], wider),
        np.array([case.law_rate for case in every], wider),
        np.array([case.first for case in every], wider),
        np.array([case.second for case in every], wider),
        np.array([case.scale for case in every], wider),
    ]
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(*columns))


def _rate(case: Case, gain: float) -> float:
    return case.rate / (gain * max(case.curvature) * case.scale)


def judged(label: str, dtype: str, every: list[Case], found: Any, exact: Any, inner: Any) -> list:
    """A trial for each case."""
    trials = []
    for i, case in enumerate(every):
        where = f"{label}, {dtype}, case {i}"
        if not found["law"][i]:
            trials.append(Trial(case.name, "", f"{where}: the law is lost"))
            continue
        near = dtype == "float16" and not found["largest"][i] < 1e3
        right = {leaf: exact[leaf][i] and not near for leaf in ("a", "b")}
        if inner is not None:
            right = {leaf: right[leaf] and inner[leaf][i] for leaf in right}
        lost = [leaf for leaf in right if right[leaf] and not found[leaf][i]]
        whole = all(found[leaf][i] for leaf in right)
        outcome = "all finite" if whole else "law finite, as is what has a right value"
        trials.append(Trial(case.name, outcome, f"{where}: {lost} is lost" if lost else ""))
    return trials


def of_optimizer(label: str, dtypes: Iterable[str] = DTYPES) -> Iterator[Trial]:
    """Every case of one optimizer."""
    jax.config.update("jax_enable_x64", True)
    every, (make, gain, inside) = cases(), optimizers()[label]
    exact = descents(make, gain, "float64", every)
    for dtype in dtypes:
        found = exact if dtype == "float64" else descents(make, gain, dtype, every)
        inner = descents(inside, gain, dtype, every) if inside else None
        yield from judged(label, dtype, every, found, exact, inner)
        yield from odd_trees(label, make, dtype)


def run(seed: int, scale: float, place: Path) -> Iterator[Trial]:
    """Every case over every optimizer and dtype; over fewer optimizers where scale is below 1."""
    labels = list(optimizers())[:: max(1, round(1 / scale))]
    return side_by_side(of_optimizer, labels, place / "numbers.jsonl")


def odd_trees(label: str, make: Make, dtype: str) -> Iterator[Trial]:
    """Trees that are not what an optimizer expects: a value, or an error that names the leaf."""
    tx = make(0.01, 0.01)
    for name, act in ODD.items():
        lost, outcome = "", "a value"
        try:
            lost = act(tx, jnp.ones(3, dtype))
        except ValueError as error:
            outcome = "refused in one line"
            lost = "" if "\n" not in str(error) and "['" in str(error) else str(error)
        except Exception as error:
            lost = f"{type(error).__name__}: {error}"
        yield Trial(name, outcome, f"{label}, {dtype}: {lost}" if lost else "")


def _refused(tx: Any, tree: Any, gradient: Any = None) -> str:
    state = tx.init(tree)
    if gradient is not None:
        tx.update(gradient, state, tree)
    return "it was taken"


def _taken(tx: Any, tree: Any) -> str:
    updates, _ = tx.update(tree, tx.init(tree), tree)
    finite = all(np.isfinite(np.asarray(leaf, float)).all() for leaf in jax.tree.leaves(updates))
    return "" if finite else "not finite"


ODD: dict[str, Callable[[Any, Any], str]] = {
    "an integer leaf": lambda tx, x: _refused(tx, {"w": x, "n": jnp.arange(3)}),
    "a complex leaf": lambda tx, x: _refused(tx, {"w": x, "n": x * 1j}),
    "an empty tree": lambda tx, x: _taken(tx, {}),
    "a leaf without numbers": lambda tx, x: _taken(tx, {"w": x, "n": x[:0]}),
    "Python numbers": lambda tx, x: _taken(tx, {"w": x, "n": 2.0}),
    "a gradient of None": lambda tx, x: _refused(tx, {"w": x, "n": x}, {"w": x, "n": None}),
    "a state of other leaves": lambda tx, x: _refused(tx, {"w": x}, {"w": x, "n": x}),
    "a state of other shapes": lambda tx, x: _refused(tx, {"w": x}, {"w": x[:2]}),
}
