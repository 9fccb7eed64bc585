"""A kill or a full disk at any disk operation of a run: the same command ends with the same rows
and weights, every message is a line, and MLflow's database opens or is made again."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_process import bench, run_argv, tiny_workspace, weights
from disk_faults import Server

pytestmark = pytest.mark.long
POINTS = {"kill": 10, "full": 6, "stays full": 6}  # sampled, the first and the last included
EVERY = os.environ.get("FAULT_POINTS") == "all"  # make faults
MIRRORED = 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("fresh"))


def argv(root: Path, *more: str) -> list[str]:
    values: dict[str, Any] = {"schedule__epochs": 1, "ct__width": 2, "gt__width": 2}
    return run_argv(root, "fsm", "--folds", "0", "--checkpoint-seconds", "0", *more, **values)


def result(root: Path) -> dict[str, bytes]:
    """All weights and all rows."""
    rows = sorted((root / "results").glob("[0-9a-f]*/[!.]*/rows.parquet"))
    return weights(root) | {path.relative_to(root).as_posix(): path.read_bytes() for path in rows}


@pytest.fixture(scope="module")
def undisturbed(server: Server, fresh: Path) -> tuple[int, dict[str, bytes]]:
    root = Path(shutil.copytree(fresh, fresh.with_name("undisturbed")))
    code, count, err = server.run(argv(root))
    assert code == 0 and count > 100, err
    return count, result(root)


def one_line(err: str, code: int) -> None:
    assert "Traceback" not in err, err
    told = [line for line in err.splitlines() if line.startswith("bench: ")]
    assert code in (0, 1, -signal.SIGKILL)
    assert code != 1 or any("no space left" in line.lower() for line in told), err


@pytest.mark.parametrize("how", POINTS)
def test_rows_and_weights_are_the_same(
    server: Server, fresh: Path, undisturbed: tuple[int, dict[str, bytes]], how: str
) -> None:
    count, wanted = undisturbed
    draw = random.Random(f"5 {how}")
    sampled = [1, count, *draw.sample(range(2, count), POINTS[how] - 2)]
    for number, after in enumerate(range(1, count + 1) if EVERY else sampled):
        root = Path(shutil.copytree(fresh, fresh.with_name(f"{how}-{number}")))
        code, _, err = server.run(argv(root), after, how)
        one_line(err, code)
        assert code == (-signal.SIGKILL if how == "kill" else code), f"{how} at {after}"
        again, _, err = server.run(argv(root))
        assert again == 0 and "Traceback" not in err, f"{how} at {after}: {err}"
        assert result(root) == wanted, f"{how} at {after}"
        assert bench("store", "verify", "--root", str(root)).code == 0
        shutil.rmtree(root)


@pytest.mark.parametrize("how", POINTS)
def test_the_mirror_is_filled_again(
    server: Server, fresh: Path, undisturbed: tuple[int, dict[str, bytes]], how: str
) -> None:
    draw = random.Random(f"6 {how}")
    for number in range(MIRRORED):
        root = Path(shutil.copytree(fresh, fresh.with_name(f"mirrored-{how}-{number}")))
        mirrored = [word for word in argv(root) if word not in ("--mlflow", "none")]
        code, _, err = server.run(mirrored, draw.randrange(5, undisturbed[0]), how)
        assert code in (0, 1, -signal.SIGKILL) and "Traceback" not in err, err
        assert server.run(mirrored)[0] == 0
        synced = bench("sync", "--root", str(root))
        assert synced.code == 0 and "2 rows and 2 cells are in MLflow" in synced.out, synced.err
        assert result(root) == undisturbed[1]
