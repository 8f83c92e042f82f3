"""From a composed Hydra configuration to runs and options."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rllc.suite import schedules
from rllc.suite.choose import selection
from rllc.suite.errors import PlanError, first_words
from rllc.suite.plan.plan import Run, make_run
from rllc.suite.plan.remembered import remembered
from rllc.suite.records.roles import SEEDS, UNTUNED

# What a composed configuration has beside schedules.
KEYS = (
    "task", "optimizer", "protocol", "seed", "role", "records", "force", "yes", "group_size",
    "devices", "data_folder", "logger",
)  # fmt: skip
# Beside the configs of a checkout; an installed wheel has neither.
CHOICES = Path(__file__).parents[3] / "results" / "tuning" / "choices.csv"


def run_of(
    cfg: DictConfig, tuned: Mapping[Any, Any] | None = None, seeds: Mapping[str, Any] = SEEDS
) -> Run:
    """Checks and resolves one job.

    Args:
      cfg: composed.
      tuned: hyperparameters by (task, optimizer label); None reads the committed choices.
      seeds: of each role.

    Raises:
      PlanError: see `plan.make_run`; also a mandatory value that was not given, or a key that
        nobody would read.
    """
    keys = ["task", "optimizer", "seed", "protocol", "role"]
    _check_keys(map(str, cfg))
    if missing := [key for key in keys if key not in cfg]:
        raise PlanError(f"the configuration has no {missing[0]}; it was deleted from it")
    try:
        groups = _schedules(cfg)
        ours = OmegaConf.masked_copy(cfg, [*keys, *groups])
        plain: Any = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    except Exception as error:  # OmegaConf's messages name the key
        raise PlanError(_in_words(error)) from None
    known = tuned_values() if tuned is None else tuned
    task, optimizer, seed, protocol, role = (plain[key] for key in keys)
    if isinstance(optimizer, Mapping):
        optimizer = schedules.applied(optimizer, {key: plain[key] for key in groups})
    return make_run(task, optimizer, seed, protocol, known, role, seeds)


def _check_keys(keys: Iterable[str]) -> None:
    for key in keys:
        if key not in (*KEYS, "hydra") and not schedules.is_group(key):
            near = get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise PlanError(
                f"{key} is no setting; {hint}an optimizer's arguments are optimizer.{key} and the "
                f"like, the others {', '.join(KEYS)}"
            )


def _schedules(cfg: DictConfig) -> list[str]:
    """Config groups that are schedules."""
    return [key for key in map(str, cfg) if schedules.is_group(key)]


def label_of(cfg: DictConfig) -> str:
    """Label in the tables of a composed config's optimizer, schedules told.

    Raises:
      PlanError: see `schedules.applied`, and a mandatory value that was not given.
    """
    try:
        given = {
            key: OmegaConf.to_container(cfg[key], resolve=True) if cfg.get(key) else None
            for key in _schedules(cfg)
        }
        told = OmegaConf.to_container(cfg.optimizer.get(schedules.SCHEDULED) or OmegaConf.create())
        names = {"name": str(cfg.optimizer.name), schedules.SCHEDULED: told}
        config = dict.fromkeys(map(str, cfg.optimizer)) | names
    except Exception as error:  # OmegaConf's messages name the key
        raise PlanError(_in_words(error)) from None
    return str(schedules.applied(config, given)["name"])


def _in_words(error: Exception) -> str:
    """What OmegaConf says, but plainly where a value has to be given."""
    text = str(error).splitlines()[0]
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if not missing:
        return text
    example = " (such as 'M(0.95)+CM(0.5i)')" if missing[1].endswith("propagator") else ""
    return f"{missing[1]} has to be given: {missing[1]}=…{example}"


def untuned_note(cfgs: Sequence[DictConfig], tuned: Mapping[Any, Any] | None = None) -> str:
    """One line naming the cells whose ``auto`` rates are defaults, not tuned; empty if none."""
    known = tuned_values() if tuned is None else tuned
    cells = {
        f"{label_of(cfg)} on {cfg.task.name}"
        for cfg in cfgs
        if cfg.get("role") != UNTUNED
        and "auto" in [cfg.optimizer.get(key) for key in cfg.optimizer.traced]
        and (cfg.task.name, label_of(cfg)) not in known
    }
    if not cells:
        return ""
    return f"not tuned yet, `auto` means the config's `untuned` values: {', '.join(sorted(cells))}"


class Conf(NamedTuple):
    """Folders of configs: the suite's, and a study's own, which adds to it.

    Attributes:
      main: has ``config.yaml``.
      further: folders with groups such as ``optimizer`` and ``task``.
    """

    main: Path
    further: tuple[Path, ...] = ()

    @classmethod
    def of(cls, conf: "Conf | Path") -> "Conf":
        """`conf`, or that folder alone."""
        return conf if isinstance(conf, Conf) else cls(conf)

    def names(self, group: str, like: str = "") -> list[str]:
        """Options of a config group, such as every optimizer.

        Args:
          group: such as optimizer.
          like: an option; ``text/…`` adds those of the sub-folder ``text``.
        """
        return sorted(self._files(group, like))

    def file(self, group: str, name: str) -> Path:
        """Where an option of a group stands; ``text/sympy_lm`` is one of a sub-folder."""
        return self._files(group, name)[name]

    def has(self, group: str, name: str) -> bool:
        """Whether a group has an option of this name, in a sub-folder or not."""
        return name in self.names(group, name)

    def task(self, name: str) -> str:
        """Label in the records of a task's config."""
        own = self._own("task", name)
        return str(own.get("name", name)) if _says(own, "name") else self._composed("task", name)

    def task_called(self, label: str) -> str:
        """Name of the config of a task with this label in the records, of a sub-folder too.

        Raises:
          PlanError: there is none.
        """
        named = {self.task(name): name for name in reversed(self.names("task"))}
        if label in named:
            return named[label]
        for folder in (self.main, *self.further):
            for path in sorted((folder / "task").rglob("*.yaml")):
                name = path.relative_to(folder / "task").with_suffix("").as_posix()
                if label == self.task(name):
                    return name
        return self.check_names("task", [label])[0]

    def label(self, optimizer: str) -> str:
        """Label in the tables of an optimizer's config."""
        own = self._own("optimizer", optimizer)
        if not _says(own, "name", "propagator"):
            return self._composed("optimizer", optimizer)
        return str(own.get("name", own.get("propagator", optimizer)))

    def _own(self, group: str, name: str) -> dict[str, Any]:
        loaded = OmegaConf.load(self.file(group, name))
        config: dict[str, Any] = OmegaConf.to_container(loaded, resolve=False)  # type: ignore[assignment]
        return config

    def _composed(self, group: str, name: str) -> str:
        """The ``name`` that a config gets from those it inherits or refers to."""
        try:
            return str(compose(self, [f"{group}={name}"])[group].name)
        except OmegaConfBaseException as error:
            raise PlanError(f"{group} {name}: {_in_words(error)}") from None

    def labels(self) -> dict[str, str]:
        """Label in the tables -> name, for every optimizer config."""
        found: dict[str, str] = {}
        for name in self.names("optimizer"):
            found.setdefault(self.label(name), name)
        return found

    def _files(self, group: str, name: str = "") -> dict[str, Path]:
        """Files of a config group by name: those of its folder, and of the sub-folder of `name`.

        Raises:
          PlanError: two folders have an option of the same name.
        """
        found: dict[str, Path] = {}
        for folder in (self.main, *self.further):
            beside = name.rpartition("/")[0]
            plain = re.fullmatch(r"[\w-]+(/[\w-]+)*", beside)  # no way out of the group
            inside = (folder / group / beside).glob("*.yaml") if plain else []
            for path in sorted([*(folder / group).glob("*.yaml"), *inside]):
                called = path.relative_to(folder / group).with_suffix("").as_posix()
                if called in found:
                    raise PlanError(
                        f"{path} has the name of {found[called]}; call it by another one"
                    )
                found[called] = path
        return found

    def check_names(self, group: str, wanted: Sequence[str]) -> list[str]:
        """The wanted options; for an empty list all that need no further word.

        Raises:
          PlanError: an option that does not exist; the message names the nearest.
        """
        known = self.names(group)
        for name in wanted:
            if name not in known and not self.has(group, name):
                near = get_close_matches(name, self.names(group, name), 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise PlanError(f"unknown {group} {name!r}; {hint}known are {', '.join(known)}")
        if wanted:
            return list(wanted)
        return [n for n in known if group != "optimizer" or self.label(n) != "???"]


def _says(own: Mapping[str, Any], *keys: str) -> bool:
    """Whether a config need not be composed to know its name: it has one of the keys, plainly.

    A key but ``name`` says it only beside the suite's bases, which name by it.
    """
    key = next((key for key in keys if key in own), None)
    parents = [str(entry) for entry in own.get("defaults", []) if entry != "_self_"]
    if key is None:
        return not parents
    inherits = any(not parent.startswith("base/") for parent in parents)
    return "${" not in str(own[key]) and (key == "name" or not inherits)


def compose(conf: Conf | Path, overrides: Sequence[str]) -> DictConfig:
    """Composes ``config.yaml`` as ``scripts/train.py`` would.

    Raises:
      PlanError: Hydra's first line on what is wrong with the overrides.
    """
    main, further = Conf.of(conf)
    return remembered((main, *further), overrides, lambda: _composed(main, further, overrides))


def _composed(main: Path, further: Sequence[Path], overrides: Sequence[str]) -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException

    words = list(overrides)
    if further:
        words.append(f"hydra.searchpath=[{','.join(f'file://{f.resolve()}' for f in further)}]")
    with initialize_config_dir(str(main.resolve()), version_base="1.3"):
        try:
            return hydra_compose("config", words)
        except Exception as error:  # Hydra's own, and those of its parser and of OmegaConf
            from rllc.suite.plan.suggestions import did_you_mean

            from_hydra = isinstance(error, HydraException)
            meant = did_you_mean(Conf(main, tuple(further)), words) if from_hydra else ""
            ours = str(error) if from_hydra else first_words(error)
            raise PlanError(meant or " ".join(ours.split())) from None


def jobs(words: Sequence[str]) -> Iterable[tuple[str, ...]]:
    """Every combination of the values of sweep words; of equal keys the last counts.

    Args:
      words: as on the command line of a multirun, ``seed=0,1``.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = {o.get_key_element(): o for o in OverridesParser.create().parse_overrides(list(words))}
    values = [
        list(o.sweep_string_iterator()) if o.is_sweep_override() else [o.get_value_element_as_str()]
        for o in parsed.values()
    ]
    keys = list(parsed)
    for point in itertools.product(*values):
        yield tuple(f"{key}={value}" for key, value in zip(keys, point, strict=True))


def tuned_values(path: Path = CHOICES) -> dict[tuple[str, str], dict[str, float]]:
    """Tuned hyperparameters by (task, optimizer label); empty if nothing is tuned yet."""
    return selection.chosen_rates(selection.read_choices(path)) if path.exists() else {}
