"""VeLO (Metz et al. 2022), the pretrained learned optimizer, from weights on disk."""

from pathlib import Path
from typing import Any

import optax

from rllc.suite.adapters.learned_optimization.optimizers import from_optimizer
from rllc.suite.adapters.learned_optimization.package import load

FILES = ("params", "config.gin")
WEIGHTS_ADVICE = (
    "VeLO needs its weights: give weights=FOLDER with the files params and config.gin of a "
    "pretrained optimizer, as its authors publish them (they are not downloaded from here)"
)
PACKAGE_ADVICE = (
    "the installed learned_optimization has no VeLO: its release 0.0.1 lacks "
    "research.general_lopt; install the package from its source repository"
)


def velo(
    weights: str | None,
    num_steps: int = 10_000,
    learning_rate: Any = 1.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """The pretrained optimizer VeLO as an optax transformation.

    It reads the loss: the training loop must call ``update(..., params, value=loss)``.

    Args:
      weights: folder with ``params`` (a checkpoint) and ``config.gin`` (its configuration).
      num_steps: length of the run, which VeLO plans for.
      learning_rate: multiplies its step; 1 is VeLO as trained. May be traced.
      weight_decay: of its own wrapper; its authors suggest 1e-6 where it is unstable.

    Raises:
      ValueError: no weights given.
      FileNotFoundError: the folder or one of its files is missing.
      ImportError: learned_optimization is missing, or has no VeLO.
    """
    checkpoint = _checkpoint(weights)
    prefab, from_checkpoint = _modules()
    opt = prefab.LearnedOptimizer(
        num_steps,
        weight_decay=weight_decay,
        base_lopt_fn=lambda: from_checkpoint.opt_from_checkpoint(str(checkpoint)),
    )
    return optax.chain(from_optimizer(opt, num_steps, reads_loss=True), optax.scale(learning_rate))


def _checkpoint(weights: str | None) -> Path:
    if not weights:
        raise ValueError(WEIGHTS_ADVICE)
    folder = Path(weights).expanduser()
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"no {' and no '.join(missing)} in weights={folder}; {WEIGHTS_ADVICE}"
        )
    return folder.resolve() / FILES[0]


def _modules() -> tuple[Any, Any]:
    """Its prefab and checkpoint modules; the first registers VeLO with gin, so it comes first."""
    load("optimizers.base")
    try:
        return load("research.general_lopt.prefab"), load("learned_optimizers.opt_from_checkpoint")
    except ImportError as error:
        if (error.name or "").startswith("learned_optimization"):
            raise ImportError(PACKAGE_ADVICE, name=error.name) from error
        raise
