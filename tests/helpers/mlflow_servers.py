"""For tests: a real MLflow server that can be killed, hung and started again, and stand-ins for one
that fail at every request."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmark.tracking.database import default_uri
from benchmark.tracking.ui import server_command, server_environment


class Server:
    """A real `mlflow server` that can be killed, hung and started again on the same database."""

    def __init__(self, root: Path, store: str = "") -> None:
        self.root, self.store = root, store or default_uri(root)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.child: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 60) -> None:
        command = server_command(self.store, self.root / "served", self.port)
        self.child = subprocess.Popen(
            [*command, "--artifacts-destination", str(self.root / "served")],
            env=server_environment(),
            cwd=self.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return
            except OSError:
                assert self.child.poll() is None and time.monotonic() < end
                time.sleep(0.1)

    def signal(self, number: int) -> None:
        assert self.child is not None
        os.killpg(self.child.pid, number)

    def kill(self) -> None:
        if self.child is not None:
            self.signal(signal.SIGKILL)
            self.child.wait()
            self.child = None


class Failing(BaseHTTPRequestHandler):
    """Answers everything with 500."""

    def do_GET(self) -> None:
        self.send_error(500)

    do_POST = do_GET

    def log_message(self, format: str, *words: object) -> None:
        pass


class Dripping(BaseHTTPRequestHandler):
    """Answers everything with a byte now and then, for ever: no time limit for a read notices."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.2)

    do_POST = do_GET

    def log_message(self, format: str, *words: object) -> None:
        pass


class Hanging(BaseHTTPRequestHandler):
    """Takes every request and answers none."""

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):
            while self.rfile.read(1):
                pass

    do_POST = do_GET

    def log_message(self, format: str, *words: object) -> None:
        pass


@contextlib.contextmanager
def standing_in(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Yield the address of a stand-in."""
    stub = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    stub.daemon_threads = True
    threading.Thread(target=stub.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{stub.server_port}"
    finally:
        stub.shutdown()
        stub.server_close()
