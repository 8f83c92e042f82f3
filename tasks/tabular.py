"""Regression on arrays of the user's, with a small network, scored by the mean squared error."""

import hashlib
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tasks.images import are_widths
from tasks.modules import functions
from tasks.networks import MLP
from tasks.sources.formats import DataError
from tasks.task import Dataset, Metric, Task

SPLITS = ("train", "validation", "test")
METRICS = (Metric("mse", "min", "variance of y", guess=1.0),)


def regression(
    path: str | os.PathLike[str],
    name: str | None = None,
    hidden: Sequence[int] = (64, 64),
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    split_seed: int = 0,
) -> Task:
    """An MLP that predicts y from x, trained by the mean squared error.

    Every feature of x and every target of y is centred and divided by its standard deviation over
    the training set (by 1 where that is 0), so the error is in units of the variance of y: about
    1 for a constant guess.

    Args:
      path: ``.npz`` file with the numeric arrays x (n, …) and y (n,) or (n, targets); or with
        x_train, y_train, x_validation, y_validation, x_test, y_test.
      name: label in the records; the file's name by default.
      hidden: units of the hidden layers.
      fractions: of the examples that train, validate and test; of x and y only.
      split_seed: of the permutation before they are divided so; of x and y only.

    Raises:
      DataError: the file or its arrays cannot be used; one line that says why.
      ValueError: a setting makes no sense.
    """
    if not are_widths(list(hidden)):
        raise ValueError(f"hidden={hidden!r} must be a list of positive integers")
    data = read(Path(path), tuple(fractions), split_seed)
    x, y = data.train["x"], data.train["y"]
    module = MLP(hidden=tuple(hidden), outputs=y.shape[1])
    init, apply = functions(module, x.shape[1:])

    def loss(params: Any, state: Any, batch: Any, key: jax.Array, train: bool) -> Any:
        del key
        predicted, state = apply(params, state, batch["x"], train)
        errors = jnp.mean((predicted - batch["y"]) ** 2, axis=1)
        return jnp.mean(errors), (state, {"mse": errors})

    return Task(name or Path(path).stem, init, loss, lambda folder: data, METRICS)


def read(path: Path, fractions: tuple[float, ...], seed: int) -> Dataset:
    """The splits {"x": float32 (n, …), "y": float32 (n, targets)} of a file, standardised.

    Raises:
      DataError: see `regression`.
      ValueError: the fractions make no sense.
    """
    arrays = _arrays(path)
    split = all(f"{key}_{part}" in arrays for key in "xy" for part in SPLITS)
    if split:
        parts = {p: tuple(_checked(path, arrays, f"{key}_{p}") for key in "xy") for p in SPLITS}
    elif "x" in arrays and "y" in arrays:
        both = {key: _checked(path, arrays, key) for key in "xy"}
        parts = _divided(path, both["x"], both["y"], fractions, seed)
    else:
        wanted = ", ".join(f"{key}_{part}" for part in SPLITS for key in "xy")
        raise DataError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; wanted are x, y or {wanted}"
        )
    _check_sizes(path, parts)
    scaled = {name: _standardised(part, parts["train"]) for name, part in parts.items()}
    train, validation, test = (scaled[name] for name in SPLITS)
    return Dataset(train, validation, test, path.stem, _checksum(scaled))


def _standardised(
    part: tuple[np.ndarray, ...], train: tuple[np.ndarray, ...]
) -> dict[str, np.ndarray]:
    found = {}
    for key, values, reference in zip("xy", part, train, strict=True):
        deviation = reference.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1)
        found[key] = ((values - reference.mean(axis=0)) / scale).astype(np.float32)
    return found


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise DataError(f"{path.resolve()} does not exist") from None
    except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{path} is not an .npz file of numeric arrays: {first}") from None


def _checked(path: Path, arrays: dict[str, np.ndarray], key: str) -> np.ndarray:
    """The array as float64, y as (n, targets)."""
    array = arrays[key]
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path}: {key} has dtype {array.dtype}, must be real numbers")
    array = array.astype(np.float64)
    if bad := int((~np.isfinite(array)).sum()):
        raise DataError(f"{path}: {key} has {bad} values that are not finite")
    least = 2 if key.startswith("x") else 1
    if array.ndim < least or array.size == 0 or (least == 1 and array.ndim > 2):
        shape = "(examples, …features)" if least == 2 else "(examples,) or (examples, targets)"
        raise DataError(f"{path}: {key} has shape {array.shape}, must be {shape}, none of them 0")
    return array if least == 2 else array.reshape(len(array), -1)


def _divided(
    path: Path, x: np.ndarray, y: np.ndarray, fractions: tuple[float, ...], seed: int
) -> dict[str, tuple[np.ndarray, ...]]:
    numbers = all(isinstance(f, int | float) and f > 0 for f in fractions)
    if len(fractions) != 3 or not numbers or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions={list(fractions)} must be three positive numbers, sum 1")
    if len(x) != len(y):
        raise DataError(f"{path}: x has {len(x)} examples, y has {len(y)}")
    order = np.random.default_rng(seed).permutation(len(x))
    cuts = [round(fractions[0] * len(x)), round((fractions[0] + fractions[1]) * len(x))]
    return {p: (x[at], y[at]) for p, at in zip(SPLITS, np.split(order, cuts), strict=True)}


def _check_sizes(path: Path, parts: dict[str, tuple[np.ndarray, ...]]) -> None:
    for name, (x, y) in parts.items():
        if len(x) != len(y):
            raise DataError(f"{path}: x_{name} has {len(x)} examples, y_{name} has {len(y)}")
        if not len(x):
            raise DataError(f"{path}: no examples are left for {name}")
        for key, part, first in zip("xy", (x, y), parts["train"], strict=True):
            if part.shape[1:] != first.shape[1:]:
                raise DataError(
                    f"{path}: an example of {key} has shape {part.shape[1:]} in {name}, "
                    f"{first.shape[1:]} in train"
                )


def _checksum(parts: dict[str, dict[str, np.ndarray]]) -> str:
    """SHA-256, in hex, over names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, part in parts.items():
        for key, array in part.items():
            digest.update(f"{name} {key} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
