"""The live mirror on a database that is locked, shared by processes, or broken (F13, F15)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Mirror, dump_experiment, make_cell, make_points, make_row, mirror_of

from benchmark.tracking.database import default_uri
from benchmark.tracking.runs import Runs
from benchmark.tracking.server import connect

LOCKER = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("seconds", [3, 1000])
def test_a_locked_database(root: Path, warnings: list[str], seconds: int) -> None:
    """F13: a lock that ends is waited for; one that does not costs a bounded time."""
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
    command = [sys.executable, "-c", LOCKER, str(root / "mlflow.db"), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as locker:
        assert locker.stdout is not None and locker.stdout.readline() == b"locked\n"
        mirror = mirror_of(root, warnings)
        assert slowest_call(mirror) < 0.1
        start = time.monotonic()
        whole = mirror.close(20.0 if seconds == 3 else 2.0)
        took = time.monotonic() - start
        locker.send_signal(signal.SIGKILL)
    assert whole == (seconds == 3)
    assert took < (15.0 if seconds == 3 else 3.0)
    assert len(warnings) == (seconds != 3)


def slowest_call(mirror: Mirror, calls: int = 50) -> float:
    """Report a training of 50 epochs; return the longest time a call took, in seconds."""
    row = make_row()
    points = make_points(0, calls)
    times = []
    for n in range(calls):
        start = time.perf_counter()
        mirror.cell(make_cell(row, 0, done=n == calls - 1, points=points[n::calls]))
        times.append(time.perf_counter() - start)
    return max(times)


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import Mirror, make_cell, make_row
from benchmark.tracking.database import default_uri
root, fold = Path(sys.argv[1]), int(sys.argv[3])
with Mirror(default_uri(root), artifacts=root / "mlartifacts", warn=print) as mirror:
    mirror.row(make_row(f"own{fold}"))
    while mirror.waiting:
        time.sleep(0.01)
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(4):
        mirror.cell(make_cell(make_row(f"row{n}"), fold))
    assert mirror.close(60)
"""


@pytest.mark.long
def test_two_processes_share_their_parents(root: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(root), str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen(
            [*command, str(fold)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for fold in (0, 1)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == b"ready\n"
    for worker in workers:  # both are warm and start at once
        assert worker.stdin is not None
        worker.stdin.write(b"\n")
        worker.stdin.flush()
    assert [worker.wait(60) for worker in workers] == [0, 0]
    for worker in workers:
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.close()
        worker.stdout.close()
    seen = dump_experiment(default_uri(root))  # asserts that no run is there twice
    assert len(seen) == 2 + 4 + 8
    assert {run["status"] for run in seen.values()} == {"FINISHED"}


def test_writers_at_the_same_instant_make_one_parent(root: Path) -> None:
    uri, artifacts, n_writers = default_uri(root), root / "mlartifacts", 4
    stores = [connect(uri, artifacts, 3.0) for _ in range(n_writers)]
    start = threading.Barrier(n_writers)

    def make(writer: int) -> list[str]:
        runs = Runs(stores[writer])
        made = []
        for n in range(5):
            start.wait(20)
            made.append(runs.open(make_row(f"row{n}")).run_id)
        return made

    with ThreadPoolExecutor(n_writers) as pool:
        ids = list(pool.map(make, range(n_writers)))
    assert ids == [ids[0]] * n_writers
    assert len(stores[0].client.search_runs(["1"])) == 5


def test_a_broken_database_is_a_warning(root: Path, warnings: list[str]) -> None:
    (root / "mlflow.db").write_bytes(b"no database" * 1000)
    with mirror_of(root, warnings) as mirror:
        mirror.row(make_row())
        mirror.cell(make_cell(make_row(), 0))
        assert mirror.close()
    assert len(warnings) == 1 and "set aside" in warnings[0] and "bench sync" in warnings[0]
    assert len(dump_experiment(default_uri(root))) == 2


def test_mlflow_is_not_imported_before_it_is_used() -> None:
    names = "follower", "sync", "ui", "report"
    code = "".join(f"import benchmark.tracking.{name}\n" for name in names)
    code += "import sys; sys.exit('mlflow' in sys.modules or 'sqlalchemy' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
