"""A Slurm cluster in a folder: munge, a controller and two node daemons on this machine.

Nothing of the system's own Slurm is touched: configuration, key, sockets, state and logs lie in the
folder, and clients find them by the environment variable SLURM_CONF.
"""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
NODES = ("node1", "node2")
SECONDS = 60.0  # for a daemon to answer
# A node that does not answer for some seconds is down, and its jobs are queued again; these start
# as soon as their old credentials have ended (cred_expire). There is no accounting.
CONF = """
ClusterName=rllc
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=3
SlurmdParameters=config_overrides
SlurmdTimeout=6
KillWait=20
JobRequeue=1
ReturnToService=2
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs of Slurm that are not here."""
    return [name for name in NEEDED if shutil.which(name) is None]


class Cluster:
    """See the module's docstring.

    Attributes:
      folder: where all of it lies; no other process may write it, or munge refuses.
      environment: what clients need to find it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self.environment = {"SLURM_CONF": str(self.conf)}
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        """Until both nodes are idle."""
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir()
        host, ports = socket.gethostname(), _free_ports(3)
        words = {"host": host, "ports": ports, "folder": self.folder, "user": getpass.getuser()}
        self.conf.write_text(CONF.format(**words))
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        files = ("socket", "pid", "log", "seed")
        places = [f"--{name}-file={self.folder}/munge.{name}" for name in files[1:]]
        self._daemon(
            "munged", "munged", "--foreground", f"--key-file={key}", *places,
            f"--socket={self.folder}/munge.socket",
        )  # fmt: skip
        wait_for((self.folder / "munge.socket").exists)
        self._daemon("slurmctld", "slurmctld", "-D", "-i", "-f", str(self.conf))
        for node in NODES:
            self.start_node(node)
        wait_for(lambda: set(self.states().values()) == {"IDLE"})

    def start_node(self, node: str) -> None:
        """Starts a node's daemon."""
        self._daemon(node, "slurmd", "-D", "-N", node, "-f", str(self.conf))

    def kill_node(self, node: str) -> None:
        """As when its power fails: the daemon and all that it runs are gone at once."""
        for pid in [self.daemons[node].pid, *self._processes(node)]:
            _kill(pid)
        self.daemons.pop(node).wait()

    def stop(self) -> None:
        """Ends every process of the cluster."""
        for name, daemon in reversed(self.daemons.items()):
            for pid in [daemon.pid, *self._processes(name)]:
                _kill(pid)
            daemon.wait()
        self.daemons.clear()

    def states(self) -> dict[str, str]:
        """State of each node, in Slurm's words."""
        lines = self.ask("sinfo", "--Node", "--noheader", "--format=%N %T").splitlines()
        return {node: state.upper() for node, state in map(str.split, lines)}

    def jobs(self) -> dict[str, dict[str, str]]:
        """What Slurm says of each job, by its number: JobState, Restarts, NodeList, …"""
        lines = self.ask("scontrol", "show", "jobs", "--oneliner").splitlines()
        found = [dict(w.partition("=")[::2] for w in line.split()) for line in lines if "=" in line]
        return {job["JobId"]: job for job in found}

    def ask(self, *command: str) -> str:
        """What a client prints; empty if it fails."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def _daemon(self, name: str, *command: str) -> None:
        environment = {**os.environ, **self.environment, "RLLC_TEST_DAEMON": self._mark(name)}
        with (self.folder / f"{name}.out").open("a") as log:
            self.daemons[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def _mark(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _processes(self, node: str) -> Iterator[int]:
        """Process ids of all that a node's daemon has started, and their children."""
        marks = [f"RLLC_TEST_DAEMON={self._mark(node)}", f"SLURMD_NODENAME={node}"]
        for place in Path("/proc").glob("[0-9]*/environ"):
            try:
                words = place.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            ours = f"SLURM_CONF={self.conf}" in words
            if ours and any(mark in words for mark in marks):
                yield int(place.parent.name)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster for the block."""
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def wait_for(there: Callable[[], object], seconds: float = SECONDS) -> None:
    """Until `there()`.

    Raises:
      TimeoutError: it takes longer.
    """
    until = time.monotonic() + seconds
    while not there():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.2)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
