"""Runs of the toy task, for tests that train them."""

from rllc.suite.plan import plan
from tests.suite.toy import TASK

PROTOCOL = {"steps": 60, "eval_every": 25, "batch_size": 16, "law_every": 10, "data": "synthetic"}


def runs_of(optimizer, seeds=(0, 1, 2), rates=(0.1, 0.03), protocol=PROTOCOL):
    """Runs of the toy task: every seed at every learning rate."""
    return [
        plan.make_run(TASK, {**optimizer, "learning_rate": lr}, s, protocol)
        for lr in rates
        for s in seeds
    ]
