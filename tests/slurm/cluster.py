"""A Slurm of two nodes on this machine, from Debian's packages, in a folder of its own; nothing outside is touched."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol")
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MinJobAge=600
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/%n
SlurmdLogFile={folder}/%n.log
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=1000
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=1000
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=60 MaxTime=60 DefaultTime=10
PartitionName=high Nodes=ALL PriorityTier=10 MaxTime=60 DefaultTime=10
"""


def lacking() -> str:
    """Why no Slurm can be started here; empty where one can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} here: as root, apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "the daemons of Slurm need root to start jobs"


class Cluster:
    """Starts the daemons on entry and ends them, with every job, on exit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        text = CONFIGURATION.format(folder=self.folder, host=socket.gethostname(), ports=_free_ports(3))
        (self.folder / "slurm.conf").write_text(text)
        for name in ("state", "node1", "node2"):
            (self.folder / name).mkdir()
        places = [f"--{name}={self.folder}/munge.{name}" for name in ("socket", "pid-file", "log-file", "seed-file")]
        self._start("munged", "--foreground", "--force", f"--key-file={key}", *places)
        self.wait_for(lambda: (self.folder / "munge.socket").exists(), "munged to listen")
        self._start("slurmctld", "-D", "-i")
        for node in ("node1", "node2"):
            self._start("slurmd", "-D", "-N", node)
        self.wait_for(lambda: self.ask("sinfo", "--noheader", "--states=idle", "--format=%D") == "2", "two idle nodes")
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.ask("squeue", "--noheader", "--format=%i", "--states=all", strict=False).split():
            self.ask("scancel", "--full", "--signal=KILL", job, strict=False)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=10)
            daemon.kill()
            daemon.wait()

    def ask(self, *command: str, strict: bool = True) -> str:
        """What a command of Slurm prints."""
        ended = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=60, cwd=self.folder
        )
        assert not strict or ended.returncode == 0, f"{command}: {ended.stderr}"
        return ended.stdout.strip()

    def submit(self, *command: str, **variables: str) -> str:
        """The number of a new job."""
        exported = ",".join(["ALL", *(f"{name}={value}" for name, value in variables.items())])
        return self.ask("sbatch", "--parsable", f"--export={exported}", *command)

    def state(self, job: str) -> str:
        """Such as RUNNING."""
        shown = self.ask("scontrol", "show", "job", "--oneliner", job, strict=False)
        return dict(field.partition("=")[::2] for field in shown.split()).get("JobState", "")

    def wait_for(self, reached: Callable[[], object], what: str, *, seconds: float = 300) -> None:
        """Return when ``reached()``; fail with the daemons' and the jobs' logs when it takes too long."""
        deadline = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > deadline:
                logs = "\n".join(f"== {f}\n{f.read_text()[-3000:]}" for f in sorted(self.folder.rglob("*.log")))
                raise AssertionError(f"waited {seconds} s for {what}\n{self.ask('squeue', strict=False)}\n{logs}")
            time.sleep(0.2)

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}-{len(self._daemons)}.log").open("wb") as log:
            self._daemons.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log))


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
