"""From an optimizer config to an optax transformation, traced numbers included."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax

import rllc
from rllc.suite.identity import RESERVED
from rllc.suite.plan import PlanError, resolve


def build(config: Mapping[str, Any], traced: Mapping[str, Any]) -> optax.GradientTransformation:
    """Calls the config's target with its static arguments and the (traced) numbers."""
    static = {key: value for key, value in config.items() if key not in RESERVED}
    nested = config.get("arguments") or {}
    return resolve(config["_target_"])(**static, **nested, **traced)


def check(config: Mapping[str, Any], traced: Mapping[str, Any]) -> None:
    """Builds the optimizer once on a small problem, so that a bad argument shows early.

    Raises:
      PlanError: the target refuses its arguments.
    """
    try:
        values = {k: jnp.asarray(v) if isinstance(v, tuple) else v for k, v in traced.items()}
        build(config, values).init({"w": jnp.zeros((2, 2))})
    except PlanError:
        raise
    except Exception as error:
        raise PlanError(f"optimizer {config['name']}: {type(error).__name__}: {error}") from error


def law_of(state: optax.OptState) -> jnp.ndarray:
    """The learning law inside an optimizer state, (k,), or an empty vector.

    Where there is a law per group (`law_groups`), their laws one after the other: (groups k,).
    """
    try:
        return rllc.get_law(state).ravel()
    except ValueError:
        return jnp.zeros((0,), jnp.float32)


def evaluation_parameters(config: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    """``(opt_state, params) -> params`` to evaluate with; most optimizers use params as is."""
    path = config.get("evaluation_parameters")
    return resolve(path) if path else lambda state, params: params
