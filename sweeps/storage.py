"""Where studies live: `ROOT/sweeps.db` by default, or a PostgreSQL that several machines share; and
optuna-dashboard on them."""

from __future__ import annotations

import socket
import sqlite3
import warnings
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from benchmark.errors import BadInput
from benchmark.files.locks import lock

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from optuna.storages import RDBStorage

HOST = "127.0.0.1"
WAIT_SECONDS = 30  # for a SQLite that another process writes to
CONNECT_SECONDS = 10
GRACE = 3  # heartbeats missed before a driver counts as dead


def default_url(root: Path) -> str:
    """Return the address of the workspace's own studies."""
    return f"sqlite:///{(root.resolve() / 'sweeps.db').as_posix()}"


def shown(url: str) -> str:
    """Return an address without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


def open_storage(url: str, *, heartbeat_seconds: int = 20, create: bool = True) -> RDBStorage:
    """Return the storage at `url`. A SQLite file is made before any other process needs it, in WAL
    mode; with `create` false a file that is not there is refused.

    Raises `BadInput` for an address that nobody answers or that holds something else. A database
    server may restart meanwhile (`patience.py`).
    """
    import optuna
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    from sweeps.patience import Patient

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    target = _target(url)
    path = Path(target.removeprefix("sqlite:///")) if target.startswith("sqlite:///") else None
    try:
        with warnings.catch_warnings():
            # heartbeats and their callback are what we came for, though called experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            opened = partial(
                RDBStorage if path else Patient,
                target,
                heartbeat_interval=heartbeat_seconds,
                grace_period=GRACE * heartbeat_seconds,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
            if path is None:
                wait = {"connect_timeout": CONNECT_SECONDS}
                return opened(engine_kwargs={"connect_args": wait, "pool_pre_ping": True})
            if not create and not path.is_file():
                raise BadInput(f"no sweep has been run in {path.parent}: there is no {path.name}")
            if not path.parent.is_dir():
                raise OSError(f"there is no folder {path.parent}")
            with lock(path.with_name(f".{path.name}.lock"), seconds=WAIT_SECONDS):
                _prepare_sqlite(path)
                storage = opened(engine_kwargs={"connect_args": {"timeout": WAIT_SECONDS}})
                storage.engine.dispose()
                event.listen(storage.engine, "connect", _write_fast)
                return storage
    except (SQLAlchemyError, sqlite3.Error, OSError, ImportError, RuntimeError) as error:
        # a RuntimeError says that another version of Optuna made the tables
        raise BadInput(f"the storage {shown(url)} cannot be used: {_cause(error)}") from error


def _target(url: str) -> str:
    """The address with a driver that is installed; raises `BadInput` for one that is none."""
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        raise BadInput(
            f"--storage {url}: give sqlite:///FILE or postgresql://USER@HOST:PORT/DATABASE"
        ) from error
    return parsed.render_as_string(hide_password=False)


def _prepare_sqlite(path: Path) -> None:
    """Readers and a writer at once. Fails here, not in a worker, where the file is none of ours."""
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def _write_fast(connection: Any, record: Any) -> None:
    """Not every value waits for the disk. A crash of the machine may lose the last ones, never the
    file, and what is lost is evaluated again from stored trainings."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _cause(error: Exception) -> str:
    inner: Any = getattr(error, "orig", None) or error
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return lines[0] if lines else type(inner).__name__


def serve(url: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve optuna-dashboard on a storage until Ctrl-C, on this machine only; `ready` is told its
    address.

    Raises `BadInput` for a storage that cannot be opened and a port that is taken.
    """
    from optuna_dashboard import wsgi

    storage = open_storage(url, create=False)
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise BadInput(f"port {port} cannot be had on {HOST}: give --port N") from error
    ready(f"{shown(url)}: http://{HOST}:{port}/")
    with suppress(KeyboardInterrupt):
        make_server(HOST, port, guarded(wsgi(storage), port), Threads, Quiet).serve_forever()


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
