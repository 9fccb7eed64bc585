"""The local database is there whole or not at all; a broken one is set aside and filled again."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from bench_process import REPOSITORY, bench, run_argv, tiny_workspace
from conftest import dump_experiment

from benchmark.tracking.database import default_uri, sqlite_path
from benchmark.tracking.server import connect

CONNECT = """
import os, signal, sys
from pathlib import Path
root, after, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
from benchmark.tracking.database import default_uri
from benchmark.tracking.server import connect
import mlflow.store.tracking.sqlalchemy_store  # the time is in the tables, not here
from sqlalchemy import event
from sqlalchemy.engine import Engine
count = 0
@event.listens_for(Engine, "before_cursor_execute")
def step(*_):
    global count
    count += 1
    if count == after:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(28, "No space left on device")
connect(default_uri(root), root / "mlartifacts", 3.0)
print(count)
"""


def broken_off(root: Path, after: int, how: str) -> subprocess.CompletedProcess[str]:
    """Make the database in a process of its own that ends at its statement `after`."""
    root.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    command = [sys.executable, "-c", CONNECT, str(root), str(after), how]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


LATER = [pytest.param(after, marks=pytest.mark.long) for after in (150, 300)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "full"])
@pytest.mark.parametrize(
    "after", [40, *(pytest.param(n, marks=pytest.mark.long) for n in (150, 300))]
)
def test_whatever_ends_the_making_it_is_made_by_the_next(
    tmp_path: Path, after: int, how: str
) -> None:
    ended = broken_off(tmp_path, after, how)
    assert ended.returncode == (-signal.SIGKILL if how == "kill" else 1), ended.stderr[-2000:]
    assert not (tmp_path / "mlflow.db").exists()
    said: list[str] = []
    client = connect(default_uri(tmp_path), tmp_path / "mlartifacts", 3.0, said.append).client
    assert client.create_experiment("after") and not said
    assert how == "kill" or not list(tmp_path.glob(".tmp-mlflow.db*"))


def half_made(path: Path) -> None:
    """As a kill left it while it was made in its place: a table of a step that is not noted."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.execute("DROP TABLE trace_info")


def without_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM alembic_version")


BREAK = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "garbage": lambda path: path.write_bytes(b"no database" * 1000),
    "half made": half_made,
    "without version": without_version,
    "flipped": lambda path: path.write_bytes(
        path.read_bytes()[:8192] + bytes(60_000) + path.read_bytes()[68_192:]
    ),
}


@pytest.mark.parametrize("how", BREAK)
def test_a_broken_one_is_set_aside_and_filled_again(
    template: Path, tmp_path: Path, how: str
) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    assert bench(*run_argv(root, "unet", "--folds", "0")).code == 0
    path = root / "mlflow.db"
    shutil.copy(template, path)
    BREAK[how](path)
    ran = bench("sync", "--root", str(root))
    assert ran.code == 0, ran.err
    assert "is set aside as mlflow.db.broken-0" in ran.err and "sent now: 2 runs" in ran.out
    assert len(dump_experiment(default_uri(root), "tiny")) == 2
    again = bench("sync", "--root", str(root))
    assert again.code == 0 and "broken" not in again.err and "sent now: 0 runs" in again.out


def test_an_emptied_one_is_made_again(template: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    (tmp_path / "mlflow.db-wal").write_bytes(b"of one that was removed")
    said: list[str] = []
    store = connect(default_uri(tmp_path), tmp_path / "mlartifacts", 3.0, said.append)
    assert store.client.create_experiment("x") and not said
    assert sqlite_path(default_uri(tmp_path)) == tmp_path / "mlflow.db"
