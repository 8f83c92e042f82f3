"""A group in a process that submitit started, here or on a cluster.

Warned of its time limit, or preempted, it saves a checkpoint and has its job queued again.
"""

import os
import signal
from typing import Any

from rllc.suite.engine import stopping
from rllc.suite.execute import execution
from rllc.suite.execute.execution import Options, Outcome
from rllc.suite.plan.plan import Run


class Work:
    """Trains a group; submitit calls it in the new process.

    Attributes:
      ours: use the GPUs of the process that handed it over. submitit's local executor hides all
        GPUs, by CUDA_VISIBLE_DEVICES, unless it is given a number of them, and then it takes the
        first of the machine.
      visible: CUDA_VISIBLE_DEVICES of that process.
    """

    def __init__(self, ours: bool, visible: str | None):
        self.ours, self.visible = ours, visible

    def __call__(self, group: list[Run], options: Options) -> Outcome:
        """The outcome of the group; a stop ends the process with status 143 or 130, a warning as
        submitit ends it once the job is queued again."""
        if self.ours:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
            if self.visible is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = self.visible
        theirs: dict[int, Any] = {n: signal.signal(n, stopping.stop) for n in stopping.WARNINGS}
        found: list[Outcome] = []
        try:
            stopping.run(
                lambda: found.append(execution.execute_group(group, options)),
                "the same command goes on from the last checkpoint",
            )
            return found[0]
        except SystemExit as end:
            number = end.code - 128 if isinstance(end.code, int) else 0
            if not callable(theirs.get(number)):
                raise
        finally:
            for n, handler in theirs.items():
                signal.signal(n, handler)
        theirs[number](number, None)  # queues the job again and exits, or raises why it does not
        raise AssertionError("submitit neither queued the job again nor said why")

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit hands over again after a time-out or a preemption: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)
