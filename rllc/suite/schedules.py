"""Schedules of rates: factors over the steps of a run, by which a rate's peak is multiplied.

In an optimizer's config ``schedules`` maps arguments of its target, such as ``learning_rate``, to
settings of `Schedule`. The peak stays what it was, a traced number, so a grid of rates is one
program. How many steps a run has is the protocol's; a schedule repeats it, and is refused if it
says something else.

Hydra's groups give the settings: ``schedule``, and others called ``…_schedule``. Which arguments a
group moves is said by the optimizer's config, under ``scheduled``; ``schedule`` moves every other
``…learning_rate``, unless it is listed there itself.

Step t counts from 0; of T steps the first W = round(warmup · T) warm up, with the factor
(t + 1) / W; then x = (t - W) / (T - W) goes from 0 to just below 1:

- constant: 1;
- linear: 1 - (1 - final) x;
- cosine: final + (1 - final) (1 + cos πx) / 2 (Loshchilov & Hutter 2017, equation 5).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rllc.suite.errors import PlanError

SHAPES = ("constant", "cosine", "linear")
KEY = "schedules"  # of an optimizer's config: argument -> settings
SCHEDULED = "scheduled"  # of an optimizer's config: group -> arguments that it moves
REST = "schedule"  # the group that moves what no other does
GROUP = re.compile(r"(\w+_)?schedule")


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
    if found.shape == "constant" and found.final != 1:
        raise PlanError(
            f"{where}.final={found.final} is for a rate that falls: shape cosine or linear; with "
            "constant it stays"
        )
    if found.warm_steps >= found.steps:
        raise PlanError(
            f"{where}.warmup={found.warmup} leaves none of {found.steps} steps after the warm-up"
        )
    return found


def moved(optimizer: Mapping[str, Any]) -> dict[str, list[str]]:
    """Group -> the arguments of an optimizer that it moves.

    >>> moved({"learning_rate": 1, "warm_learning_rate": 1, "scheduled": {"b_schedule": ["b"]}})
    {'schedule': ['learning_rate', 'warm_learning_rate'], 'b_schedule': ['b']}

    Raises:
      PlanError: ``scheduled`` in its config is no such mapping.
    """
    told = optimizer.get(SCHEDULED) or {}
    where = f"optimizer {optimizer.get('name')}: {SCHEDULED}"
    if not isinstance(told, Mapping) or not all(isinstance(v, list | tuple) for v in told.values()):
        raise PlanError(f"{where}={told!r} must map groups to lists of arguments")
    for group in told:
        if not is_group(group):
            raise PlanError(f"{where}.{group}: a group is called {REST} or …_{REST}")
    taken = {name for names in told.values() for name in names}
    rest = [key for key in map(str, optimizer) if key.endswith("learning_rate")]
    found = {REST: [key for key in rest if key not in taken]}
    return found | {str(group): list(map(str, names)) for group, names in told.items()}


def is_group(name: Any) -> bool:
    """Whether a key of the configuration is that of a schedule.

    >>> [is_group(name) for name in ("schedule", "law_schedule", "schedules", "x.schedule")]
    [True, True, False, False]
    """
    return isinstance(name, str) and bool(GROUP.fullmatch(name))


def applied(optimizer: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's config under schedules: ``schedules`` and the label tell.

    Args:
      optimizer: config; where nothing changes over time it comes back as it is.
      given: settings by group; None for none.

    Raises:
      PlanError: see `read` and `moved`; or the optimizer has no such argument.
    """
    arguments = moved(optimizer)
    _check_arguments(optimizer, arguments)
    found: dict[str, Any] = {}
    for group, settings in sorted(given.items(), key=lambda item: item[0] != REST):
        if settings is None or read(settings, group).is_trivial:
            continue
        if not arguments.get(group):
            raise PlanError(
                f"{group}: optimizer {optimizer.get('name')} has nothing that it would move"
                + (f"; its `{SCHEDULED}` names no argument for it" if group != REST else "")
            )
        found |= {name: dict(settings) for name in arguments[group]}
    if not found:
        return dict(optimizer)
    scheduled = {**optimizer, KEY: found}
    return scheduled | {"name": f"{optimizer.get('name')}{suffix(scheduled)}"}


def _check_arguments(optimizer: Mapping[str, Any], arguments: Mapping[str, list[str]]) -> None:
    for group, names in arguments.items():
        for name in names:
            if name not in optimizer:
                where = f"optimizer {optimizer.get('name')}: {SCHEDULED}.{group}"
                raise PlanError(f"{where} names {name!r}, which is no argument of it")


def _by_group(optimizer: Mapping[str, Any]) -> dict[str, list[tuple[Any, Any]]]:
    """Group -> (argument, settings) of what it moves, `REST` first; of a record, too.

    Raises:
      PlanError: see `moved`, and for ``schedules`` that are none, as in somebody else's record.
    """
    schedules = optimizer.get(KEY) or {}
    if not isinstance(schedules, Mapping):
        raise PlanError(f"{KEY}={schedules!r} must be a mapping")
    group_of = {name: group for group, names in moved(optimizer).items() for name in names}
    found: dict[str, list[tuple[Any, Any]]] = {}
    for name, settings in schedules.items():
        found.setdefault(group_of.get(name, REST), []).append((name, settings))
    return dict(sorted(found.items(), key=lambda item: item[0] != REST))


def suffix(optimizer: Mapping[str, Any]) -> str:
    """What schedules add to an optimizer's label.

    >>> one, two = ({"shape": shape} for shape in ("cosine", "constant"))
    >>> scheduled = {"law_schedule": ["law_rate"]}
    >>> suffix({"schedules": {"learning_rate": one, "law_rate": two}, "scheduled": scheduled})
    ', cosine, warm-up of the law'

    Raises:
      PlanError: see `words`.
    """
    told = []
    for group, members in _by_group(optimizer).items():
        shapes = {str(given.get("shape")) for _, given in members if isinstance(given, Mapping)}
        of = "" if group == REST else f" of the {group.removesuffix(f'_{REST}')}"
        told += [f", {shape}{of}" for shape in sorted(shapes)]
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


def not_taken(config: Mapping[str, Any], error: Exception) -> PlanError:
    """What to raise for an optimizer that fails only with functions of the step for its rates.

    Args:
      config: of the optimizer.
      error: how it fails; whatever comes of a function in place of a number.
    """
    names = " and ".join(config[KEY])
    label = str(config.get("name")).removesuffix(suffix(config))
    return PlanError(
        f"optimizer {label} takes no schedule: its {names} must be a number "
        f"({type(error).__name__} with a function of the step); train it with schedule=constant"
    )


def words(optimizer: Mapping[str, Any]) -> list[str]:
    """The command line of an optimizer's schedules: names of groups, and numbers.

    Raises:
      PlanError: they are none, as in a record of somebody else's.
    """
    told = []
    for group, members in _by_group(optimizer).items():
        name, settings = members[0]
        found = read(settings, f"{KEY}.{name}")
        told += [
            f"{group}={found.shape}",
            f"{group}.warmup={float(found.warmup)!r}",
            f"{group}.final={float(found.final)!r}",
        ]
    return told
