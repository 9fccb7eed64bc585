"""Opening a tracking store: environment, database, artifact folder, what its errors mean, and
bounds of time for one that may answer for ever, a byte at a time.

The parts of MLflow that are private by their documentation but needed here stand in this file and
`database.py` only. MLflow is imported inside functions: it costs seconds and its database is heavy.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from benchmark.files.locks import Lock, lock
from benchmark.tracking.database import DATABASE, HOME, follow_move, make_ready, sqlite_path
from benchmark.tracking.notes import NOTE, experiment_note

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_SECONDS = 60.0  # longer than creating a database takes on a slow disk
CALL_SECONDS = 120.0  # for one call: a file of some hundred MB takes a while
ALL_SECONDS = 6 * 3600.0  # for everything
Found = TypeVar("Found")

# Answers that stay the same however often the question is asked.
_REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "BAD_REQUEST",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "ENDPOINT_NOT_FOUND",
    "INVALID_STATE",
}


def is_refusal(error: Exception) -> bool:
    """Return whether the store understood and said no; false when it is down, slow or locked."""
    return getattr(error, "error_code", None) in _REFUSALS


def first_line(error: BaseException) -> str:
    """Return the first line of an error, short enough for a message."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]


def prepare_environment(seconds: float, environment: dict[str, str] | None = None) -> None:
    """Set MLflow's own switches, unless the user set them: bounded calls, no telemetry, no noise.

    Works on this process (or on `environment`). Each HTTP call tries three times for `seconds`.
    """
    target = os.environ if environment is None else environment
    for name, value in {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(seconds))),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",
        # `--json` owns stdout; MLflow prints a link there when a run ends.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # No SQLite connection outlives its use, so the file may be deleted, moved or replaced.
        "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
    }.items():
        target.setdefault(name, value)


@dataclass
class Store:
    """An open tracking store. `local` tells that this process writes artifacts itself."""

    uri: str
    artifacts: Path
    client: MlflowClient
    local: bool
    lock: Lock
    experiments: dict[str, str] = field(default_factory=dict)

    def experiment(self, dataset: str) -> str:
        """Return the id of the experiment of a data set; creates it, or takes it out of the
        bin, where needed."""
        if dataset not in self.experiments:
            with self.lock:
                self.experiments[dataset] = self._experiment(dataset)
        return self.experiments[dataset]

    def _experiment(self, dataset: str) -> str:
        found = self.client.get_experiment_by_name(dataset)
        if found is None:
            try:
                return str(self._create(dataset))
            except Exception as error:
                found = self.client.get_experiment_by_name(dataset)  # another machine was faster
                if found is None:
                    raise error
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _create(self, dataset: str) -> str:
        home = self.artifacts.as_uri() if self.local else None
        tags = {
            # Else the page asks every visitor what kind of experiment this is.
            "mlflow.experimentKind": "custom_model_development",
            NOTE: experiment_note(),
            **({HOME: home} if home else {}),
        }
        return str(self.client.create_experiment(dataset, artifact_location=home, tags=tags))


def connect(
    uri: str, artifacts: Path, seconds: float, say: Callable[[str], None] = lambda text: None
) -> Store:
    """Open `uri`. Creates a SQLite database (one process at a time) and its folder if missing; a
    broken one of the workspace is set aside and made anew, and `say` is told.

    Raises whatever MLflow or SQLite raise when the store cannot be reached.
    """
    prepare_environment(seconds)
    artifacts = artifacts.resolve()
    artifacts.parent.mkdir(parents=True, exist_ok=True)
    one = lock(artifacts.parent / ".mlflow.lock", seconds=LOCK_SECONDS)
    path = sqlite_path(uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    from mlflow import MlflowClient

    if os.environ.get("MLFLOW_LOGGING_LEVEL") == "CRITICAL":
        for name in ("mlflow", "alembic", "urllib3.connectionpool"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if path is not None:
        with one:
            own = path == artifacts.parent / DATABASE
            make_ready(path, artifacts, seconds, own=own, say=say)
            follow_move(path, artifacts, seconds)
    local = not uri.startswith(("http:", "https:", "databricks"))
    return Store(uri, artifacts, MlflowClient(uri), local, one)


def bounded(
    uri: str,
    artifacts: Path,
    work: Callable[[Store], Found],
    *,
    seconds: float = 3.0,
    say: Callable[[str], None] = lambda text: None,
) -> Found:
    """Return what `work` makes of the store at `uri`, opened as `connect` does, in a thread.

    Raises what either raises, and `TimeoutError` where one call takes longer than CALL_SECONDS or
    all of it longer than ALL_SECONDS: the thread is left behind then. The time limits of HTTP do
    not suffice: they count from the last byte on.
    """
    clock = _Clock()
    done: list[Found] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            store = connect(uri, artifacts, seconds, say)
            store.client = cast("MlflowClient", _Timed(store.client, clock))
            done.append(work(store))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="mlflow-sync", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)  # short, so that Ctrl-C is heard
        if thread.is_alive() and (why := clock.over()):
            raise TimeoutError(why)
    if failed:
        raise failed[0]
    return done[0]


@dataclass(kw_only=True)
class _Clock:
    """Since when a call is under way, on the monotonic clock; None between two calls."""

    since: float | None = None
    began: float = field(default_factory=time.monotonic)

    def over(self) -> str:
        """Return what takes too long, or ""."""
        now, since = time.monotonic(), self.since
        if since is not None and now - since > CALL_SECONDS:
            return f"no whole answer within {CALL_SECONDS:g} s"
        return f"not done within {ALL_SECONDS:g} s" if now - self.began > ALL_SECONDS else ""


class _Timed:
    """A client whose calls a clock times."""

    def __init__(self, client: Any, clock: _Clock) -> None:
        self._client, self._clock = client, clock

    def __getattr__(self, name: str) -> Any:
        """Return the client's attribute; its calls are timed."""
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            self._clock.since = time.monotonic()
            try:
                return found(*args, **named)
            finally:
                self._clock.since = None

        return call
