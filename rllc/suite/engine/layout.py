"""Which devices a group trains on: a mesh of the axes ``run``, ``data`` and ``fsdp``.

Along ``run`` lie different runs. Along ``data`` and ``fsdp`` lies one run: its batch is split over
both, and over ``fsdp`` what it keeps from step to step, parameters and optimizer state, too. Within
a step every device gathers the whole parameters. A layout changes the order of sums, so numbers
agree up to rounding.

Axes: s seeds, r runs that share a seed.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from rllc.suite.errors import PlanError

RUN, DATA, FSDP = "run", "data", "fsdp"
SMALL = 1024  # numbers: smaller arrays are whole on every device, a message would cost more


class Split(NamedTuple):
    """Into how many parts runs, a batch and a run's parameters are split; None: as many as help.

    Attributes:
      run: at most, of the runs of a group.
      data: of a batch.
      fsdp: of the parameters and the optimizer state; the batch is split over them as well.
    """

    run: int | None = None
    data: int | None = None
    fsdp: int | None = None


FREE = Split()


class Layout(NamedTuple):
    """How (s, r) runs are laid on devices: padded shape, the split axis (0 or 1), and the mesh."""

    seeds: int
    points: int
    axis: int
    run: int
    data: int = 1
    fsdp: int = 1

    @classmethod
    def choose(
        cls, seeds: int, points: int, devices: int, split: Split = FREE, batch: int = 0,
        processes: int = 1,
    ) -> "Layout":  # fmt: skip
        """The layout with the fewest runs on the busiest device; padding runs count.

        Args:
          seeds, points: of the group.
          devices: there are.
          split: what is fixed; of ``fsdp``, None is 1.
          batch: examples that devices without a run of their own may share; 0: they stay idle.
          processes: which the devices belong to, each with as many of those that take part.

        Raises:
          PlanError: devices that so many processes share equally cannot share the runs.
        """
        fsdp = split.fsdp or 1
        most = devices // (fsdp * (split.data or 1))
        options = []
        for count in range(1, min(most, split.run or most) + 1):
            data = split.data or _most_parts(batch, devices // (count * fsdp), fsdp)
            padded_s, padded_r = -(-seeds // count) * count, -(-points // count) * count
            if count <= seeds:
                options.append(cls(padded_s, points, 0, count, data, fsdp))
            if count <= points:
                options.append(cls(seeds, padded_r, 1, count, data, fsdp))
        options = [option for option in options if option.devices % processes == 0]
        if not options:
            raise PlanError(_cannot_share(seeds * points, devices, split, batch, processes))
        return min(options, key=lambda o: (o.seeds * o.points // o.run, o.run, o.axis))

    @property
    def devices(self) -> int:
        """How many devices take part."""
        return self.run * self.data * self.fsdp

    @property
    def splits_runs(self) -> bool:
        """Whether several devices share a run."""
        return self.data * self.fsdp > 1

    def __str__(self) -> str:
        parts = zip((RUN, DATA, FSDP), (self.run, self.data, self.fsdp), strict=True)
        return " × ".join(f"{name} {count}" for name, count in parts if count > 1)

    def pad(self, array: np.ndarray) -> np.ndarray:
        """Repeats the last seed and the last point up to the padded (s, r)."""
        widths = [(0, self.seeds - array.shape[0]), (0, self.points - array.shape[1])]
        return np.pad(array, widths + [(0, 0)] * (array.ndim - 2), mode="edge")

    def mesh(self) -> Mesh:
        """The devices of this layout."""
        every = jax.devices()  # of all processes, by their number
        whole, part = (n // jax.process_count() for n in (len(every), self.devices))
        taken = [device for i, device in enumerate(every) if i % whole < part]
        shape = (self.run, self.data, self.fsdp)  # fsdp last: what talks most shares a process
        return Mesh(np.array(taken).reshape(shape), (RUN, DATA, FSDP))

    @property
    def by_hand(self) -> frozenset[str]:
        """The axes along which a program is written for one device; along the others the compiler
        splits it."""
        return frozenset({RUN} if self.splits_runs else {RUN, DATA, FSDP})

    def spec(self, before: int = 0) -> PartitionSpec:
        """Partition of an array whose (s, r) axes come after `before` others."""
        return PartitionSpec(*[None] * (before + self.axis), RUN)

    def seed_spec(self, before: int = 0) -> PartitionSpec:
        """Partition of an array that has the s axis but no r axis."""
        return self.spec(before) if self.axis == 0 else PartitionSpec()

    def part(self, tree: Any) -> Any:
        """In a program: a batch (b, …), split over the devices of a run."""
        return self._constrained(tree, lambda leaf: PartitionSpec((DATA, FSDP)))

    def kept(self, tree: Any) -> Any:
        """In a program: what runs (s, r, …) keep from step to step, each split over ``fsdp``."""
        return self._constrained(tree, lambda leaf: self.kept_spec(leaf.shape))

    def kept_spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        """Partition of an array (s, r, …) over ``fsdp``: along its longest axis that divides."""
        fit = [n if n % self.fsdp == 0 else 0 for n in shape[2:]]
        if self.fsdp == 1 or int(np.prod(shape[2:])) < SMALL or not any(fit):
            return PartitionSpec()
        return PartitionSpec(*[None] * (2 + int(np.argmax(fit))), FSDP)

    def gathered(self, tree: Any) -> Any:
        """In a program: one run's parameters, whole on every device."""
        return tree if self.fsdp == 1 else self._constrained(tree, lambda leaf: PartitionSpec())

    def _constrained(self, tree: Any, spec: Any) -> Any:
        if not self.splits_runs:
            return tree
        return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, spec(leaf)), tree)


def _most_parts(batch: int, most: int, fsdp: int) -> int:
    """The most equal parts, up to `most`, of each of the `fsdp` parts of a batch."""
    return max((n for n in range(1, most + 1) if batch and batch % (n * fsdp) == 0), default=1)


def _cannot_share(runs: int, devices: int, split: Split, batch: int, processes: int) -> str:
    asked = "".join(f", devices.{k}={v}" for k, v in split._asdict().items() if v)
    batches = f"batches of {batch}" if batch else "batches that cannot be split"
    return (
        f"{processes} processes of {devices // processes} devices each cannot all take an equal "
        f"part in {runs} runs with {batches}{asked}; start another number of processes"
    )
