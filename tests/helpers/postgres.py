"""A real PostgreSQL 15 of our own: its own folder, its own port, gone with the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DEBIAN = Path("/usr/lib/postgresql/15/bin")
USER = "postgres"


def missing() -> str:
    """Why there is no PostgreSQL 15 here, or nothing."""
    if not (DEBIAN / "pg_ctl").is_file():
        return f"no PostgreSQL 15 in {DEBIAN}: apt-get install postgresql"
    if os.getuid() == 0 and USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return f"root cannot run PostgreSQL, and there is no user {USER}"
    return ""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running one; `url` is the address of its empty database."""

    url: str
    data: Path
    options: str

    def stop(self, mode: str) -> None:
        """End it: `fast` asks its connections to end, `immediate` is as good as a crash."""
        _run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def start(self) -> None:
        log = str(self.data.parent / "log")
        _run("pg_ctl", "-D", str(self.data), "-o", self.options, "-l", log, "-w", "start")


@contextmanager
def server() -> Iterator[str]:
    """Yield the address of a server with an empty database."""
    with running() as one:
        yield one.url


@contextmanager
def running() -> Iterator[Server]:
    """Yield a server that can be stopped and started again."""
    folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, USER, USER)
    port = _free_port()
    data = folder / "data"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    try:
        _run("initdb", "-D", str(data), "-A", "trust", "-U", "bench", "--no-sync")
        url = f"postgresql://bench@127.0.0.1:{port}/postgres"
        one = Server(url=url, data=data, options=options)
        one.start()
        try:
            yield one
        finally:
            with suppress(AssertionError):  # it is down
                one.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(program: str, *argv: str) -> None:
    become = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    # not through a pipe: the server would keep it open
    with tempfile.TemporaryFile("w+") as output:
        ran = subprocess.run(
            [*become, str(DEBIAN / program), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            timeout=60,
            check=False,
        )
        output.seek(0)
        assert ran.returncode == 0, output.read()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
