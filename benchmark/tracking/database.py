"""The SQLite file of a local MLflow: made whole or not at all, set aside when it is broken, asked
what it shows, and told that its workspace was moved. MLflow itself is loaded to make tables alone.

MLflow makes its tables in fifty steps, some of which cannot be taken twice: a process that dies in
between leaves a file that nothing opens any more. So it is made under another name.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmark.files.atomic import commit_file
from benchmark.tracking.report import IDENTITY, PARENT, WHOLE, AnyReport

OFF = "none"  # of --mlflow: no MLflow at all
DATABASE = "mlflow.db"
HOME = "bench.artifacts"  # experiment tag: the artifact folder when it was last opened
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps next to a database
BROKEN = re.compile(
    "malformed|not a database|already exists|no such table|duplicate column|found version None"
)
RUN = """
SELECT runs.run_uuid, runs.status, whole.value, parent.value
FROM tags
JOIN runs ON runs.run_uuid = tags.run_uuid AND runs.lifecycle_stage = 'active'
JOIN experiments ON experiments.experiment_id = runs.experiment_id
    AND experiments.lifecycle_stage = 'active' AND experiments.name = ?
JOIN experiment_tags AS home ON home.experiment_id = experiments.experiment_id
    AND home.key = ? AND home.value = ?
LEFT JOIN tags AS whole ON whole.run_uuid = runs.run_uuid AND whole.key = ?
LEFT JOIN tags AS parent ON parent.run_uuid = runs.run_uuid AND parent.key = ?
WHERE tags.key = ? AND tags.value = ?
ORDER BY runs.start_time, runs.run_uuid LIMIT 1
"""
MOVED = """
UPDATE experiments SET artifact_location = :new
    WHERE experiment_id = :experiment AND artifact_location = :old;
UPDATE runs SET artifact_uri = :new || substr(artifact_uri, length(:old) + 1)
    WHERE experiment_id = :experiment AND substr(artifact_uri, 1, length(:old) + 1) = :old || '/';
UPDATE experiment_tags SET value = :new WHERE key = :home AND experiment_id = :experiment
"""


def default_uri(root: Path) -> str:
    """Return the tracking URI of a workspace: a SQLite file `mlflow.db` in `root`.

    The database keeps absolute addresses of artifacts, as MLflow resolves nothing else;
    `follow_move` rewrites them when the workspace was moved.
    """
    return uri_of(root.resolve() / DATABASE)


def uri_of(path: Path) -> str:
    """Return the address of a SQLite file. SQLAlchemy reads `?` and `%41` in it as URL syntax."""
    text = re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", path.as_posix()).replace("?", "%3F")
    return f"sqlite:///{text}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite tracking URI, or None for any other store."""
    if not uri.startswith("sqlite:///"):
        return None
    path = uri.removeprefix("sqlite:///").split("?")[0]
    return Path(path.replace("%3F", "?").replace("%25", "%")).absolute()


def is_shown(uri: str, artifacts: Path, report: AnyReport, seconds: float) -> bool:
    """Return whether the MLflow at `uri` shows a report whole, below the run that it belongs to.

    To import MLflow and to open its store takes longer than all else that `bench run` does for a
    row that is stored: so the file is asked for the tag with the digest of a report that arrived.
    Whatever cannot be told here (another kind of store, other tables, a moved workspace, a deleted
    run) counts as not shown. A locked database is waited for `seconds`; nothing is written, and
    nothing raised.
    """
    path = sqlite_path(uri)
    if path is None or not path.is_file() or not (report.done and report.digest):
        return False
    try:
        with closing(sqlite3.connect(path, timeout=seconds)) as database:
            _, status, whole, parent = _run(database, artifacts, report)
            above = _run(database, artifacts, report.above)[0] if report.above else parent
    except sqlite3.Error:
        return False
    return (status, whole, parent) == ("FINISHED", report.digest, above)


def _run(
    database: sqlite3.Connection, artifacts: Path, report: AnyReport
) -> tuple[str | None, ...]:
    """Id, status, digest and parent of a report's run: the oldest of several, as `Runs` does."""
    home = (HOME, artifacts.resolve().as_uri())
    wanted = (report.dataset, *home, WHOLE, PARENT, IDENTITY, report.identity)
    return database.execute(RUN, wanted).fetchone() or ("none", None, None, None)


def make_ready(
    path: Path, artifacts: Path, seconds: float, *, own: bool, say: Callable[[str], None]
) -> None:
    """Make the database where there is none; readers and a writer may then work at once.

    An `own` one (the workspace's, which can be filled again from disk) that is broken is set aside
    and made anew, and `say` is told. Raises what SQLite or MLflow raise for any other fault: no
    such folder, no rights, locked for `seconds`, made by another version of MLflow.
    """
    try:
        _open(path, artifacts, seconds)
    except Exception as error:
        if not own or not BROKEN.search(str(error)):
            raise
        aside = _set_aside(path)
        say(
            f"{path.name} was broken ({str(error).splitlines()[0][:200]}): it is set aside as "
            f"{aside.name} and made again; `bench sync` fills it with all that is on disk"
        )
        _open(path, artifacts, seconds)


def follow_move(path: Path, artifacts: Path, seconds: float) -> None:
    """Rewrite the artifact addresses of our experiments after the workspace was moved.

    Only experiments that carry our tag are touched. When the database does not lie beside the
    artifacts (several workspaces may share it), only those whose old folder is gone.
    """
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    new, beside = artifacts.as_uri(), path.parent == artifacts.parent
    with closing(sqlite3.connect(path, timeout=seconds)) as database, database:
        moved = database.execute(
            "SELECT experiment_id, value FROM experiment_tags WHERE key = ? AND value <> ?",
            (HOME, new),
        ).fetchall()
        for experiment, old in moved:
            if beside or not Path(url2pathname(urlsplit(old).path)).exists():
                values = {"new": new, "old": old, "experiment": experiment, "home": HOME}
                for statement in MOVED.split(";"):
                    database.execute(statement, values)


def _open(path: Path, artifacts: Path, seconds: float) -> None:
    if _is_empty(path, seconds):
        with commit_file(path) as temporary:
            try:
                _tables(temporary, artifacts)
            finally:
                _remove_beside(temporary)
            _remove_beside(path)  # of a database that was removed
    else:
        _tables(path, artifacts)  # not only through a client: that one is cached
    with closing(sqlite3.connect(path, timeout=seconds)) as database:
        if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            database.execute("PRAGMA journal_mode=WAL")


def _is_empty(path: Path, seconds: float) -> bool:
    """Whether there is no database yet, or one without tables. Fails at once where MLflow would try
    for minutes."""
    if not path.exists():
        return True
    with closing(sqlite3.connect(path, timeout=seconds)) as database:
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return True
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed: {found}")
    return False


def _tables(path: Path, artifacts: Path) -> None:
    """Make the tables that are missing."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri_of(path), artifacts.as_uri())  # type: ignore[no-untyped-call]


def _set_aside(path: Path) -> Path:
    places = (path.with_name(f"{path.name}.broken-{n}") for n in itertools.count())
    aside = next(place for place in places if not place.exists())
    path.rename(aside)
    _remove_beside(path)
    return aside


def _remove_beside(path: Path) -> None:
    for ending in BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)
