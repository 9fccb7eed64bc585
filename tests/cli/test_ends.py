"""What a person or a full disk can cause ends in one line that says what is kept and what to do."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_process import Ran, bench, finish, run_argv, spawn, tiny_workspace

from benchmark.cli import main as ends


def one_line(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code and "Traceback" not in ran.err + ran.out, ran.err
    said = [line for line in ran.err.splitlines() if line.startswith("bench: ")]
    assert len(said) == 1 and all(word in said[0] for word in words), ran.err


@pytest.mark.parametrize("after", [1, 4, 9, 15, 22])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    root, flush, done = tiny_workspace(tmp_path / "workspace"), os.fsync, []

    def full(handle: int) -> None:
        done.append(handle)
        if len(done) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    argv = run_argv(root, "unet", "--folds", "0,1", "--checkpoint-seconds", "0")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ran = bench(*argv)
    one_line(ran, 1, "no space left", str(root), "is whole and stays", "the same command again")
    assert not list(root.rglob(".tmp-*"))
    assert bench(*argv).code == 0 and bench("store", "verify", "--root", str(root)).code == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_full_for_real(small_disk: Path) -> None:
    root = tiny_workspace(small_disk / "workspace")
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 30_000))
    ran = finish(spawn(*run_argv(root, "unet", "--folds", "0")), 120)
    one_line(ran, 1, "no space left", str(root))
    ballast.unlink()
    assert bench(*run_argv(root, "unet", "--folds", "0")).code == 0


def test_results_that_is_a_file_and_a_lock_that_is_a_folder(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    argv = run_argv(root, "unet", "--folds", "0")
    (root / "results").write_text("in the way")
    ran = bench(*argv)
    assert ran.code == 1 and "Traceback" not in ran.err and "results" in ran.err
    (root / "results").unlink()
    for path in (root / "objects").glob("*.lock"):
        path.unlink(missing_ok=True)
        path.mkdir()
    ran = bench(*argv)
    assert ran.code == 1 and "Traceback" not in ran.err and ".lock" in ran.err, ran.err


LONG = "x" * 5000


@pytest.mark.parametrize(
    "argv",
    [
        ["status", "--root", LONG],
        ["report", "--root", LONG],
        ["run", "--method", "unet", "--root", LONG],
        ["store", "verify", "--root", "/dev/null"],
    ],
)
def test_paths_that_cannot_be(argv: list[str]) -> None:
    ran = bench(*argv)
    one_line(ran, 2)
    assert len(ran.err) < 1000


def test_ledger_that_is_a_file(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    (root / "ledger").write_text("in the way")
    assert "Traceback" not in bench("status", "--root", str(root)).err
    one_line(bench(*run_argv(root, "unet", "--folds", "0")), 2, "ledger")


def test_format_that_is_no_text(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    (root / "format").write_bytes(b"\xff\xfe" * 3000)
    for command in (["status", "--root", str(root)], run_argv(root, "unet")):
        ran = bench(*command)
        one_line(ran, 2, "has format")
        assert len(ran.err) < 1000


def test_ends_of_other_kinds(tmp_path: Path) -> None:
    for error, code, word in (
        (OSError(errno.EIO, "broken", "a file"), 1, "broken"),
        (PermissionError(errno.EACCES, "denied", "a file"), 2, "'a file': denied"),
        (MemoryError("no room"), 1, "MemoryError: no room"),
        (SystemExit(3), 1, "sys.exit(3)"),
    ):
        ended = ends.ended_by(error, tmp_path, "run")
        assert ended is not None and ended[0] == code and word in ended[1]
    assert not (tmp_path / "logs").exists(), "no workspace, no log"
    assert ends.ended_by(ValueError("ours"), tmp_path, "run") is None, (
        "a fault of ours keeps its trace"
    )
