"""A workspace that cannot be written is read all the same."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_process import bench, run_argv, tiny_workspace, tree

from benchmark.files.locks import is_held

ROW = ("--folds", "0,1")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished workspace on a mount that may only be read; without rights to mount one, a folder
    whose permissions do not allow it."""
    place = tmp_path_factory.mktemp("read-only")
    root = tiny_workspace(place / "made")
    for method in ("unet", "fsm"):
        ran = bench(*run_argv(root, method, *ROW))
        assert ran.code == 0, ran.err
    mounted = place / "shared"
    mounted.mkdir()
    bind = subprocess.run(["mount", "--bind", str(root), str(mounted)], capture_output=True)
    if bind.returncode == 0:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(mounted)], check=True)
        yield mounted
        subprocess.run(["umount", "-l", str(mounted)], check=True)
    elif os.geteuid() == 0:
        pytest.skip(f"root writes everywhere, and cannot mount: {bind.stderr.decode().strip()}")
    else:
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        yield root
        for folder in folders:
            folder.chmod(0o755)


def test_it_cannot_be_written(shared: Path) -> None:
    with pytest.raises(OSError):
        (shared / "x").touch()


READERS = (
    ["status"], ["compare", "unet", "fsm"], ["store", "verify"], ["store", "gc", "--dry-run"],
)  # fmt: skip


@pytest.mark.parametrize("argv", READERS)
def test_readers(shared: Path, argv: list[str]) -> None:
    before = tree(shared)
    ran = bench(*argv, "--root", str(shared), "--json")
    assert ran.code == 0 and ran.json and "Traceback" not in ran.err, ran.err
    assert tree(shared) == before


def test_a_report_elsewhere(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    ran = bench("report", "--root", str(shared), "--out", str(out))
    assert ran.code == 0 and (out / "index.html").is_file(), ran.err
    assert "cannot be written" in ran.err
    inside = bench("report", "--root", str(shared))
    assert inside.code == 2 and "--out" in inside.err and "Traceback" not in inside.err


def test_a_plan_and_a_run_in_which_all_is_stored(shared: Path) -> None:
    argv = run_argv(shared, "unet", *ROW, "--json")
    plan = [word for word in argv[1:] if word not in ("--mlflow", "none")]
    assert all(node["cached"] for node in bench("plan", *plan).json["nodes"])
    ran = bench(*argv)
    assert ran.code == 0 and (ran.json["trained"], ran.json["reused"]) == (0, 2), ran.err
    assert bench(*[word for word in argv if word not in ("--mlflow", "none")]).json == ran.json


@pytest.mark.parametrize(
    "more", [["--folds", "2"], ["--fresh"], ["--set", "schedule.epochs=1"]], ids=str
)
def test_what_would_be_trained_is_refused_at_once(shared: Path, more: list[str]) -> None:
    ran = bench(*run_argv(shared, "unet", *ROW), *more)
    assert ran.code == 2 and "cannot be written" in ran.err and len(ran.err.splitlines()) == 1
    gc = bench("store", "gc", "--root", str(shared))
    assert gc.code == 2 and "cannot be written" in gc.err


def test_a_lock_there_is_nobodys(shared: Path) -> None:
    locks = list((shared / "objects").glob("*.lock"))
    assert locks and not any(is_held(path) for path in locks)
