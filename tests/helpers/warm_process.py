"""For tests: a `bench` command in a process of its own that need not load torch, scipy and pyarrow
first, which is most of what a tiny command costs.

A server that has loaded them, and nothing of other packages, forks for each command; the fork then
runs `benchmark.cli.main` as `python -m` does. Where a test is about how a process starts,
`bench_process.spawn` starts a fresh one; so does `spawn_warm` where there is no fork.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
LOADED = (
    "torch._dynamo",
    "scipy.stats",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "safetensors.torch",
    "benchmark.running.executors.worker",
    *(f"benchmark.cli.{name}" for name in ("view", "run", "suite", "plan", "show")),
)


class Warm:
    """What `subprocess.Popen` gives of a forked command, as far as tests use it."""

    def __init__(self, argv: list[str], environment: Mapping[str, str]) -> None:
        (out, our_out), (err, our_err), (told, status) = (os.pipe() for _ in range(3))
        asked = json.dumps({"argv": argv, "environment": dict(environment), "cwd": str(Path.cwd())})
        with _lock:
            socket.send_fds(_server(), [asked.encode()], [our_out, our_err, status])
        for end in (our_out, our_err, status):
            os.close(end)
        self.stdout: IO[str] = os.fdopen(out, encoding="utf-8")
        self.stderr: IO[str] = os.fdopen(err, encoding="utf-8")
        self._told = os.fdopen(told, encoding="utf-8")
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("bench", timeout or 0)
            self.returncode = int(self._told.readline())
        return self.returncode

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """What it still writes to both streams, and wait for its end."""
        until, found = time.monotonic() + timeout, ["", ""]

        def read(place: int, stream: IO[str]) -> None:
            found[place] = stream.read()

        readers = [
            threading.Thread(target=read, args=(n, stream), daemon=True)
            for n, stream in enumerate((self.stdout, self.stderr))
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(max(0, until - time.monotonic()))
        if any(reader.is_alive() for reader in readers):
            raise subprocess.TimeoutExpired("bench", timeout)
        self.wait(max(0, until - time.monotonic()))
        return found[0], found[1]

    def send_signal(self, number: int) -> None:
        """Send it, if the command has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


_started: list[tuple[subprocess.Popen[bytes], socket.socket]] = []
_lock = threading.Lock()


def _server() -> socket.socket:
    """The socket of this process's server, which is started when first used."""
    if not _started:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
        server = subprocess.Popen(
            [sys.executable, "-c", f"import warm_process; warm_process.serve({its.fileno()})"],
            pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        )  # fmt: skip
        its.close()
        _started.append((server, ours))
        atexit.register(_end)
    return _started[0][1]


def _end() -> None:
    server, ours = _started[0]
    ours.close()
    server.kill()  # what it has forked goes on
    server.wait()


def serve(number: int) -> None:
    """Fork for each command that is asked for, until nobody can ask any more."""
    sys.path[:] = [path for path in sys.path if path and Path(path).resolve() != HERE]
    for name in LOADED:
        importlib.import_module(name)
    asking = socket.socket(fileno=number)
    while (asked := socket.recv_fds(asking, 1 << 20, 3))[0]:
        if os.fork() == 0:
            asking.close()
            _watch(json.loads(asked[0]), *asked[1])
            return
        for stream in asked[1]:
            os.close(stream)
        with contextlib.suppress(ChildProcessError):  # who watched a command that has ended
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _watch(asked: dict[str, Any], out: int, err: int, status: int) -> None:
    """Fork the command, tell its number and then its exit code."""
    pid = os.fork()
    if pid == 0:
        os.close(status)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        _command(**asked)
    os.close(out)
    os.close(err)
    for text in (str(pid), None):
        code = None if text else os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):  # who asked has gone
            os.write(status, f"{text or code}\n".encode())
    os._exit(0)


def _command(argv: list[str], environment: dict[str, str], cwd: str) -> None:
    """Be `python -m benchmark.cli.main` with these arguments."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    paths = environment["PYTHONPATH"].split(os.pathsep)
    sys.path[:] = ["", *paths, *(path for path in sys.path if path and path not in paths)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["bench", *argv]
    runpy.run_module("benchmark.cli.main", run_name="__main__", alter_sys=True)
