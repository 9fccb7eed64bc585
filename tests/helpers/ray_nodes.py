"""A Ray cluster of our own: several nodes on loopback addresses, with a token, gone with the tests.

Nodes are started one after the other (two at once time out) and ended by their process: `ray stop`
would end everybody's.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from bench_process import REPOSITORY, spawn_in

STORE_BYTES = "80000000"
START_SECONDS = 60


@dataclass(kw_only=True)
class Node:
    """A node: its address and the process of `ray start --block`."""

    address: str
    process: subprocess.Popen[bytes]

    def processes(self, name: str = "") -> list[psutil.Process]:
        """The living processes of the node whose command line has `name`."""
        found = []
        with suppress(psutil.Error):
            for one in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if one.status() != psutil.STATUS_ZOMBIE and name in " ".join(one.cmdline()):
                        found.append(one)
        return found

    @property
    def tasks(self) -> list[psutil.Process]:
        """The workers that run a task now."""
        return self.processes("ray::run")

    def wait_started(self, log: Path) -> None:
        """Wait until it says in its log that it runs."""
        until = time.monotonic() + START_SECONDS
        while b"--block" not in log.read_bytes():
            assert self.process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)

    def lose(self) -> None:
        """The raylet is killed, as if the machine was gone."""
        (raylet,) = (one for one in self.processes() if one.name() == "raylet")
        raylet.kill()

    def die(self) -> None:
        """All of the node is killed at once: the machine has no power."""
        everybody = [psutil.Process(self.process.pid), *self.processes()]
        for one in everybody:
            with suppress(psutil.Error):
                one.kill()
        psutil.wait_procs(everybody, timeout=10)

    def end(self) -> None:
        """End the node and wait for all of it."""
        everybody = self.processes()
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        for one in everybody:
            with suppress(psutil.Error):
                one.kill()
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(everybody, timeout=10)


@dataclass(kw_only=True)
class Nodes:
    """A cluster under a short folder (sockets have long names)."""

    folder: Path
    port: int
    running: list[Node] = field(default_factory=list)
    started: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.8:{self.port}"

    @property
    def token(self) -> str:
        return (self.folder / "token").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of the cluster, drivers too."""
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        ours = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_task_oom_retries": "0",
            "RAY_worker_niceness": "0",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        return {**os.environ, **ours}

    def add(self, *more: str, before: Sequence[str] = ()) -> Node:
        """Start one node more; the first is the head. `before` is put before its command."""
        address = f"127.0.{self.started // 3}.{8 - self.started % 3}"
        self.started += 1
        head = ["--head", f"--port={self.port}", "--include-dashboard=false"]
        where = [f"--temp-dir={self.folder}/r", *head] if not self.running else []
        where = where or [f"--address={self.address}"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        given = ["--num-cpus=1", f"--node-ip-address={address}"]
        given += [f"--object-store-memory={STORE_BYTES}", "--memory=2000000000", *more]
        log = (self.folder / f"{address}.log").open("wb")
        process = subprocess.Popen(
            [*before, *ray, *where, *given],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
        )
        node = Node(address=address, process=process)
        self.running.append(node)
        node.wait_started(Path(log.name))
        return node

    def replace(self, node: Node) -> Node:
        """End a node that was lost, and start another one in its place."""
        node.end()
        self.running.remove(node)
        return self.add()

    def spawn(self, *argv: str) -> subprocess.Popen[str]:
        """Start a `bench` command that may join the cluster."""
        return spawn_in(self.environment, *argv)


@contextmanager
def cluster(nodes: int, *more: str) -> Iterator[Nodes]:
    """Yield a cluster of nodes with one CPU each; `more` are options of each."""
    folder = Path(tempfile.mkdtemp(prefix="rn-", dir="/tmp"))
    token = folder / "token"
    handle = os.open(token, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(handle, secrets.token_hex(32).encode())
    os.close(handle)
    found = Nodes(folder=folder, port=free_port())
    try:
        for _ in range(nodes):
            found.add(*more)
        yield found
    finally:
        for node in reversed(found.running):
            node.end()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
