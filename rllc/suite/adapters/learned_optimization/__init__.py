"""Bridge to google/learned_optimization, both ways.

- `as_optimizer`: any optax transformation as its ``Optimizer``;
- `as_task`: one of our tasks with its data as its ``Task``;
- `from_optimizer`, `optimizer`: its optimizers, hand-designed or learned, as optax transformations;
- `from_task`: its fixed image tasks as tasks of our engine;
- `velo`: its pretrained optimizer VeLO, from weights on disk.

Importing this module does not import the package; every function does, and says what to do
when it is missing. Its last release (0.0.1) cannot be installed with its own pins; `make
test-learned` sets up an environment where it works.
"""

from rllc.suite.adapters.learned_optimization.fixed_tasks import from_task
from rllc.suite.adapters.learned_optimization.optimizers import (
    as_optimizer,
    from_optimizer,
    optimizer,
)
from rllc.suite.adapters.learned_optimization.package import load
from rllc.suite.adapters.learned_optimization.pretrained import velo
from rllc.suite.adapters.learned_optimization.tasks import as_task

__all__ = ["as_optimizer", "as_task", "from_optimizer", "from_task", "load", "optimizer", "velo"]
