"""Opening a tracking store: environment, database, artifact folder, and what its errors mean.

The parts of MLflow that are private by their documentation but needed here stand in this file,
`database.py` and `shown.py` only. MLflow is imported inside functions: it costs seconds and its
database is heavy.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from benchmark.tracking.database import make_ready, uri_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
HOME = "bench.artifacts"  # experiment tag: the artifact folder when it was last opened
LOCK_SECONDS = 60.0  # longer than creating a database takes on a slow disk

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


def default_uri(root: Path) -> str:
    """Return the tracking URI of a workspace: a SQLite file `mlflow.db` in `root`.

    The database keeps absolute addresses of artifacts, as MLflow resolves nothing else; `connect`
    rewrites them when the workspace was moved.
    """
    return uri_of(root.resolve() / DATABASE)


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite tracking URI, or None for any other store."""
    if not uri.startswith("sqlite:///"):
        return None
    path = uri.removeprefix("sqlite:///").split("?")[0]
    return Path(path.replace("%3F", "?").replace("%25", "%")).absolute()


def is_refusal(error: Exception) -> bool:
    """Return whether the store understood and said no; false when it is down, slow or locked."""
    return getattr(error, "error_code", None) in _REFUSALS


def one_line(error: BaseException) -> str:
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
    lock: FileLock
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
            "mlflow.note.content": "One run a row of the comparison, its folds below it, "
            "its suite above it. Rows only: search `tags.level = 'row'`.",
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
    lock = FileLock(artifacts.parent / ".mlflow.lock", timeout=LOCK_SECONDS)
    path = sqlite_path(uri)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    from mlflow import MlflowClient

    if os.environ.get("MLFLOW_LOGGING_LEVEL") == "CRITICAL":
        for name in ("mlflow", "alembic", "urllib3.connectionpool"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if path is not None:
        with lock:
            beside = path.parent == artifacts.parent
            own = beside and path.name == DATABASE
            make_ready(path, artifacts, seconds, own=own, say=say)
            with closing(sqlite3.connect(path, timeout=seconds)) as database:
                follow_move(database, artifacts, beside=beside)
    local = not uri.startswith(("http:", "https:", "databricks"))
    return Store(uri, artifacts, MlflowClient(uri), local, lock)


def follow_move(database: sqlite3.Connection, artifacts: Path, *, beside: bool) -> None:
    """Rewrite the artifact addresses of our experiments after the workspace was moved.

    Only experiments that carry our tag are touched. When the database does not lie `beside` the
    artifacts (several workspaces may share it), only those whose old folder is gone.
    """
    new = artifacts.as_uri()
    moved = database.execute(
        "SELECT experiment_id, value FROM experiment_tags WHERE key = ? AND value <> ?",
        (HOME, new),
    ).fetchall()
    with database:
        for experiment, old in moved:
            if beside or not _from_uri(old).exists():
                database.execute(
                    "UPDATE experiments SET artifact_location = ?"
                    " WHERE experiment_id = ? AND artifact_location = ?",
                    (new, experiment, old),
                )
                database.execute(
                    "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)"
                    " WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                    (new, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
                )
                database.execute(
                    "UPDATE experiment_tags SET value = ? WHERE key = ? AND experiment_id = ?",
                    (new, HOME, experiment),
                )


def _from_uri(uri: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(uri).path))
