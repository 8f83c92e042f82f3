"""What becomes of Slurm's jobs, from its queue.

submitit asks ``sacct``, which fails where a cluster keeps no accounts: a job that was cancelled, or
lost with its node, would be waited for without end. It also takes a job that is suspended, or
whose nodes are still being started, for one that has ended.
"""

import os

from submitit.slurm.slurm import SlurmInfoWatcher

# https://slurm.schedmd.com/squeue.html, job state codes; a preempted job that is queued again is
# never shown as PREEMPTED.
ENDED = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
)  # fmt: skip
GONE = "GONE"  # the controller forgets jobs some minutes after their end (MinJobAge)


class Queue(SlurmInfoWatcher):
    """States of all jobs that were handed over, by one call of ``squeue`` at a time.

    Calls come two seconds after the last job was handed over, then ever less often, down to one in
    `delay_s` seconds.
    """

    def __init__(self, delay_s: int = 60):
        super().__init__(delay_s=delay_s)

    def _make_command(self) -> list[str] | None:
        if not self._registered - self._finished:
            return None
        return ["squeue", "--noheader", "--states=all", f"--user={os.getuid()}", "--format=%i|%T"]

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """State of each job, by its number; `GONE` of those that the queue no longer knows."""
        text = string.decode() if isinstance(string, bytes) else string
        lines = [line.strip().partition("|") for line in text.splitlines()]
        known = {job: {"State": state} for job, _, state in lines}
        return {job: known.get(job, {"State": GONE}) for job in self._registered - self._finished}

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Whether a job has ended and will not start again."""
        return self.get_state(job_id, mode=mode) in (*ENDED, GONE)
