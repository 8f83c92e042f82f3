"""The bridge against the real package, with its own training loop on its own interface."""

import importlib.util
import types
from pathlib import Path
from typing import Any

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from omegaconf import OmegaConf

import rllc
import tasks
from rllc.suite import records
from rllc.suite.adapters import learned_optimization as bridge
from rllc.suite.execute import execution
from rllc.suite.plan import plan

if importlib.util.find_spec("learned_optimization") is None:
    pytest.skip(
        "learned_optimization is not installed (make test-learned)", allow_module_level=True
    )

pytestmark = [
    pytest.mark.learned_optimization,
    # Raised inside the package, by the versions of today that it is used with.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CONF = Path(__file__).parents[3] / "conf"
KEY = np.array([0, 7], np.uint32)  # the package takes raw keys


def linear_task(stateful: bool = False) -> tasks.Task:
    """Softmax regression on 8×8 images; its state, if any, counts training steps."""

    def init(key):
        params = {"w": 0.01 * jax.random.normal(key, (64, 10)), "b": jnp.zeros(10)}
        return params, {"steps": jnp.zeros(())} if stateful else {}

    def prepare(batch, key):
        x = batch["x"].astype(jnp.float32) / 255 - 0.5
        if stateful and key is not None:
            x += 0.1 * jax.random.normal(key, x.shape)
        return {**batch, "x": x}

    def apply(params, state, x, train):
        logits = x.reshape(len(x), -1) @ params["w"] + params["b"]
        return logits, {"steps": state["steps"] + train} if stateful else {}

    loss = tasks.cross_entropy(apply)
    return tasks.Task("linear", init, loss, lambda folder: small_data(), tasks.METRICS, prepare)


def small_data(seed: int = 0) -> tasks.Dataset:
    """Noisy prototypes of ten classes; 256, 64 and 64 images."""
    rng = np.random.default_rng(seed)
    prototypes = rng.uniform(0, 255, (10, 8, 8, 1))

    def split(size):
        labels = rng.integers(0, 10, size).astype(np.int32)
        noisy = 0.5 * prototypes[labels] + 0.5 * rng.uniform(0, 255, (size, 8, 8, 1))
        return {"x": noisy.astype(np.uint8), "y": labels}

    return tasks.Dataset(split(256), split(64), split(64))


def own_loop(task: Any, opt: Any, steps: int = 20) -> dict[str, np.ndarray]:
    """The package's own single-task training loop."""
    eval_training = bridge.load("eval_training")
    return eval_training.single_task_training_curves(
        task, opt, num_steps=steps, key=KEY, eval_every=10, eval_batches=2, last_eval_batches=2
    )


def quadratic() -> Any:
    return bridge.load("tasks.quadratics").QuadraticTask()


@pytest.mark.parametrize("stateful", [False, True])
def test_our_task_and_our_optimizer_train_in_its_loop(stateful):
    task = bridge.as_task(linear_task(stateful), small_data(), batch_size=32)
    opt = bridge.as_optimizer(rllc.lm_rllc("M(0.9)+M(0.0)", 0.1, 0.01), name="RLLC")
    curves = own_loop(task, opt)
    first, last = curves["train/loss"][0], curves["train/loss"][-1]
    assert first == pytest.approx(np.log(10), abs=0.3)  # ten classes, nothing learnt yet
    assert last < 0.6 * first
    assert curves["eval/test/accuracy"][-1] > curves["eval/test/accuracy"][0] + 0.3
    assert np.all(np.isfinite(curves["eval/outer_valid/loss_normalized"]))


@pytest.mark.parametrize("name", ["SGD", "SGDM", "Adam"])
def test_its_optimizers_and_ours_behind_its_interface_take_the_same_path(name):
    base = bridge.load("optimizers.base")
    optax_twin = {
        "SGD": optax.sgd(0.1),
        "SGDM": optax.sgd(0.1, 0.9),
        "Adam": optax.adam(0.1, eps=1e-8, eps_root=1e-8),
    }[name]
    theirs = own_loop(quadratic(), getattr(base, name)(0.1))
    ours = own_loop(quadratic(), bridge.as_optimizer(optax_twin))
    np.testing.assert_array_equal(theirs["train/loss"], ours["train/loss"])


def test_every_method_of_the_optimizer_interface():
    opt = bridge.as_optimizer(optax.sgd(0.5), name="SGD half")
    assert isinstance(opt, bridge.load("optimizers.base").Optimizer)
    assert opt.name == "SGD half"
    state = opt.init({"w": jnp.ones(2)}, model_state={"mean": 1.0}, num_steps=10, key=KEY)
    assert opt.get_state(state) == {"mean": 1.0}
    assert opt.get_state(opt.init({"w": jnp.ones(2)}, state={"mean": 3.0})) == {"mean": 3.0}
    state = opt.update(state, {"w": jnp.ones(2)}, loss=1.0, model_state={"mean": 2.0}, key=KEY)
    params, model_state = opt.get_params_state(state)
    np.testing.assert_array_equal(params["w"], [0.5, 0.5])
    assert model_state == {"mean": 2.0}
    assert state.iteration == 1
    assert opt.get_params(opt.set_params(state, "other")) == "other"


def test_the_loss_reaches_transformations_that_read_it():
    """Polyak's step size is the loss over the squared gradient norm: 3 / 2 per unit gradient."""
    opt = bridge.as_optimizer(optax.polyak_sgd(max_learning_rate=10.0))
    state = opt.update(opt.init(jnp.zeros(2)), jnp.ones(2), loss=jnp.float32(3.0))
    np.testing.assert_allclose(opt.get_params(state), [-1.5, -1.5], rtol=1e-6)


def test_its_adam_in_our_engine_is_optax_adam_for_every_traced_rate():
    def end(build, rate):
        tx = build(rate)

        def step(carry, _):
            updates, state = tx.update(2 * carry[0], carry[1], carry[0])
            return (optax.apply_updates(carry[0], updates), state), None

        params = jnp.array([1.0, -2.0])
        return jax.lax.scan(step, (params, tx.init(params)), length=20)[0][0]

    rates = jnp.array([0.01, 0.1])
    theirs = jax.jit(
        jax.vmap(lambda r: end(lambda r: bridge.optimizer("Adam", learning_rate=r), r))
    )
    ours = jax.jit(jax.vmap(lambda r: end(lambda r: optax.adam(r, eps_root=1e-8), r)))
    # A step is handed over as a difference of parameters: one rounding at size 2 per step.
    np.testing.assert_allclose(theirs(rates), ours(rates), atol=20 * 2 * 6e-8)


def test_a_learned_optimizer_in_our_engine_takes_its_own_path():
    """Random meta-parameters; its state is a dataclass, which release 0.0.1 cannot refill."""
    learned = bridge.load("learned_optimizers.adafac_mlp_lopt").AdafacMLPLOpt()
    opt = learned.opt_fn(learned.init(KEY))
    params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
    gradients = [jax.tree.map(lambda p, i=i: p + i, params) for i in range(3)]

    tx = bridge.from_optimizer(opt, num_steps=3)
    ours, state = params, tx.init(params)
    theirs = opt.init(params, num_steps=3, key=KEY)
    for gradient in gradients:
        updates, state = jax.jit(tx.update)(gradient, state, ours)
        ours = optax.apply_updates(ours, updates)
        theirs = opt.update(theirs, gradient, loss=1.0, key=KEY)
    moved = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), ours, params)
    assert min(jax.tree.leaves(moved)) > 0
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(opt.get_params(theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)  # jit against eager, differences


def test_its_task_and_its_optimizer_train_in_our_engine(tmp_path):
    """Through configurations, as from the command line: two rates in one program."""
    task = compose("task=external/learned_optimization").task
    optimizer = compose("optimizer=external/learned_optimization").optimizer
    protocol = {"steps": 40, "eval_every": 40, "batch_size": 32, "data": "synthetic"}
    runs = [
        plan.make_run(task, {**optimizer, "learning_rate": rate}, 0, protocol)
        for rate in (0.001, 0.003)
    ]
    options = execution.Options(tmp_path / "records", progress=False)
    (group,) = execution.prepare(runs, options)
    assert execution.execute_group(group, options).error is None
    recorded = records.load(tmp_path / "records")
    assert set(recorded.runs.optimizer) == {"Adam of learned_optimization"}
    curves = recorded.curves.pivot(index="run", columns="step", values="test_loss")
    assert (curves[40] < 0.9 * curves[0]).all()


def compose(override: str) -> Any:
    """The project's configuration with one override, resolved."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        resolved: Any = OmegaConf.to_container(hydra.compose(overrides=[f"+{override}"]))
    return types.SimpleNamespace(**resolved)


def test_an_unknown_optimizer_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown optimizer 'Adamm'; known are .*Adam, "):
        bridge.optimizer("Adamm")


def test_our_task_keeps_its_statistics_and_its_order():
    task = bridge.as_task(linear_task(stateful=True), small_data(), batch_size=32, seed=3)
    params, state = task.init_with_state(KEY)
    batch = next(task.datasets.train)
    again = next(bridge.as_task(linear_task(), small_data(), 32, seed=3).datasets.train)
    np.testing.assert_array_equal(batch["image"], again["image"])
    loss, state = task.loss_with_state(params, state, KEY, batch)
    assert state["steps"] == 1
    assert loss != task.loss_with_state(params, state, KEY + 1, batch)[0]  # augmented by the key
    assert jax.tree.map(jnp.shape, task.datasets.abstract_batch["label"]) == (32,)
    assert task.normalizer(jnp.nan) == pytest.approx(1.5 * np.log(10))
    with pytest.raises(ValueError, match="batch statistics"):
        task.loss(params, KEY, batch)
    epoch = [next(task.datasets.inner_valid)["label"] for _ in range(2)]
    np.testing.assert_array_equal(
        np.sort(np.concatenate(epoch)), np.sort(small_data().validation["y"])
    )


def test_a_split_smaller_than_a_batch_is_refused():
    with pytest.raises(ValueError, match="validation has 64 examples"):
        bridge.as_task(linear_task(), small_data(), batch_size=128)


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("ImageMLP_Mnist_128x128x128_Relu", "mnist"),
        ("ImageMLP_FashionMnist8_Relu32", "fashion_mnist"),
        ("ImageMLP_Cifar10_128x128x128_BatchNorm_Tanh", "cifar10"),
        ("Conv_Cifar10_16_32x64x64", "cifar10"),
        ("Conv_Cifar10_32x64x64_batchnorm", "cifar10"),
    ],
)
def test_its_fixed_tasks_have_the_same_loss_and_gradient_in_our_engine(name, dataset):
    task = bridge.from_task(name)
    assert (task.name, task.synthetic().name) == (name, dataset)
    their, _ = bridge.fixed_tasks._make(name)
    rng = np.random.default_rng(0)
    shape = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}[dataset]
    images, labels = rng.integers(0, 256, (16, *shape), np.uint8), rng.integers(0, 10, 16)
    params, state = task.init(jax.random.key(0))
    batch = task.prepare({"x": images, "y": labels}, None)
    x = batch["x"]
    assert x.shape[1:] == their.datasets.abstract_batch["image"].shape[1:]

    def ours(params):
        return task.loss(params, state, batch, KEY, True)[0]

    def theirs(params):
        return their.loss_with_state(params, state, KEY, {"image": x, "label": labels})[0]

    mine, reference = jax.value_and_grad(ours)(params), jax.value_and_grad(theirs)(params)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(reference), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # two forms of log-softmax


@pytest.mark.parametrize("name", ["ImageMLP_FashionMnist8_Relu32", "Conv_Cifar10_32x64x64"])
def test_pixels_are_prepared_as_in_its_own_pipeline(name):
    pipeline = bridge.load("tasks.datasets.base")._image_map_fn
    task = bridge.from_task(name)
    shape = (4, *task.synthetic().train["x"].shape[1:])
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    ours = task.prepare({"x": images}, None)["x"]
    settings = {"image_size": ours.shape[1:3], "stack_channels": 1, "normalize_mean": None}
    settings |= {"aug_flip_left_right": False, "aug_flip_up_down": False}
    theirs = pipeline(settings, {"image": images, "label": np.zeros(4)})["image"]
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-6)  # two bilinear resizes


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ImageMLP_Mnist", "unknown task 'ImageMLP_Mnist'; known are"),
        ("ImageMLP_Imagenet16_Relu256x256x256", "trains on imagenet16; ours are mnist"),
        ("ImageMLP_Cifar10_128x128x128_Relu_MSE", "is not the cross-entropy"),
    ],
)
def test_tasks_that_our_engine_cannot_train_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        bridge.from_task(name)
    image = bridge.load("tasks.datasets.image")
    assert image.mnist_datasets.__module__ != "rllc.suite.adapters.learned_optimization.fixed_tasks"
