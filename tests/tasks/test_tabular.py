"""Regression on a user's .npz: splits, scaling, and one line for every mistake."""

import jax
import numpy as np
import pytest

import tasks
from tasks.sources import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, (100, 4))
Y = X @ np.arange(4.0) + 1.0


@pytest.fixture
def made(tmp_path):
    """Writes arrays and makes the task of them."""

    def make(arrays, **settings):
        np.savez(tmp_path / "mine.npz", **arrays)
        return tasks.regression(tmp_path / "mine.npz", **settings)

    return make


def test_fractions_divide_and_training_statistics_scale(made):
    task = made({"x": X, "y": Y})
    data = task.data(None)
    assert [len(data[i]["x"]) for i in range(3)] == [80, 10, 10]
    assert data.train["y"].shape == (80, 1)
    np.testing.assert_allclose(data.train["x"].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.train["y"].std(0), 1, atol=1e-6)
    assert abs(data.test["x"].mean()) > 1e-3  # not by its own
    together = np.concatenate([data[i]["y"].ravel() for i in range(3)])
    np.testing.assert_allclose(np.corrcoef(np.sort(together), np.sort(Y))[0, 1], 1, atol=1e-6)
    assert (task.name, data.name, len(data.checksum)) == ("mine", "mine", 64)


def test_the_split_is_a_function_of_its_seed(made):
    one, same, other = (made({"x": X, "y": Y}, split_seed=s).data(None) for s in (0, 0, 1))
    assert one.checksum == same.checksum != other.checksum


def test_given_splits_are_kept(made):
    parts = {"train": 60, "validation": 30, "test": 10}
    arrays = {f"x_{p}": X[:n] for p, n in parts.items()} | {
        f"y_{p}": Y[:n] for p, n in parts.items()
    }
    data = made(arrays).data(None)
    assert [len(data[i]["y"]) for i in range(3)] == [60, 30, 10]


@pytest.mark.slow
def test_the_loss_is_the_mean_squared_error_in_variances_of_y(made):
    task = made({"x": X, "y": np.stack([Y, -2 * Y], 1)}, hidden=[8])
    params, state = task.init(jax.random.key(0))
    params = jax.tree.map(np.zeros_like, params)  # predicts the mean
    loss, (_, metrics) = task.loss(params, state, task.data(None).train, None, True)
    assert loss == pytest.approx(1.0, rel=1e-5) == task.metrics[0].guess
    assert metrics["mse"].shape == (80,)


def test_a_constant_feature_does_no_harm(made):
    data = made({"x": np.concatenate([X, np.ones((100, 1))], 1), "y": Y}).data(None)
    assert not data.train["x"][:, 4].any()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "holds x; wanted are x, y or x_train, y_train, x_validation"),
        ({"x": X, "y": Y[:-1]}, "x has 100 examples, y has 99"),
        ({"x": X, "y": np.where(Y > 9, np.nan, Y)}, "y has .* values that are not finite"),
        ({"x": X.astype(str), "y": Y}, "x has dtype <U.*, must be real numbers"),
        ({"x": X.astype(object), "y": Y}, "not an .npz file of numeric arrays"),
        ({"x": X[:, 0], "y": Y}, r"x has shape \(100,\), must be \(examples, …features\)"),
        ({"x": X, "y": X[..., None]}, r"y has shape \(100, 4, 1\), must be"),
        ({"x": X[:3], "y": Y[:3]}, "no examples are left for test"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(made, arrays, message):
    with pytest.raises(DataError, match=message):
        made(arrays)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fractions": (0.8, 0.3, 0.1)}, "must be three positive numbers, sum 1"),
        ({"fractions": (0.8, 0.2)}, "must be three positive numbers"),
        ({"hidden": [0]}, r"hidden=\[0\] must be a list of positive integers"),
    ],
)
def test_bad_settings_are_named(made, settings, message):
    with pytest.raises(ValueError, match=message):
        made({"x": X, "y": Y}, **settings)


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.npz does not exist"):
        tasks.regression(tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("x,y")
    with pytest.raises(DataError, match=r"text\.npz is not an \.npz file"):
        tasks.regression(tmp_path / "text.npz")
