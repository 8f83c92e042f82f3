"""optax transformations as learned_optimization's ``Optimizer``, and back."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.suite.adapters.learned_optimization.package import load


class OptaxState(NamedTuple):
    """State of an `as_optimizer` optimizer, with the field names its base class reads.

    Attributes:
      params: parameters.
      state: model state, such as batch statistics; passed through.
      optax_state: the transformation's own state.
      iteration: updates made, int32 ().
    """

    params: Any
    state: Any
    optax_state: optax.OptState
    iteration: jax.Array


class WrappedState(NamedTuple):
    """State of a `from_optimizer` transformation.

    Attributes:
      inner: the optimizer's state, its copy of the parameters taken out.
      key: for optimizers that draw numbers; a new one for each step.
    """

    inner: Any
    key: jax.Array


def as_optimizer(tx: optax.GradientTransformation, name: str = "Optax") -> Any:
    """An optax transformation behind learned_optimization's ``Optimizer`` interface.

    Args:
      tx: any transformation. One that takes extra arguments is given the loss as ``value``.
      name: what the framework calls it in its results.

    Returns:
      An ``Optimizer`` with ``init(params, model_state=None, num_steps=None, key=None)``,
      ``update(opt_state, grad, loss=None, model_state=None, key=None)``, ``get_params``,
      ``get_state``, ``set_params`` and ``name``. ``init`` also takes the model state as ``state``,
      and takes ``num_steps`` without using it: an optax schedule already knows its length.

    Raises:
      ImportError: learned_optimization is not installed.
    """
    base = load("optimizers.base")
    takes_value = isinstance(tx, optax.GradientTransformationExtraArgs)

    class OptaxOptimizer(base.Optimizer):  # type: ignore[misc, name-defined]  # untyped
        def init(
            self,
            params: Any,
            model_state: Any = None,
            num_steps: int | None = None,
            key: jax.Array | None = None,
            *,
            state: Any = None,
            **_: Any,
        ) -> OptaxState:
            del num_steps, key
            model_state = state if model_state is None else model_state
            return OptaxState(params, model_state, tx.init(params), jnp.zeros([], jnp.int32))

        def update(
            self,
            opt_state: OptaxState,
            grad: Any,
            loss: Any = None,
            model_state: Any = None,
            key: jax.Array | None = None,
            **_: Any,
        ) -> OptaxState:
            del key
            new: OptaxState = self._update(opt_state, grad, loss, model_state)
            return new

        @staticmethod
        @jax.jit
        def _update(opt_state: OptaxState, grad: Any, loss: Any, model_state: Any) -> OptaxState:
            extra = {"value": loss} if takes_value and loss is not None else {}
            updates, inner = tx.update(grad, opt_state.optax_state, opt_state.params, **extra)
            params = optax.apply_updates(opt_state.params, updates)
            return OptaxState(params, model_state, inner, opt_state.iteration + 1)

        @property
        def name(self) -> str:
            return name

    return OptaxOptimizer()


def from_optimizer(
    opt: Any, num_steps: int | None = None, reads_loss: bool = False, seed: int = 0
) -> optax.GradientTransformationExtraArgs:
    """A learned_optimization ``Optimizer``, hand-designed or learned, as an optax transformation.

    Its step is the difference of the parameters after and before, so `optax.apply_updates` gives
    its parameters up to one rounding. The model state stays with the training loop.

    Args:
      opt: the optimizer.
      num_steps: length of the run, for optimizers that plan ahead.
      reads_loss: whether it needs the loss of each step; then the training loop must call
        ``update(gradients, state, params, value=loss)``.
      seed: of the keys handed to it.

    Returns:
      A transformation whose ``update`` needs ``params``.
    """

    def init(params: optax.Params) -> WrappedState:
        key, first = jax.random.split(jax.random.key(seed))
        inner = opt.init(params, num_steps=num_steps, key=_raw(first))
        inner = jax.tree.map(jnp.asarray, _with_params(opt, inner, ()))
        return WrappedState(inner, key)

    def update(
        updates: optax.Updates,
        state: WrappedState,
        params: optax.Params | None = None,
        *,
        value: jax.typing.ArrayLike | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, WrappedState]:
        del extra_args
        if params is None:
            raise ValueError("this optimizer holds the parameters itself: call update(..., params)")
        if reads_loss and value is None:
            raise ValueError("this optimizer reads the loss: call update(..., value=loss)")
        key, now = jax.random.split(state.key)
        inner = _with_params(opt, state.inner, params)
        inner = opt.update(inner, updates, loss=value, key=_raw(now))
        step = jax.tree.map(lambda new, old: new - old, opt.get_params(inner), params)
        return step, WrappedState(_like(_with_params(opt, inner, ()), state.inner), key)

    return optax.GradientTransformationExtraArgs(init, update)


def optimizer(
    optimizer: str, num_steps: int | None = None, **settings: Any
) -> optax.GradientTransformationExtraArgs:
    """One of learned_optimization's own optimizers by name, for configurations.

    Args:
      optimizer: a class of its ``optimizers.base``, such as ``SGDM``, ``Adam``, ``RMSProp``.
      num_steps: length of the run, for optimizers that plan ahead.
      **settings: of that class; its numbers may be traced.

    Raises:
      ImportError: learned_optimization is not installed.
      ValueError: it has no such optimizer.
    """
    base = load("optimizers.base")
    found = getattr(base, optimizer, None)
    if not (isinstance(found, type) and issubclass(found, base.Optimizer)):
        known = [
            n for n, c in vars(base).items() if isinstance(c, type) and c is not base.Optimizer
        ]
        known = [n for n in known if issubclass(getattr(base, n), base.Optimizer)]
        raise ValueError(f"unknown optimizer {optimizer!r}; known are {', '.join(sorted(known))}")
    return from_optimizer(found(**settings), num_steps)


def _with_params(opt: Any, state: Any, params: Any) -> Any:
    """`opt.set_params`, which the base class of release 0.0.1 lacks for dataclass states."""
    inherited = load("optimizers.base").Optimizer.set_params
    if dataclasses.is_dataclass(state) and getattr(type(opt), "set_params", None) is inherited:
        return dataclasses.replace(state, params=params)  # type: ignore[type-var]
    return opt.set_params(state, params)


def _like(new: Any, old: Any) -> Any:
    """`new` in the dtypes of `old`, so that a loop can carry it."""
    return jax.tree.map(lambda n, o: jnp.asarray(n, o.dtype), new, old)


def _raw(key: jax.Array) -> jax.Array:
    """The package knows old-style keys (uint32 pairs) only."""
    return jax.random.key_data(key)
