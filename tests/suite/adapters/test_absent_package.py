"""The bridge where learned_optimization is absent, or has no VeLO: clear errors, no imports."""

import subprocess
import sys
import types

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rllc.suite.adapters import learned_optimization as bridge

PACKAGE = "learned_optimization"


@pytest.fixture
def absent(monkeypatch):
    """Makes ``import learned_optimization`` fail, installed or not."""
    for name in [n for n in sys.modules if n.partition(".")[0] == PACKAGE]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, PACKAGE, None)


@pytest.mark.slow
def test_importing_the_bridge_imports_no_framework():
    code = (
        "import sys, rllc.suite.adapters.learned_optimization\n"
        "heavy = {'learned_optimization', 'tensorflow', 'haiku', 'gin', 'flax', 'hydra'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "use",
    [
        lambda: bridge.as_optimizer(optax.sgd(0.1)),
        lambda: bridge.as_task(None, None),
        lambda: bridge.from_task("ImageMLP_Mnist_128x128x128_Relu"),
        lambda: bridge.optimizer("Adam"),
    ],
    ids=["as_optimizer", "as_task", "from_task", "optimizer"],
)
def test_a_missing_package_names_the_way_to_get_it(absent, use):
    with pytest.raises(ImportError, match="make test-learned"):
        use()


def test_velo_without_weights_says_what_they_are():
    with pytest.raises(ValueError, match=r"weights=FOLDER .* params and config\.gin"):
        bridge.velo(weights=None)


def test_velo_names_the_missing_files(tmp_path):
    (tmp_path / "params").touch()
    with pytest.raises(FileNotFoundError, match=rf"no config\.gin in weights={tmp_path}"):
        bridge.velo(weights=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no params and no config\.gin"):
        bridge.velo(weights=str(tmp_path / "elsewhere"))


@pytest.fixture
def weights(tmp_path):
    for name in ("params", "config.gin"):
        (tmp_path / name).touch()
    return tmp_path


def test_velo_with_weights_but_no_package(absent, weights):
    with pytest.raises(ImportError, match="make test-learned"):
        bridge.velo(weights=str(weights))


def stub_package(monkeypatch, **modules) -> None:
    """A package of the given modules (dots as double underscores) in place of any real one."""
    names = {"optimizers", *(path.replace("__", ".") for path in modules)}
    parents = {name.rpartition(".")[0] for name in names} - {""}
    for name in ["", *sorted(names | parents)]:
        module = types.ModuleType(f"{PACKAGE}.{name}".rstrip("."))
        module.__path__ = []
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for path, content in modules.items():
        vars(sys.modules[f"{PACKAGE}.{path.replace('__', '.')}"]).update(content)


class Optimizer:
    """The two methods of its base class that the bridge relies on."""

    def set_params(self, state, params):
        return state | {"params": params}

    def get_params(self, state):
        return state["params"]


def test_velo_of_a_release_without_it(absent, weights, monkeypatch):
    stub_package(monkeypatch, optimizers__base={"Optimizer": Optimizer})
    with pytest.raises(ImportError, match=r"release 0\.0\.1 lacks research\.general_lopt"):
        bridge.velo(weights=str(weights))


def test_velo_is_built_from_the_weights_and_given_the_loss(absent, weights, monkeypatch):
    """Against stand-ins of the modules it calls: VeLO itself needs weights of many megabytes."""
    asked = {}

    class LearnedOptimizer(Optimizer):
        def __init__(self, num_training_steps, weight_decay, base_lopt_fn):
            asked.update(steps=num_training_steps, decay=weight_decay, path=base_lopt_fn())

        def init(self, params, num_steps, key):
            assert num_steps == asked["steps"]
            return {"params": params, "losses": jnp.zeros(())}

        def update(self, state, grad, loss, key):
            return {"params": state["params"] - loss * grad, "losses": state["losses"] + loss}

    stub_package(
        monkeypatch,
        optimizers__base={"Optimizer": Optimizer},
        research__general_lopt__prefab={"LearnedOptimizer": LearnedOptimizer},
        learned_optimizers__opt_from_checkpoint={"opt_from_checkpoint": lambda path: path},
    )
    tx = bridge.velo(str(weights), num_steps=7, learning_rate=0.5, weight_decay=1e-6)
    assert asked == {"steps": 7, "decay": 1e-6, "path": str(weights.resolve() / "params")}
    params = jnp.ones(2)
    state = tx.init(params)
    with pytest.raises(ValueError, match="value=loss"):
        tx.update(jnp.ones(2), state, params)
    updates, state = tx.update(jnp.ones(2), state, params, value=jnp.float32(3.0))
    np.testing.assert_array_equal(updates, [-1.5, -1.5])
    assert state[0].inner["losses"] == 3.0
