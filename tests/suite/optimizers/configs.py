"""The optimizers' configs as the engine gets them."""

import functools
from pathlib import Path
from typing import Any

import hydra
import jax
import jax.numpy as jnp
from omegaconf import OmegaConf

from rllc.suite.plan.plan import make_run

CONF = Path(__file__).parents[3] / "conf"


@functools.cache
def load(name: str, *overrides: str) -> dict[str, Any]:
    """The resolved config of one optimizer, as Hydra composes it; `rllc` has M(0.9) unless told."""
    if name == "rllc" and not overrides:
        overrides = ("optimizer.propagator='M(0.9)'",)
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose(overrides=[f"+optimizer={name}", *overrides])
    resolved: Any = OmegaConf.to_container(config.optimizer, resolve=True, throw_on_missing=True)
    return resolved


def traced_defaults(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, jax.Array]]:
    """(static part, traced numbers) of a config at its untuned values, as the engine plans them."""
    run = make_run({"name": "quadratic", "_target_": "none"}, config, seed=0)
    return run.optimizer, {key: jnp.asarray(value) for key, value in run.traced.items()}
