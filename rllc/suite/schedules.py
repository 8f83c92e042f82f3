"""Schedules of rates: factors over the steps of a run, by which a rate's peak is multiplied.

In an optimizer's config ``schedules`` maps arguments of its target, such as ``learning_rate``, to
settings of `Schedule`. The peak stays what it was, a traced number, so a grid of rates is one
program. How many steps a run has is the protocol's; a schedule repeats it, and is refused if it
says something else.

Step t counts from 0; of T steps the first W = round(warmup · T) warm up, with the factor
(t + 1) / W; then x = (t - W) / (T - W) goes from 0 to just below 1:

- constant: 1;
- linear: 1 - (1 - final) x;
- cosine: final + (1 - final) (1 + cos πx) / 2 (Loshchilov & Hutter 2017, equation 5).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.suite.errors import PlanError

SHAPES = ("constant", "cosine", "linear")
LAW = "law_learning_rate"
KEY = "schedules"  # of an optimizer's config


class Schedule(NamedTuple):
    """How a rate changes.

    Attributes:
      shape: one of `SHAPES`.
      warmup: share of the steps over which the factor rises from 0 to 1.
      final: factor towards which it then falls.
      steps: of the run.
    """

    shape: str
    warmup: float
    final: float
    steps: int

    @property
    def warm_steps(self) -> int:
        """Steps that warm up."""
        return round(self.warmup * self.steps)

    @property
    def is_trivial(self) -> bool:
        """Whether the rate stays as it is."""
        return self.shape == "constant" and not self.warm_steps

    def factor(self, count: jax.Array) -> jax.Array:
        """The factor of the step before which `count` were taken."""
        warm, rest = self.warm_steps, self.steps - self.warm_steps
        decays = {
            "constant": optax.constant_schedule(1.0),
            "linear": optax.linear_schedule(1.0, self.final, rest),
            "cosine": optax.cosine_decay_schedule(1.0, rest, self.final),
        }
        decayed = jnp.asarray(decays[self.shape](jnp.maximum(count - warm, 0)))
        return jnp.where(count < warm, (count + 1) / max(warm, 1), decayed)


def read(given: Any, where: str) -> Schedule:
    """A schedule from its settings in a config.

    Args:
      given: mapping of the fields of `Schedule`.
      where: it stands, for the error.

    Raises:
      PlanError: a field is missing, unknown, or makes no sense.
    """
    if not isinstance(given, Mapping) or set(given) != set(Schedule._fields):
        told = sorted(given) if isinstance(given, Mapping) else repr(given)
        raise PlanError(f"{where} must have {', '.join(Schedule._fields)}; it has {told}")
    found = Schedule(**given)
    if found.shape not in SHAPES:
        raise PlanError(f"{where}.shape={found.shape!r} must be one of {', '.join(SHAPES)}")
    for key in ("warmup", "final"):
        value = getattr(found, key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise PlanError(f"{where}.{key}={value!r} must be a number from 0 to 1")
    if type(found.steps) is not int or found.steps < 1:
        raise PlanError(f"{where}.steps={found.steps!r} must be a positive integer")
    if found.warm_steps >= found.steps:
        raise PlanError(
            f"{where}.warmup={found.warmup} leaves none of {found.steps} steps after the warm-up"
        )
    return found


def applied(optimizer: Mapping[str, Any], rates: Any, law: Any) -> dict[str, Any]:
    """An optimizer's config under schedules: ``schedules`` and the label tell.

    Args:
      optimizer: config; where nothing changes over time it comes back as it is.
      rates: of every argument that ends in ``learning_rate``, but that of the law; None for none.
      law: of ``law_learning_rate``; None for none.

    Raises:
      PlanError: see `read`; or the optimizer has no such argument.
    """
    names = [key for key in optimizer if str(key).endswith("learning_rate")]
    wanted = (
        ("schedule", rates, [name for name in names if name != LAW]),
        ("law_schedule", law, [name for name in names if name == LAW]),
    )
    found: dict[str, Any] = {}
    for group, given, arguments in wanted:
        if given is None or read(given, group).is_trivial:
            continue
        if not arguments:
            rate = LAW if group == "law_schedule" else "learning_rate"
            raise PlanError(f"{group}: optimizer {optimizer.get('name')} has no {rate} to change")
        found |= {name: dict(given) for name in arguments}
    if not found:
        return dict(optimizer)
    return {**optimizer, KEY: found, "name": f"{optimizer.get('name')}{suffix(found)}"}


def suffix(schedules: Any) -> str:
    """What schedules add to an optimizer's label; nothing where a record has something else.

    >>> suffix({"learning_rate": {"shape": "cosine"}, "law_learning_rate": {"shape": "constant"}})
    ', cosine, warm-up of the law'
    """
    if not isinstance(schedules, Mapping):
        return ""
    known = {name: given for name, given in schedules.items() if isinstance(given, Mapping)}
    words = {name: str(given.get("shape")) for name, given in known.items()}
    of_rates = {shape for name, shape in words.items() if name != LAW}
    told = [f", {shape}" for shape in sorted(of_rates)]
    told += [f", {words[LAW]} of the law"] if LAW in words else []
    return "".join(told).replace("constant", "warm-up")


def check(config: Mapping[str, Any], steps: int) -> None:
    """That the schedules of an optimizer's config are some, of its arguments, over `steps` steps.

    Raises:
      PlanError: they are not.
    """
    given = config.get(KEY) or {}
    if not isinstance(given, Mapping):
        raise PlanError(f"optimizer {config.get('name')}: {KEY}={given!r} must be a mapping")
    for name, settings in given.items():
        where = f"optimizer {config.get('name')}: {KEY}.{name}"
        if name not in config:
            raise PlanError(f"{where}: the optimizer has no argument {name}")
        if (told := read(settings, where).steps) != steps:
            raise PlanError(
                f"{where}.steps={told}, but protocol.steps={steps}; leave it to the protocol"
            )


def over_steps(arguments: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an optimizer, rates replaced by functions of the step where they change."""
    found = dict(arguments)
    for name, settings in (config.get(KEY) or {}).items():
        found[name] = _scaled(found[name], read(settings, f"{KEY}.{name}"))
    return found


def _scaled(peak: Any, schedule: Schedule) -> Callable[[jax.Array], jax.Array]:
    return lambda count: peak * schedule.factor(count)


def check_taken(config: Mapping[str, Any], transformation: Callable[[], Any]) -> None:
    """That an optimizer takes functions of the step for its rates.

    Args:
      config: of the optimizer.
      transformation: builds it.

    Raises:
      PlanError: it does not.
    """
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}

    def step() -> Any:
        tx = optax.with_extra_args_support(transformation())
        return tx.update(params, tx.init(params), params, value=jnp.ones(()))

    try:
        jax.eval_shape(step)
    except Exception as error:  # whatever comes of a function in place of a number
        names = " and ".join(config[KEY])
        label = str(config.get("name")).removesuffix(suffix(config[KEY]))
        raise PlanError(
            f"optimizer {label} takes no schedule: its {names} must be a number "
            f"({type(error).__name__} with a function of the step); train it with schedule=constant"
        ) from error


def words(schedules: Any) -> list[str]:
    """The command line of schedules: names of groups, and numbers.

    Raises:
      PlanError: they are none, as in a record of somebody else's.
    """
    if not isinstance(schedules, Mapping):
        raise PlanError(f"{KEY}={schedules!r} must be a mapping")
    told = []
    for group, is_law in (("schedule", False), ("law_schedule", True)):
        for name, given in schedules.items():
            if (name == LAW) == is_law:
                found = read(given, f"{KEY}.{name}")
                told += [
                    f"{group}={found.shape}",
                    f"{group}.warmup={float(found.warmup)!r}",
                    f"{group}.final={float(found.final)!r}",
                ]
                break
    return told
