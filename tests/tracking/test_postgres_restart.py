"""A suite whose MLflow lies on a PostgreSQL that restarts: nothing is missing, nothing is twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
from bench_process import bench, finish, spawn_warm, tiny_workspace
from conftest import Server, dump_experiment
from suite_process import rows, suite_argv

pytestmark = pytest.mark.long


@pytest.fixture
def database() -> Iterator[postgres.Server]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.running() as one:
        yield one


def test_a_suite_outlives_restarts_of_its_mlflow_s_database(
    database: postgres.Server, tmp_path: Path
) -> None:
    """`fast` and `immediate`, each for two seconds, in one suite."""
    url = database.url.replace("postgresql:", "postgresql+psycopg:")
    server = Server(tmp_path, url)
    server.start(seconds=110)
    try:
        root = tiny_workspace(tmp_path / "work")
        argv = suite_argv(root, "unet", "--workers", "1", "--mlflow", server.uri)
        running = spawn_warm(*argv, "--checkpoint-seconds", "0.1")
        for number, mode in enumerate(("fast", "immediate"), start=1):
            until = time.monotonic() + 100
            while len(list((root / "results").glob("*/[0-9a-f]*/rows.parquet"))) < number:
                assert running.poll() is None and time.monotonic() < until
                time.sleep(0.02)
            database.stop(mode)
            time.sleep(2)
            database.start()
        ran = finish(running, 110)
        assert ran.code == 0 and "Traceback" not in ran.err, ran.err
        shown = dump_experiment(server.uri, "tiny")
        synced = bench("sync", "--root", str(root), "--mlflow", server.uri)
        assert synced.code == 0, synced.err
        if "bench sync" not in ran.err:  # else it said that something is missing
            assert dump_experiment(server.uri, "tiny") == shown
        again = bench("sync", "--root", str(root), "--mlflow", server.uri)
        assert "sent now: 0 runs, 0 points, 0 files" in again.out, again.out
        runs = dump_experiment(server.uri, "tiny")
        assert all(run["status"] == "FINISHED" for run in runs.values())
        undisturbed = tiny_workspace(tmp_path / "undisturbed")
        assert finish(spawn_warm(*suite_argv(undisturbed, "unet")), 110).code == 0
        assert rows(root) == rows(undisturbed) != {}
    finally:
        server.kill()
