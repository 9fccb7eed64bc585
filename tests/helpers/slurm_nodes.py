"""A SLURM cluster of our own: a controller and two nodes on this machine, gone with the tests.

It needs root, and Debian's packages slurmctld, slurmd, slurm-client and munge.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench_process import REPOSITORY, spawn_in
from ray_nodes import free_port

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "runuser")
START_SECONDS = 30
SOON = 5  # seconds: a job that asked to be started again waits as long as a credential lives
CONF = """ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/m/socket,cred_expire={soon}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
SelectType=select/cons_tres
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
SlurmdTimeout=20
MinJobAge=300
GresTypes=gpu
{nodes}
PartitionName=p Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster here, or nothing."""
    if lacking := [name for name in PROGRAMS if not _found(name)]:
        return f"no {', '.join(lacking)}: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.getuid() == 0 else "only root can start nodes of SLURM"


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@dataclass(kw_only=True)
class Slurm:
    """A cluster under a short folder (sockets have long names)."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of the cluster, the commands too."""
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        ours = {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        known = {n: v for n, v in os.environ.items() if not n.startswith(("SLURM_", "SBATCH_"))}
        return {**known, **ours}

    def spawn(self, *argv: str) -> subprocess.Popen[str]:
        """Start a `bench` command on a login node, in a folder that all nodes see."""
        return spawn_in(self.environment, *argv, cwd=self.folder)

    def call(self, *command: str) -> str:
        """Run a command of SLURM; return what it prints."""
        ran = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def jobs(self, states: str = "all") -> list[tuple[str, str, str]]:
        """Worker (JOB_NUMBER), state and node of all that SLURM knows. The last one of an array
        has the array's own number for its job: that alone would mean all of them."""
        asked = ["--noheader", "--array", f"--states={states}", "--format=%F_%K|%T|%N"]
        lines = self.call("squeue", *asked).splitlines()
        return [(job, state, node) for job, state, node in (line.split("|") for line in lines)]

    def processes(self) -> dict[str, int]:
        """The process of each worker that runs, by the node that it runs on."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                known = path.read_bytes().split(b"\0")
                words = (path.parent / "cmdline").read_bytes().split(b"\0")
                conf = f"SLURM_CONF={self.folder / 'slurm.conf'}".encode()
                if conf in known and b"benchmark.cli.array" in words:
                    node = next(v for v in known if v.startswith(b"SLURMD_NODENAME="))
                    found[node.partition(b"=")[2].decode()] = int(path.parent.name)
        return found

    def start(self, name: str, *command: str, before: Sequence[str] = ()) -> None:
        """Start a daemon in the foreground."""
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                [*before, *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=self.environment, start_new_session=True,
            )  # fmt: skip

    def start_node(self, name: str, *, before: Sequence[str] = ()) -> None:
        """Start a node; `before` is put before its command."""
        self.start(name, str(_found("slurmd")), "-D", "-N", name, before=before)

    def wait_idle(self) -> None:
        """Wait until both nodes take jobs."""
        until = time.monotonic() + START_SECONDS
        states: list[str] = []
        while states != ["idle", "idle"]:
            assert time.monotonic() < until, (states, self.logs())
            time.sleep(0.3)
            with suppress(AssertionError):
                states = self.call("sinfo", "--noheader", "--Node", "--format=%t").split()

    def cancel_all(self) -> None:
        """End all jobs and wait for it."""
        for job, _, _ in self.jobs("pending,running,completing"):
            self.call("scancel", job)
        until = time.monotonic() + 60
        while self.jobs("pending,running,completing") and time.monotonic() < until:
            time.sleep(0.3)

    def logs(self) -> str:
        return "\n".join(
            path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log")
        )

    def end(self, name: str) -> None:
        """End a daemon and wait for it."""
        process = self.daemons.pop(name)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def cluster() -> Iterator[Slurm]:
    """Yield a cluster of two nodes with one CPU each."""
    folder = Path(tempfile.mkdtemp(prefix="sl-", dir="/tmp"))
    folder.chmod(0o755)
    found = Slurm(folder=folder)
    (folder / "state").mkdir()
    nodes = ""
    for name in ("n1", "n2"):
        (folder / name).mkdir()
        nodes += (
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 "
            f"Port={free_port()} CPUs=1 RealMemory=4000 State=UNKNOWN\n"
        )
    told = {"host": socket.gethostname(), "port": free_port(), "folder": folder, "soon": SOON}
    (folder / "slurm.conf").write_text(CONF.format(**told, nodes=nodes))
    (folder / "gres.conf").write_text("")
    try:
        _start_munge(found)
        found.start("slurmctld", str(_found("slurmctld")), "-D", "-c")
        for name in ("n1", "n2"):
            found.start_node(name)
        found.wait_idle()
        yield found
    finally:
        with suppress(AssertionError, KeyError):
            found.cancel_all()
        for name in reversed(list(found.daemons)):
            found.end(name)
        shutil.rmtree(folder, ignore_errors=True)


def _start_munge(found: Slurm) -> None:
    """Munge with a key of its own, as its own user: it refuses root's folders."""
    home = found.folder / "munge"
    home.mkdir(mode=0o700)
    (home / "key").write_bytes(os.urandom(128))
    (home / "key").chmod(0o600)
    place = found.folder / "m"  # where everybody may ask
    place.mkdir(mode=0o755)
    for path in (home, home / "key", place):
        shutil.chown(path, "munge", "munge")
    given = [f"--key-file={home}/key", f"--pid-file={home}/pid", f"--log-file={home}/log"]
    given += [f"--seed-file={home}/seed", f"--socket={place}/socket", "--force"]
    command = ["runuser", "-u", "munge", "--", str(_found("munged")), "--foreground", *given]
    found.start("munged", *command)
    until = time.monotonic() + START_SECONDS
    while not (place / "socket").exists():
        assert time.monotonic() < until, (found.folder / "munged.out").read_text()
        time.sleep(0.1)
