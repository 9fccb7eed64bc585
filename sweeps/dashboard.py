"""`bench sweep ui`: optuna-dashboard on the storage of the sweeps."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterable
from contextlib import closing, suppress
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from benchmark.cli.out import put
from benchmark.errors import BadInput
from sweeps.storage import default_url, open_storage, shown

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"


def serve(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C, on this machine only; return 0.

    Raises `BadInput` for a storage that cannot be opened and a port that is taken.
    """
    from optuna_dashboard import wsgi

    url = args.storage or default_url(args.root)
    storage = open_storage(url, create=False)
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, args.port))
        except (OSError, OverflowError) as error:
            raise BadInput(f"port {args.port} cannot be had on {HOST}: give --port N") from error
    put(f"{shown(url)}: http://{HOST}:{args.port}/", flush=True)
    with suppress(KeyboardInterrupt):
        make_server(
            HOST, args.port, guarded(wsgi(storage), args.port), Threads, Quiet
        ).serve_forever()
    return 0


def guarded(app: WSGIApplication, port: int) -> WSGIApplication:
    """Return an application that answers nobody who asks for another host than this machine: a page
    from elsewhere, whose name was made to point here, reads nothing."""
    known = {f"{name}:{port}" for name in (HOST, "localhost")}

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_HOST", "").lower() in known:
            return app(environ, start)
        start("403 Forbidden", [("Content-Type", "text/plain")])
        return [f"this page is http://{HOST}:{port}/ alone\n".encode()]

    return answer


class Threads(ThreadingMixIn, WSGIServer):
    """A thread a request: the page asks several things at once."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Logs no request."""

    def log_message(self, format: str, *args: object) -> None:
        """Ignore it."""
