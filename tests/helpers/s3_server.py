"""A real S3 server on loopback (moto's), and one between it and us that fails at will."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

from bench_process import REPOSITORY

SECRET = "nobody-may-read-this-0123456789"
BUCKET = "laboratory"
SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


def missing() -> str:
    """Why there is no S3 server or client here, or nothing."""
    for name, wanted in (("s3fs", "the extra s3"), ("moto", "moto[s3,server]")):
        if importlib.util.find_spec(name) is None:
            return f"no {name} here: pip install {wanted}"
    return ""


@contextmanager
def server() -> Iterator[str]:
    """Yield the address of a running server with an empty bucket."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server that was started takes connections."""
    until = time.monotonic() + 110
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)


def emptied(address: str) -> str:
    """Empty the server, make the bucket, and return its address."""
    for method, path in (("POST", "/moto-api/reset"), ("PUT", f"/{BUCKET}")):
        request = urllib.request.Request(address + path, method=method, data=b"")
        urllib.request.urlopen(request, timeout=30).close()
    return address


def environment(address: str, cache: Path) -> dict[str, str]:
    """What a machine has in its environment: the server, the keys, and a disk of its own."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "BENCH_CACHE": str(cache),
    }


@dataclass
class Answer:
    """What the proxy does with a request instead of passing it on, if anything."""

    status: int = 0
    body: bytes = b""
    lose: bool = False  # pass it on, and lose the answer


@dataclass
class Proxy:
    """Passes requests on to a server, but for those that `judge` answers itself."""

    target: str
    judge: Callable[[str, str, dict[str, str]], Answer | None] = lambda *_: None
    seen: list[str] = field(default_factory=list)
    strip: tuple[str, ...] = ()  # headers that do not arrive
    address: str = ""

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Expect"):
                    body = body or b""
                proxy.seen.append(f"{self.command} {self.path}")
                chosen = proxy.judge(self.command, self.path, dict(self.headers))
                if chosen and chosen.status:
                    self.reply(chosen.status, {}, chosen.body)
                    return
                where = urlsplit(proxy.target)
                with closing(HTTPConnection(where.hostname or "", where.port, timeout=60)) as to:
                    kept = {
                        k: v
                        for k, v in self.headers.items()
                        if k.lower() not in ("expect", *proxy.strip)
                    }
                    to.request(self.command, self.path, body, kept)
                    answer = to.getresponse()
                    content, headers = answer.read(), dict(answer.getheaders())
                if chosen and chosen.lose:
                    self.reply(503, {}, SLOW_DOWN)
                    return
                self.reply(answer.status, headers, content)

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response_only(status)
                length = headers.get("Content-Length") or headers.get("content-length")
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                size = length if self.command == "HEAD" and length else str(len(body))
                self.send_header("Content-Length", size)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing."""

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        self.address = f"http://127.0.0.1:{listening.server_address[1]}"
        try:
            yield self
        finally:
            listening.shutdown()
            listening.server_close()


def page_of_uploads(whole: bytes, asked: str, most: int) -> bytes:
    """The page of a list of uploads that a request asks for, as S3 gives it where there are more:
    moto gives all at once."""
    tree = ElementTree.fromstring(whole)
    space = tree.tag.partition("}")[0] + "}" if tree.tag.startswith("{") else ""
    query = parse_qs(urlsplit(asked).query)
    after = (query.get("key-marker", [""])[0], query.get("upload-id-marker", [""])[0])

    def place(upload: ElementTree.Element) -> tuple[str, str]:
        return upload.findtext(f"{space}Key", ""), upload.findtext(f"{space}UploadId", "")

    uploads = sorted(tree.findall(f"{space}Upload"), key=place)
    left = [upload for upload in uploads if place(upload) > after]
    for upload in uploads:
        if upload not in left[:most]:
            tree.remove(upload)
    more = len(left) > most
    marks = place(left[most - 1]) if more else ("", "")
    told = {"IsTruncated": str(more).lower(), "NextKeyMarker": marks[0]}
    for name, text in {**told, "NextUploadIdMarker": marks[1]}.items():
        found = tree.find(f"{space}{name}")
        found = ElementTree.SubElement(tree, f"{space}{name}") if found is None else found
        found.text = text
    return ElementTree.tostring(tree)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def machine(variables: dict[str, str]) -> Iterator[None]:
    """Be the machine with these variables, in this process."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def start(variables: dict[str, str], *argv: str, script: str = "") -> subprocess.Popen[str]:
    """Start a command on a machine, in a process of its own; or a script with it."""
    program = ["-c", script] if script else ["-m", "benchmark.cli.main"]
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, *program, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )
