"""A full disk at each place where a run writes. `tests/test_disk_faults.py` fills it at any of a
run's disk operations; here it stays full for one kind of files."""

from __future__ import annotations

from pathlib import Path

from bench_process import Ran, bench
from chaos import ALONE, Command, Place, Seen, fault, training
from disk_faults import Server

DISK = "a full disk"
SAID = "no space left"
# SQLite asks the system by itself; its own limit of pages ends in the error of a full disk
PAGES = """
import sqlite3
class Full(sqlite3.Connection):
    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        if "mlflow" in str(args[0]):
            self.execute("PRAGMA max_page_count = 40")
connect = sqlite3.connect
def full(*args, **named):
    return connect(*args, **{"factory": Full, **named})
sqlite3.connect = sqlite3.dbapi2.connect = full
"""


def full(place: Place, where: str) -> Seen:
    """Fill the disk for all files below the workspace whose path matches."""
    root = place.root()
    with Server(place.site()) as server:
        code, count, err = server.run(ALONE.argv(root), after=1, how="stays full", where=where)
    assert count, "nothing was written there"
    ran = Ran(code=code, out="", err=err)
    return place.again(ran, root, SAID)


@fault(DISK, "in a checkpoint", short=True)
def in_a_checkpoint(place: Place) -> Seen:
    return full(place, r"/objects/\w+\.partial/")


@fault(DISK, "while a training is committed", short=True)
def in_a_commit(place: Place) -> Seen:
    return full(place, r"/objects/\.tmp-[0-9a-f]{20}-")


@fault(DISK, "while rows are written", short=True)
def in_rows(place: Place) -> Seen:
    return full(place, r"/results/")


@fault(DISK, "while the ledger is written")
def in_the_ledger(place: Place) -> Seen:
    return full(place, r"/ledger/")


@fault(DISK, "in MLflow's database")
def in_mlflow(place: Place) -> Seen:
    """Results are whole, and `bench sync` fills MLflow when there is room."""
    root, site = place.root(), place.site()
    (site / "sitecustomize.py").write_text(PAGES)
    mirrored = Command(argv=mirrored_argv)
    ran = Command(argv=mirrored_argv, site=site, cold=True).run(root)
    seen = place.again(ran, root, "bench sync", mirrored)
    synced = bench("sync", "--root", str(root))
    assert synced.code == 0 and "2 cells are in MLflow" in synced.out, synced
    return seen


def mirrored_argv(root: Path) -> list[str]:
    argv = training(root, "1")
    at = argv.index("--mlflow")
    return argv[:at] + argv[at + 2 :]
