"""Language models as tasks: loss, metrics, configs, and one line for every mistake."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import yaml

import tasks
from rllc.suite.engine import task_check
from rllc.suite.records.identity import TASK_LABELS
from tasks import language, modules
from tasks.sources import DataError

CONF = Path(__file__).parents[2] / "conf" / "task"
SMALL = {"context": 16, "width": 16, "layers": 1, "heads": 2}


@pytest.fixture(scope="module")
def task():
    return tasks.language_model("small", text="sympy", **SMALL)


@pytest.fixture(scope="module")
def data(task):
    return task.synthetic()


@pytest.mark.slow
def test_the_loss_of_certain_logits_is_what_is_left_to_chance():
    """Logits of 0 but for one of log 3: 3 of 258 shares, whatever is read."""

    def apply(params, state, x, train):
        return jnp.zeros((*x.shape, 256)).at[..., 7].set(math.log(3)), state

    batch = {"x": np.array([[1, 7, 7, 7], [7, 1, 1, 7]], np.uint8)}
    loss, (_, metrics) = language.next_byte(apply)({}, {}, batch, None, True)
    seven, other = math.log(258 / 3), math.log(258)
    assert loss == pytest.approx((4 * seven + 2 * other) / 6, rel=1e-6)
    sums, counts = metrics["nats_per_byte"]
    np.testing.assert_allclose(sums, [3 * seven, seven + 2 * other], rtol=1e-6)
    assert counts.tolist() == [3, 3]
    np.testing.assert_allclose(metrics["bits_per_byte"][0], sums / math.log(2), rtol=1e-6)


@pytest.mark.slow
def test_an_untrained_network_guesses(task, data):
    params, state = task.init(jax.random.key(0))
    loss, _ = task.loss(params, state, {"x": data.train["x"][:64]}, None, True)
    assert loss == pytest.approx(math.log(256), abs=0.1)
    assert task.metrics[1].guess == pytest.approx(math.log(256))
    assert task.metrics[0].guess == 8


@pytest.mark.slow
def test_evaluating_in_parts_changes_nothing(task, data):
    params, state = task.init(jax.random.key(0))
    batch = {"x": data.train["x"][: 3 * modules.PART]}
    (_, (_, parts)), (_, (_, whole)) = (
        task.loss(params, state, batch, None, train) for train in (False, True)
    )
    for name in ("bits_per_byte", "nats_per_byte"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-6)


def test_the_engine_takes_it(task, data):
    task_check.check_task(task, "small")
    task_check.check_data(data, "small")
    task_check.check_program(task, data, 32, "small")


@pytest.mark.slow
def test_it_learns_words(task, data):
    tx = optax.adam(0.01)
    params, state = task.init(jax.random.key(0))

    def step(carry, x):
        (loss, _), gradient = jax.value_and_grad(task.loss, has_aux=True)(
            carry[0], state, {"x": x}, None, True
        )
        updates, moments = tx.update(gradient, carry[1])
        return (optax.apply_updates(carry[0], updates), moments), loss

    batches = np.tile(data.train["x"].reshape(16, 32, -1), (20, 1, 1))
    _, losses = jax.jit(lambda carry: jax.lax.scan(step, carry, batches))((params, tx.init(params)))
    assert losses[0] > 5.4
    assert losses[-16:].mean() < 2.0  # letters alone leave 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3}, "width=16 must be a multiple of 6: heads=3 of an even number of channels"),
        ({"heads": 16}, "width=16 must be a multiple of 32"),
        ({"vocabulary": 128}, "vocabulary=128 must be at least 256, the number of bytes"),
        ({"context": 1 << 15}, "context=32768 is more than 16384 bytes"),
        ({"context": 0}, "context=0 must be a positive integer"),
        ({"layers": 1.5}, "layers=1.5 must be a positive integer"),
        ({"compute_dtype": "int8"}, "compute_dtype='int8' must be one of float32, bfloat16"),
        ({"path": "x.txt"}, "give text or path, one of them; text='sympy', path='x.txt'"),
        ({"text": None}, "give text or path, one of them; text=None, path=None"),
        ({"text": "shakespeare"}, "unknown text 'shakespeare'; known: sympy, gcide"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        tasks.language_model("x", **{"text": "sympy", **SMALL, **settings})
    assert "\n" not in str(caught.value)


def test_a_text_of_ones_own(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes(b"to be or not to be " * 100)
    data = tasks.language_model("mine", path=str(path), **SMALL).data(None)
    assert [len(split["x"]) for split in data[:3]] == [106, 5, 5]
    long = tasks.language_model("mine", path=str(path), **SMALL | {"context": 100})
    with pytest.raises(
        DataError, match=r"the validation split of .*mine.txt has 95 bytes, a window"
    ):
        long.data(None)


@pytest.mark.parametrize("path", [*CONF.glob("text/*.yaml"), CONF / "own" / "text.yaml"])
def test_every_config_is_one_of_a_language_model(path):
    config = yaml.safe_load(path.read_text())
    assert (config["id"], config["_target_"]) == ("language_model", "tasks.language_model")
    if path.parent.name == "text":
        assert config["name"] == path.stem
    made = tasks.language_model(**{k: v for k, v in config.items() if k not in TASK_LABELS})
    assert made.metrics[0].name == "bits_per_byte"
    assert not list(CONF.glob("*lm*.yaml"))  # `task='glob(*)'` is the paper's seven
