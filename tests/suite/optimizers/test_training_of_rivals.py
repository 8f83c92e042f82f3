"""Every rival's config trains a small logistic regression, as one program over its numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite.engine import optimizers
from tests.suite.optimizers.configs import load, traced_defaults

pytestmark = pytest.mark.slow

STEPS = 200
# Whose updates we make ourselves; bf16 of the others is optax's own.
# fmt: off
OURS = [
    "adam_hd", "aggmo", "cautious_adamw", "cautious_lion", "hdm", "mada", "mars_adamw", "qhm",
    "sgd_hd", "soap", "wrap_adam", "wrap_momentum",
]
OPTAXS = [
    "adopt", "dadapt_adamw", "dog", "dowg", "mechanic", "momo", "momo_adam", "muon_split",
    "prodigy", "simplified_ademamix",
]
# fmt: on
_rng = np.random.default_rng(0)
WEIGHTS = _rng.normal(size=(12, 3))
EXAMPLES = np.float32(_rng.normal(size=(256, 12)))
LABELS = np.argmax(EXAMPLES @ WEIGHTS + 0.5 * _rng.normal(size=(256, 3)), axis=1)


def loss(params, batch):
    x, y = jnp.asarray(EXAMPLES)[batch], jnp.asarray(LABELS)[batch]
    logits = x @ params["w"] + params["b"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def trained(static, traced, dtype):
    """(parameters to evaluate with, final state, start state) after 200 steps of 32 examples."""
    tx = optax.with_extra_args_support(optimizers.build(static, traced))
    params = {"w": jnp.zeros((12, 3), dtype), "b": jnp.zeros(3, dtype)}
    params["w"] = params["w"] + jnp.asarray(0.1 * _first(), dtype)
    batches = jnp.asarray(np.random.default_rng(1).integers(0, 256, (STEPS, 32)))

    def step(carry, batch):
        params, state = carry
        value, gradients = jax.value_and_grad(lambda p: loss(p, batch).astype(jnp.float32))(params)
        updates, state = tx.update(gradients, state, params, value=value)
        return (jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates), state), updates

    start = tx.init(params)
    (params, state), updates = jax.lax.scan(step, (params, start), batches)
    return optimizers.evaluation_parameters(static)(state, params), updates


def _first():
    return np.random.default_rng(2).normal(size=(12, 3))


@pytest.mark.parametrize("name", [*OURS, *OPTAXS])
def test_two_points_of_the_grid_train_in_one_program(name):
    static, traced = traced_defaults(load(name))
    both = {k: jnp.stack([v, v]) for k, v in traced.items()}
    both["learning_rate"] = traced["learning_rate"] * jnp.array([0.5, 1.0])
    params, _ = jax.jit(jax.vmap(lambda t: trained(static, t, jnp.float32)))(both)
    everything = np.arange(256)
    before = loss({"w": jnp.float32(0.1 * _first()), "b": jnp.zeros(3)}, everything)
    after = jax.vmap(lambda p: loss(p, everything))(params)
    slow = name in ("cautious_lion", "mechanic", "prodigy", "dadapt_adamw", "dog", "sgd_hd")
    assert np.all(after < (0.999 if slow else 0.95) * before), (before, after)


@pytest.mark.parametrize("name", OURS)
def test_bfloat16_parameters_and_traced_float32_numbers(name):
    """State and updates keep their dtypes through a scan, and the loss falls."""
    static, traced = traced_defaults(load(name))
    strong = {k: jnp.asarray(v, jnp.float32) for k, v in traced.items()}  # as the engine's are
    params, updates = jax.jit(lambda t: trained(static, t, jnp.bfloat16))(strong)
    assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
    everything = np.arange(256)
    before = loss({"w": jnp.float32(0.1 * _first()), "b": jnp.zeros(3)}, everything)
    assert loss(params, everything) < 0.999 * before
