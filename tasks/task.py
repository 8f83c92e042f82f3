"""What a task is: a NamedTuple of pure functions that owns its data, its loss and its metrics.

A task of one's own is one file with a function that returns a `Task`; nothing is registered.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Metric(NamedTuple):
    """A number by which a trained network is judged, a mean over examples.

    Attributes:
      name: as in the dict that `Task.loss` returns; a column of the records is ``test_<name>``.
      direction: "max" or "min": which way is better.
      unit: of `scale` times the value, for tables; "" if it has none.
      guess: value of the best constant guess, unscaled; None if nobody knows.
      scale: the number tables multiply the value by.
    """

    name: str
    direction: str = "min"
    unit: str = ""
    guess: float | None = None
    scale: float = 1.0


class Dataset(NamedTuple):
    """Examples of a task.

    A split is a pytree of arrays that have the examples along their first axis; or, where batches
    are made up as they are needed, a function (key, step) -> batch. It gets another key at every
    step, the same one for all runs of a seed, and makes batches of any size: ``batch_size`` of the
    protocol is for arrays.

    Attributes:
      train, validation, test: splits; hyperparameters are chosen by validation alone.
      name: for the records.
      checksum: names the content, for the records.
      evaluation_batches: how many batches of a function one evaluation takes, the same ones
        each time.
    """

    train: Any
    validation: Any
    test: Any
    name: str = ""
    checksum: str = ""
    evaluation_batches: int = 8


def unchanged(batch: Any, key: jax.Array | None) -> Any:
    """A `Task.prepare` that does nothing."""
    del key
    return batch


class Task(NamedTuple):
    """A problem to train on, without an optimizer.

    Attributes:
      name: label in the records.
      init: key -> (params, state); params float arrays, state whatever else a network keeps, such
        as running statistics; {} without any.
      loss: (params, state, batch, key, train) -> (loss, (new state, metrics)). The loss is a
        scalar, what the optimizer descends. metrics: name -> value per example, (b,); or a pair
        (sums (b,), counts (b,)), where the mean is the sum of sums over the sum of counts, as for
        tokens. Of a generated batch their shape is free. `key` is for noise such as dropout:
        another one at every step, the same for all runs of a seed.
      data: folder or None -> `Dataset`; the folder is the user's setting `data_folder`.
      metrics: what `loss` returns, described; tables lead with the first.
      prepare: (batch, key or None) -> batch, what can be done without parameters: normalisation,
        and augmentation where a key is given (in training). Happens once for all runs of a seed.
      synthetic: () -> `Dataset` of the same shapes that needs no files, for rehearsals; or None.
      one_at_a_time: whether runs that share a CPU core train one after another, as the activations
        of one network fill its cache; small networks train faster in one batched product.
      batch_means: whether the records also hold the test metrics averaged over batches of 128
        (the last one may be smaller), as the paper has them: ``test_<name>_batch_mean``.
    """

    name: str
    init: Callable[[jax.Array], tuple[Any, Any]]
    loss: Callable[[Any, Any, Any, jax.Array, bool], tuple[jax.Array, tuple[Any, dict[str, Any]]]]
    data: Callable[[str | None], Dataset]
    metrics: tuple[Metric, ...]
    prepare: Callable[[Any, jax.Array | None], Any] = unchanged
    synthetic: Callable[[], Dataset] | None = None
    one_at_a_time: bool = False
    batch_means: bool = False
