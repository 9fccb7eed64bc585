"""The whole way: `bench run` on a real MLflow server, killed in mid-run, then `bench sync`."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_process import bench, finish, run_argv, spawn_warm, tiny_workspace
from conftest import Server, dump_experiment

from benchmark.running.bench import Options


@pytest.mark.long
def test_a_run_outlives_its_server_and_sync_fills_the_gap(server: Server, tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path / "work")
    argv = [part if part != "none" else server.uri for part in run_argv(root, "unet", "--json")]
    # long enough that the server dies while folds are still to come
    argv += ["--set", "schedule.epochs=15"]
    running = spawn_warm(*argv)
    until(lambda: len(list((root / "results").glob("*/*/rows.parquet"))) >= 1)
    assert running.poll() is None, "the run ended before the server could be killed"
    server.signal(signal.SIGKILL)
    ran = finish(running, 120)
    assert ran.code == 0, ran.err
    assert ran.err.count("bench sync") == 1
    store = Options(root=root, device="cpu").open()
    entries = store.ledger.entries()
    assert [entry.fold for entry in entries] == [0, 1, 2, 3, 4]
    assert all(store.results.intact(entry.key, entry.evaluation) for entry in entries)

    refused = bench("sync", "--root", str(root), "--mlflow", server.uri)
    assert refused.code == 2 and "Traceback" not in refused.err
    server.start()
    synced = bench("sync", "--root", str(root), "--mlflow", server.uri)
    assert synced.code == 0, synced.err
    assert synced.out.startswith("1 row and 5 cells")
    shown = dump_experiment(server.uri, "tiny")
    assert len(shown) == 6 and all(run["status"] == "FINISHED" for run in shown.values())
    assert all(len(run["curves"]) > 5 for run in shown.values())
    again = bench("sync", "--root", str(root), "--mlflow", server.uri)
    assert "sent now: 0 runs, 0 points, 0 files" in again.out
    assert dump_experiment(server.uri, "tiny") == shown


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
