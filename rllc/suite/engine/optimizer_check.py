"""Whether an optimizer is one that the engine can train with, found out before anything trains.

It may be anybody's function, so every mistake ends in one line that names the optimizer and the
cause, not in a traceback of JAX.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rllc.suite import schedules
from rllc.suite.engine.optimizers import build, evaluation_parameters, probe, step
from rllc.suite.errors import LONGEST, PlanError, first_line, first_words, place

# What Python and NumPy raise that look at the value of a traced number.
LOOKED_AT = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def check_optimizer(config: Mapping[str, Any], traced: Mapping[str, Any], params: Any) -> None:
    """Builds the optimizer and traces one step of it, so that a mistake shows before training.

    Args:
      config: of the optimizer.
      traced: its traced numbers, of one run.
      params: the parameters that it is to train; their shapes suffice.

    Raises:
      PlanError: the target refuses its arguments, a schedule of a rate, or these parameters; its
        update fails, or changes the layout of its state; a probe or `evaluation_parameters` cannot
        read the state.
    """
    try:
        state = _after_a_step(config, traced, params)
    except PlanError:
        raise
    except Exception as error:
        if config.get(schedules.KEY):
            check_optimizer({**config, schedules.KEY: {}}, traced, params)
            raise schedules.not_taken(config, error) from error
        what = f"{first_line(error).rstrip('.')}{place(error)}{_hint(traced, error)}"
        raise PlanError(f"optimizer {config['name']}: {what}") from error
    _check_probes(config, state)
    _check_evaluation(config, state, params)


def _after_a_step(config: Mapping[str, Any], traced: Mapping[str, Any], params: Any) -> Any:
    """Shapes of the state after a step like those of training, its numbers traced."""
    build(config, {k: jnp.asarray(v) if isinstance(v, tuple) else v for k, v in traced.items()})
    hyper = {k: jax.ShapeDtypeStruct(np.shape(v), np.float32) for k, v in traced.items()}
    loss = jax.ShapeDtypeStruct((), np.float32)

    def init(hyper: Any, params: Any) -> Any:
        return build(config, hyper).init(params)

    def advance(hyper: Any, params: Any, state: Any, loss: Any) -> Any:
        return step(build(config, hyper), params, state, params, loss)

    before = params, jax.eval_shape(init, hyper, params)
    after = jax.eval_shape(advance, hyper, *before, loss)
    for what, old, new in zip(("the parameters", "its state"), before, after, strict=True):
        if told := _difference(old, new):
            raise PlanError(f"optimizer {config['name']}: update changes {what}: {told}")
    return after[1]


def _difference(old: Any, new: Any, dtypes: bool = True) -> str:
    """Where two trees of shapes differ, in words; a weakly typed number may become another."""
    structures: list[Any] = [jax.tree.structure(tree) for tree in (old, new)]
    if structures[0] != structures[1]:
        return " becomes ".join(_short(structure) for structure in structures)
    for (path, a), b in zip(jax.tree.leaves_with_path(old), jax.tree.leaves(new), strict=True):
        if a.shape != b.shape or (dtypes and a.dtype != b.dtype and not a.weak_type):
            where = jax.tree_util.keystr(path)
            return f"{where} {a.dtype}{list(a.shape)} becomes {b.dtype}{list(b.shape)}".lstrip()
    return ""


def _short(structure: Any) -> str:
    text = str(structure)
    return text if len(text) < LONGEST // 4 else f"a tree of {structure.num_leaves} arrays"


def _hint(traced: Mapping[str, Any], error: Exception) -> str:
    """What would be right, where it can be told."""
    lists = [f"{k}={list(v)}" for k, v in traced.items() if isinstance(v, tuple) and "rate" in k]
    if lists:
        return f"; {lists[0]} is one value, a sweep takes -m and numbers without brackets"
    if isinstance(error, LOOKED_AT):
        return f"; {', '.join(traced)}: traced, for jax.numpy alone (jnp.where for a choice)"
    return ""


def _check_probes(config: Mapping[str, Any], state: optax.OptState) -> None:
    for name, path in (config.get("probes") or {}).items():
        where = f"optimizer {config['name']}: probe {name}={path}"
        try:
            size = jax.eval_shape(probe(path), state).shape[0]
        except PlanError:
            raise
        except Exception as error:
            raise PlanError(
                f"{where} cannot read the optimizer's state: {first_words(error)}"
            ) from error
        if not size:
            raise PlanError(f"{where} reads nothing from the optimizer's state")


def _check_evaluation(config: Mapping[str, Any], state: optax.OptState, params: Any) -> None:
    function, given = evaluation_parameters(config), config.get("evaluation_parameters")
    where = f"optimizer {config['name']}: evaluation_parameters={given}"
    try:
        found = jax.eval_shape(function, state, params)
    except Exception as error:
        raise PlanError(
            f"{where} must take (opt_state, params): {first_line(error)}{place(error)}"
        ) from error
    if told := _difference(params, found, dtypes=False):
        raise PlanError(f"{where} must return parameters like those it is given: {told}")
