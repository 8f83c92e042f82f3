"""The transformer against a float64 transcription of its block, and what must hold of any."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from tasks.transformer import Block, Transformer, attend, rotary
from tests.tasks.transformer_in_numpy import block_in_numpy

pytestmark = pytest.mark.slow

CONF = Path(__file__).parents[2] / "conf" / "task" / "text"
RNG = np.random.default_rng(0)
NETWORK = Transformer(width=24, layers=2, heads=3)
TOKENS = RNG.integers(0, 250, (2, 10))


@pytest.fixture(scope="module")
def params():
    started = NETWORK.init(jax.random.key(0), TOKENS, True)["params"]
    # Larger weights than at the start, and scales of their own.
    return jax.tree.map(lambda a: 2 * a if a.ndim == 2 else a + 0.1, started)


def logits(params, tokens):
    return np.asarray(NETWORK.apply({"params": params}, tokens, True))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_block_is_its_transcription_in_float64(ordered):
    block, x = Block(heads=3, scale=0.5, ordered=ordered), RNG.normal(size=(2, 7, 24))
    params = block.init(jax.random.key(1), jnp.asarray(x, jnp.float32))["params"]
    params = jax.tree.map(lambda a: 2 * a if a.ndim == 2 else a + 0.1, params)
    ours = block.apply({"params": params}, jnp.asarray(x, jnp.float32))
    for row, theirs in zip(ours, x, strict=True):
        # float32: sums of 24 and 96 terms, of size 1 to 10
        np.testing.assert_allclose(
            row, block_in_numpy(theirs, params, 3, ordered), rtol=2e-5, atol=2e-5
        )


def test_a_later_byte_changes_no_earlier_logit(params):
    before = logits(params, TOKENS)
    changed = TOKENS.copy()
    changed[:, 6] += 1
    after = logits(params, changed)
    np.testing.assert_array_equal(after[:, :6], before[:, :6])
    assert (np.abs(after[:, 6:] - before[:, 6:]).max(axis=-1) > 1e-3).all()


def test_rotary_products_depend_on_the_distance_alone():
    q, k = (np.broadcast_to(RNG.normal(size=8), (1, 12, 1, 8)) for _ in range(2))
    q, k = (np.asarray(rotary(jnp.asarray(a, jnp.float32)))[0, :, 0] for a in (q, k))
    products = q @ k.T
    for distance in range(-11, 12):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-5)
    assert np.ptp(np.diagonal(products[:, ::-1])) > 0.1  # other distances, other products
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), np.linalg.norm(q[0]), rtol=1e-6)


def test_attention_to_equal_keys_is_the_mean_of_what_was_seen():
    q, v = jnp.ones((1, 5, 1, 4)), jnp.asarray(RNG.normal(size=(1, 5, 1, 4)), jnp.float32)
    means = np.cumsum(v[0, :, 0], axis=0) / np.arange(1, 6)[:, None]
    np.testing.assert_allclose(attend(q, q, v)[0, :, 0], means, atol=1e-6)


def test_the_embedding_is_read_and_written_with(params):
    unseen = 255
    assert unseen not in TOKENS
    lists = [a for a in jax.tree.leaves(params) if NETWORK.vocabulary in a.shape]
    assert len(lists) == 1
    other = {**params, "embedding": params["embedding"].at[unseen].add(1.0)}
    difference = np.abs(logits(other, TOKENS) - logits(params, TOKENS)).max(axis=(0, 1))
    assert difference[unseen] > 0.1  # written: the logit of this byte
    assert not difference[:unseen].any()
    seen = int(TOKENS[0, 0])
    other = {**params, "embedding": params["embedding"].at[seen].add(1.0)}
    difference = np.abs(logits(other, TOKENS) - logits(params, TOKENS)).max(axis=(0, 1))
    assert difference[unseen] > 1e-3  # read: all logits


@pytest.mark.parametrize(
    ("name", "count"),
    # 256 d of the embedding, 12 d² + 2 d a block, d of the last norm
    [("sympy_lm_small", 426_624), ("gcide_lm_small", 426_624), ("sympy_lm", 2_705_856)],
)
def test_number_of_parameters(name, count):
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    network = Transformer(config["width"], config["layers"], config["heads"])
    shapes = jax.eval_shape(network.init, jax.random.key(0), TOKENS, True)
    assert sum(math.prod(a.shape) for a in jax.tree.leaves(shapes)) == count


def test_computing_in_bfloat16_keeps_parameters_and_agrees(params):
    half = Transformer(width=24, layers=2, heads=3, compute_dtype="bfloat16")
    started = half.init(jax.random.key(0), TOKENS, True)["params"]
    assert {a.dtype for a in jax.tree.leaves(started)} == {jnp.dtype("float32")}
    found = half.apply({"params": params}, TOKENS, True)
    assert found.dtype == jnp.bfloat16
    exact = logits(params, TOKENS)
    error = np.asarray(found, np.float32) - exact
    # eight bits a number, through two blocks of doubled weights
    assert np.sqrt((error**2).mean()) < 0.03 * np.sqrt((exact**2).mean())


def test_weights_start_at_the_promised_sizes():
    network = Transformer(width=128, layers=2, heads=4)
    started = network.init(jax.random.key(0), TOKENS, True)["params"]
    stds = {"embedding": 0.02, "qkv": 128**-0.5, "attended": 128**-0.5 / 2, "hidden": 128**-0.5}
    found = {key: block["w"] for key, block in started["block_1"].items() if "w" in block}
    found["embedding"] = started["embedding"]
    for name, std in {**stds, "out": 512**-0.5 / 2}.items():
        assert float(jnp.std(found[name])) == pytest.approx(std, rel=0.03)  # of 16,384 numbers
