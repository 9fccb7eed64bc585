"""The file of a local MLflow: made whole or not at all, and set aside when it is broken.

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

BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps next to a database
BROKEN = (
    "malformed", "not a database", "already exists", "no such table", "duplicate column",
    "found version None",
)  # fmt: skip


def uri_of(path: Path) -> str:
    """Return the address of a SQLite file. SQLAlchemy reads `?` and `%41` in it as URL syntax."""
    text = re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", path.as_posix()).replace("?", "%3F")
    return f"sqlite:///{text}"


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
        if not own or not is_broken(error):
            raise
        aside = _set_aside(path)
        say(
            f"{path.name} was broken ({str(error).splitlines()[0][:200]}): it is set aside as "
            f"{aside.name} and made again; `bench sync` fills it with all that is on disk"
        )
        _open(path, artifacts, seconds)


def is_broken(error: BaseException) -> bool:
    """Return whether an error says that the file is damaged, or was left half-made."""
    return any(word in str(error) for word in BROKEN)


def _open(path: Path, artifacts: Path, seconds: float) -> None:
    if _is_empty(path, seconds):
        _make(path, artifacts)
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


def _make(path: Path, artifacts: Path) -> None:
    with commit_file(path) as temporary:
        try:
            _tables(temporary, artifacts)
        finally:
            _remove_beside(temporary)
        _remove_beside(path)  # of a database that was removed


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
