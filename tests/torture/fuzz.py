"""Propagators and overrides of all kinds: a value, or one line of ours; no traceback, no hang."""

import math
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import rllc
from rllc.suite.engine import capacity, optimizer_check, task_check
from rllc.suite.errors import PlanError, RecordsError
from rllc.suite.execute import execution
from rllc.suite.plan import configuration
from tests.torture.trials import Trial, generator, in_time, side_by_side

CONF = Path(__file__).parents[2] / "conf"
SECONDS_AT_MOST = 20
LONGEST = 1500  # letters of a message
ACCEPTED, REFUSED = "a value", "refused in one line"

BLOCKS = (
    "M(0.9)",
    "M2(0.6)",
    "M_3(−0.6)",
    "CM(0.3+0.2i)",
    "CM2(.5i)",
    "M(0)",
    "M₂(1e-3)",
    "CM(-j)",
)
LETTERS = [
    *"MC()+-.0123456789eij_ ⊕₂−\t\n'\"\\$\x00é∞",
    "nan",
    "inf",
    "1e999",
    "9" * 40,
    "  " * 500,
]

WORDS = {
    "optimizer": ("rllc", "adam", "m_0.9", "wrap_adam", "nowhere", "base/rllc", "", "../x", "[a]"),
    "task": ("mnist_mlp", "cifar10_resnet20", "nowhere", "external/learned_optimization", "{}"),
    "protocol": ("rehearsal", "paper", "x", "null"),
    "experiment": ("table1", "null", "x"),
}
NUMBERS = (
    "0.1", "0", "-0.1", "1e20", "1e39", "1e300", "1e-50", "nan", "inf", "-inf", "auto", "null",
    "true", "abc", "[]", "[0.1]", "[1,1]", "[1e300,0]", "{a: 1}", "''", "1_0", "0x10",
    "99999999999", "999999999999999999999", "1.5", "ones", "mean",
    "${seed}", "${nowhere}", "${oc.env:HOME}",
    "'a\nb'", "é", "x" * 300, "leaf", "bfloat16", "int32", "float99", "recursive", "updated",
    "relative", "[0,null]", "[2,1]", "$", "?", "???", "a=b", "(", "choice(1,2)", "range(3)",
)  # fmt: skip
KEYS = (
    "optimizer.learning_rate", "optimizer.law_learning_rate", "optimizer.initial_law",
    "optimizer.epsilon", "optimizer.epsilon_mode", "+optimizer.gram", "+optimizer.law_groups",
    "+optimizer.law_bounds", "+optimizer.max_correction", "+optimizer.max_law_step",
    "+optimizer.max_gradient_ratio", "+optimizer.memory_dtype", "+optimizer.correct_with",
    "optimizer.name", "optimizer.traced", "+optimizer.grid", "+optimizer.probes", "+optimizer.x",
    "optimizer._target_", "optimizer.id", "+optimizer.arguments", "optimizer.canonical",
    "protocol.steps", "protocol.batch_size", "protocol.eval_every", "protocol.law_every",
    "protocol.data", "+protocol.x", "seed", "role", "group_size", "force", "records",
    "devices", "devices.data",
    "task.name", "task._target_", "task.initialisation", "task.pooling", "+task.x", "+x", "~seed",
    "~optimizer", "++seed", "hydra.x", "", "seed.x", "task",
)  # fmt: skip


def propagator(rng: np.random.Generator) -> str:
    """A notation, more or less spoilt."""
    text = "+".join(rng.choice(BLOCKS, size=rng.integers(1, 5)))
    for _ in range(int(rng.integers(0, 6))):
        at = int(rng.integers(len(text) + 1))
        end = int(rng.integers(at, len(text) + 1))
        change = rng.integers(4)
        if change == 0:
            text = text[:at] + str(rng.choice(LETTERS)) + text[at:]
        elif change == 1:
            text = text[:at] + text[min(at + 1, len(text)) :]
        elif change == 2:
            text = text[:at] + text[at:end] * int(rng.integers(1, 40)) + text[end:]
        else:
            text = text[at:] + text[:at]
    return text


def read(text: str) -> str:
    """The notation read, printed and read again; "" where that is the same.

    Raises:
      ValueError: it cannot be read.
    """
    found = rllc.parse(text)
    again = rllc.parse(str(found))
    same = np.array_equal(found.transition, again.transition)
    if not same or not np.array_equal(found.injection, again.injection):
        return f"{text!r} is printed as {found}, which is another one"
    size = math.prod(found.transition.shape)
    return "" if size <= 64**2 else f"{text!r} has {size} numbers"


def override(rng: np.random.Generator) -> list[str]:
    """A few words of a command line."""
    words = []
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.25:
            key = str(rng.choice(list(WORDS)))
            words.append(f"{key}={rng.choice(WORDS[key])}")
        else:
            words.append(f"{rng.choice(KEYS)}={rng.choice(NUMBERS)}")
    return words


def planned(words: list[str]) -> str:
    """What scripts/train.py checks of its words before it looks at data.

    Raises:
      PlanError, RecordsError: it would refuse them.
    """
    cfg = configuration.compose(CONF, words)
    run = configuration.run_of(cfg)
    execution.options_of(cfg)
    capacity.check_noted(run)
    params, _ = task_check.start(execution.make_task(run), run.task["name"])
    optimizer_check.check_optimizer(run.optimizer, run.traced, params)
    numbers = [run.traced[key] for key in run.traced]
    finite = all(np.isfinite(np.float32(number)).all() for number in numbers)
    return "" if finite else f"traced numbers {numbers} are taken"


def trial(fault: str, use: Callable[[Any], str], given: Any, ours: tuple[type, ...]) -> Trial:
    """One input; its outcome is a value, or one line."""
    try:
        with in_time(SECONDS_AT_MOST), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # memory that does not decay is said, and allowed
            lost = use(given)
    except ours as error:
        text = str(error)
        unclear = "\n" in text or not text or len(text) > LONGEST
        return Trial(fault, REFUSED, f"{given!r:.300}: not one line: {text!r:.900}" * unclear)
    except BaseException:
        return Trial(fault, "", f"{given!r:.300}: {traceback.format_exc()[-1200:]}")
    return Trial(fault, ACCEPTED, lost)


def _numbered(item: tuple[str, int, int]) -> Trial:
    kind, seed, i = item
    rng = generator("fuzz", seed, i)
    if kind == "propagator":
        return trial("a fuzzed propagator", read, propagator(rng), (ValueError,))
    return trial("fuzzed overrides", planned, override(rng), (PlanError, RecordsError))


def run(seed: int, scale: float, place: Path) -> Iterator[Trial]:
    """All inputs."""
    counts = {"override": round(1400 * scale), "propagator": round(8600 * scale)}
    items = [(kind, seed, i) for kind, count in counts.items() for i in range(count)]
    return side_by_side(_numbered, items, place / "fuzz.jsonl")
