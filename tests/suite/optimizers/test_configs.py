"""Every ``conf/optimizer/*.yaml``: complete, of the promised budget, trained for 20 steps."""

import csv
import inspect
import math
import pkgutil
from pathlib import Path

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rllc
from rllc.suite.engine import optimizers
from rllc.suite.records.identity import RESERVED
from tests.suite.optimizers.configs import CONF, load, traced_defaults

NAMES = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))
STEPS = 20
# Estimate their rate from a first one of about 1e-6: given more steps, at rates near the paper's.
PARAMETER_FREE = ("dadapt_adamw", "dog", "prodigy")


@pytest.mark.parametrize("name", NAMES)
def test_config_is_complete_and_its_target_takes_every_key(name):
    config = load(name)
    assert config["family"] in ("baseline", "rllc", "neighbour")
    assert set(config["grid"]) <= set(config["traced"]) <= set(config)
    for key in config["traced"]:
        if config[key] == "auto":
            assert key in config["untuned"]
            assert key in config["grid"]
    target = pkgutil.resolve_name(config["_target_"])
    arguments = {key: value for key, value in config.items() if key not in RESERVED}
    inspect.signature(target).bind(**arguments)


@pytest.mark.parametrize("name", NAMES)
def test_grid_has_the_promised_number_of_points(name):
    """15 for the paper's baselines, 18 for RLLC (its A.5.2), and 18 for every neighbour."""
    config = load(name)
    points = math.prod(len(set(values)) for values in config["grid"].values())
    assert points == {"baseline": 15, "rllc": 18, "neighbour": 18}[config["family"]]
    for key, value in config["untuned"].items():
        low, high = min(config["grid"][key]), max(config["grid"][key])
        assert low <= value <= high


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_config_trains_a_quadratic_under_jit_and_vmap(name):
    """Two learning rates in one program; each loss falls, as with the rate as a plain number."""
    static, traced = traced_defaults(load(name))
    steps, factors = (STEPS, [0.1, 0.3]) if name not in PARAMETER_FREE else (5 * STEPS, [0.5, 1])
    curvature = {"kernel": jnp.linspace(0.5, 1.5, 12).reshape(4, 3), "bias": jnp.ones(3)}
    start = {"kernel": jnp.ones((4, 3)), "bias": -jnp.ones(3)}
    evaluation_parameters = optimizers.evaluation_parameters(static)

    def loss(params):
        return sum(jax.tree.leaves(jax.tree.map(lambda h, p: jnp.sum(h * p**2), curvature, params)))

    def end(learning_rate):
        tx = optimizers.build(static, {**traced, "learning_rate": learning_rate})
        tx = optax.with_extra_args_support(tx)

        def step(carry, _):
            value, gradients = jax.value_and_grad(loss)(carry[0])
            updates, state = tx.update(gradients, carry[1], carry[0], value=value)
            return (optax.apply_updates(carry[0], updates), state), None

        carry, _ = jax.lax.scan(step, (start, tx.init(start)), length=steps)
        return loss(evaluation_parameters(carry[1], carry[0]))

    rates = traced["learning_rate"] * jnp.array(factors)
    together = jax.jit(jax.vmap(end))(rates)
    assert np.all(together < 0.9999 * loss(start)), together
    if static["family"] != "rllc":  # whose tests hold a traced rate to the oracle
        number = float(rates[1])  # the same arithmetic: rounding of 20 float32 steps
        np.testing.assert_allclose(together[1], jax.jit(lambda: end(number))(), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if load(n)["family"] == "neighbour"])
def test_values_of_the_second_setting_are_different_optimizers(name):
    """An equal budget needs 18 different points: 1,000 noisy steps with gradients of a network's
    size (0.001 each, now more, now less) end further apart for any two values than rounding."""
    config = load(name)
    rate, (second, values) = next(iter(config["grid"])), list(config["grid"].items())[1]
    assert rate == "learning_rate"
    static, traced = traced_defaults(config)
    rng = np.random.default_rng(0)
    sizes = 0.001 * np.exp(rng.normal(size=(1000, 1, 1)))
    noise = np.float32(sizes * rng.normal(size=(1000, 40, 30)))

    def end(value):
        tx = optimizers.build(static, {**traced, second: value})
        tx = optax.with_extra_args_support(tx)

        def step(carry, noise):
            gradients = {"w": 0.001 * (carry[0]["w"] - 1) + noise}
            loss = 0.0005 * jnp.sum((carry[0]["w"] - 1) ** 2)
            updates, state = tx.update(gradients, carry[1], carry[0], value=loss)
            return (optax.apply_updates(carry[0], updates), state), None

        start = {"w": jnp.linspace(-1, 2, 1200).reshape(40, 30)}
        if name == "muon":  # its second setting is for vectors
            start = {"w": start["w"].ravel()}
        shaped = noise.reshape(-1, *start["w"].shape)
        return jax.lax.scan(step, (start, tx.init(start)), shaped)[0][0]["w"]

    ends = np.asarray(jax.jit(jax.vmap(end))(jnp.asarray(values, jnp.float32)))
    for i in range(len(values)):
        for j in range(i):
            assert np.abs(ends[i] - ends[j]).max() > 1e-5, (values[j], values[i])


def test_labels_are_the_papers_and_one_of_a_kind():
    labels = {name: load(name)["name"] for name in NAMES if name != "rllc"}
    assert len(set(labels.values())) == len(labels)
    table = pkgutil.resolve_name("rllc.replication.paper").__file__
    with Path(table).with_name("paper.csv").open() as file:
        assert {row["optimizer"] for row in csv.DictReader(file)} <= set(labels.values())
    for name in NAMES:
        config = load(name)
        if config["family"] == "rllc":
            assert str(rllc.parse(config["propagator"])) == config["name"]


def test_generic_rllc_takes_any_propagator_and_is_labelled_by_it():
    config = load("rllc", "optimizer.propagator='M(0.95)+CM(0.5i)'")
    assert config["name"] == config["propagator"] == "M(0.95)+CM(0.5i)"


def test_glob_finds_every_optimizer_and_no_base():
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        loader = hydra.core.global_hydra.GlobalHydra.instance().config_loader()
        found = loader.get_group_options("optimizer", hydra.core.object_type.ObjectType.CONFIG)
    assert sorted(found) == NAMES


@pytest.mark.parametrize("path", sorted((CONF / "optimizer").rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_setting_says_what_it_means(path):
    """A comment on each line that sets a key, or above a block of them."""
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    for line in lines[1:]:
        key = line.partition(":")[0]
        known = (
            key in ("defaults", "id", "_target_", "propagator", "grid", "untuned")
            or line[:1] in " #"
        )
        assert known or (key == "traced" and path.parent.name != "base") or "# " in line, line
