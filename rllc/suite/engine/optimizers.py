"""From an optimizer config to an optax transformation, traced numbers included.

The config's ``probes`` name what is to be recorded over time: column -> dotted path of a function
that maps the optimizer's state to an array of one size.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rllc.suite import schedules
from rllc.suite.plan.targets import resolve
from rllc.suite.records.identity import RESERVED


def build(config: Mapping[str, Any], traced: Mapping[str, Any]) -> optax.GradientTransformation:
    """Calls the config's target with its static arguments and the (traced) numbers.

    An argument with a ``_target_`` of its own is made first: an inner optimizer, a schedule. Rates
    that the config's ``schedules`` name become functions of the step.
    """
    static = {key: value for key, value in config.items() if key not in RESERVED}
    given = made({**static, **(config.get("arguments") or {})})
    return resolve(config["_target_"])(**schedules.over_steps({**given, **traced}, config))


def made(value: Any) -> Any:
    """A config value with every mapping that has a ``_target_`` replaced by what it makes."""
    if isinstance(value, Mapping):
        inside = {key: made(item) for key, item in value.items() if key != "_target_"}
        return resolve(value["_target_"])(**inside) if "_target_" in value else inside
    return [made(item) for item in value] if isinstance(value, list | tuple) else value


def step(
    transformation: optax.GradientTransformation, params: Any, state: Any, gradients: Any, loss: Any
) -> tuple[Any, Any]:
    """One step of an optimizer, (params, state) after it; the loss is there for those that ask."""
    whole = optax.with_extra_args_support(transformation)
    updates, state = whole.update(gradients, state, params, value=loss)
    return optax.apply_updates(params, updates), state


def observe(config: Mapping[str, Any], state: optax.OptState) -> dict[str, jax.Array]:
    """What the config's probes read from an optimizer state: name -> float32 (k,)."""
    return {name: probe(path)(state) for name, path in (config.get("probes") or {}).items()}


def probe(path: str) -> Callable[[Any], jax.Array]:
    function = resolve(path)
    return lambda state: jnp.asarray(function(state), jnp.float32).ravel()


def evaluation_parameters(config: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    """``(opt_state, params) -> params`` to evaluate with; most optimizers use params as is.

    The config names it by its path, or with an id as ``{id: …, _target_: path}``.
    """
    given = config.get("evaluation_parameters")
    path = given["_target_"] if isinstance(given, Mapping) else given
    return resolve(path, "evaluation_parameters") if path else lambda state, params: params
