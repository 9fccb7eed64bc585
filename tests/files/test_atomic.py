"""Folders and files appear whole or not at all, whenever the writer is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.files.atomic import (
    CHECKSUMS,
    commit_file,
    commit_folder,
    damage,
    read_json,
    sweep_temporaries,
    write_json,
)

ROOT = Path(__file__).parents[2]

# A writer that dies without any clean-up at the n-th of its calls to the operating system.
WRITER = """
import os, pathlib, sys
from benchmark.files import atomic
kind, final, n = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
left = n

def dying(real):
    def call(*args, **kwargs):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return real(*args, **kwargs)
    return call

atomic._fsync = dying(atomic._fsync)
for name in ("rename", "replace", "chmod", "write_text"):
    setattr(pathlib.Path, name, dying(getattr(pathlib.Path, name)))
if kind == "folder":
    with atomic.commit_folder(final, checksums=True) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a").write_bytes(b"new" * 1000)
        atomic.write_json(folder / "b.json", {"x": 1})
else:
    with atomic.commit_file(final) as path:
        path.write_text("new")
os._exit(0 if left else 8)
"""


def killed_at(kind: str, final: Path, n: int) -> int:
    command = [sys.executable, "-c", WRITER, kind, str(final), str(n)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode


def test_a_killed_writer_leaves_a_whole_folder_or_none(tmp_path: Path) -> None:
    states = []
    for n in range(30):
        final = tmp_path / str(n) / "final"
        code = killed_at("folder", final, n)
        states.append(final.exists())
        if final.exists():
            assert damage(final) == "" and read_json(final / "b.json") == {"x": 1}
            assert (final / "deep" / "a").read_bytes() == b"new" * 1000
            assert not list(final.parent.glob(".tmp-*"))
        else:
            assert code == 9
            assert sweep_temporaries(tmp_path, 0) == 1 and not list(tmp_path.rglob(".tmp-*"))
        if code != 9:
            break
    assert states == sorted(states) and states[-2:] == [True, True]  # killed after the rename, too
    assert len(states) >= 10


def test_a_killed_writer_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    seen = []
    for n in range(30):
        final = tmp_path / str(n) / "file"
        final.parent.mkdir()
        final.write_text("old")
        code = killed_at("file", final, n)
        seen.append(final.read_text())
        if code != 9:
            break
    assert seen == sorted(seen, reverse=True) and set(seen) == {"old", "new"}
    assert seen[-2:] == ["new", "new"]


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with pytest.raises(KeyboardInterrupt), commit_folder(final) as folder:
        (folder / "a").write_text("x")
        raise KeyboardInterrupt
    with pytest.raises(OSError, match="full"), commit_file(final) as path:
        path.write_text("x")
        raise OSError("full")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with commit_folder(final) as folder:
        (folder / "a").write_text("first")
    with pytest.raises(FileExistsError), commit_folder(final) as folder:
        raise AssertionError("the body must not run")
    with pytest.raises(OSError), commit_folder(tmp_path / "late") as folder:
        (folder / "a").write_text("second")
        with commit_folder(tmp_path / "late") as other:  # another process was faster
            (other / "a").write_text("first")
    for name in ("final", "late"):
        assert (tmp_path / name / "a").read_text() == "first"
    assert not list(tmp_path.glob(".tmp-*"))


def test_what_is_committed_can_be_read_by_others(tmp_path: Path) -> None:
    with commit_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("x")
    with commit_file(tmp_path / "file") as path:
        path.write_text("x")
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    final = tmp_path / "final"
    with commit_folder(final, checksums=True) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "weights").write_bytes(bytes(range(256)))
        (folder / "empty").write_bytes(b"")
        write_json(folder / "record.json", {"a": 1.5})
    return final


def test_every_flipped_byte_is_found(committed: Path) -> None:
    assert damage(committed) == ""
    files = [path for path in committed.rglob("*") if path.is_file()]
    assert len(files) == 4
    for path in files:
        whole = path.read_bytes()
        for place in range(len(whole)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            assert damage(committed), (path.name, place)
        path.write_bytes(whole)
    assert damage(committed) == ""


def test_every_truncation_and_every_loss_is_found(committed: Path) -> None:
    for name in ("deep/weights", "record.json"):
        path = committed / name
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            assert name in damage(committed)
        path.write_bytes(whole + b"\0")
        assert name in damage(committed)
        path.unlink()
        assert damage(committed) == f"{name} is missing"
        path.write_bytes(whole)
    for length in (0, 1, 100):
        whole = (committed / CHECKSUMS).read_bytes()
        (committed / CHECKSUMS).write_bytes(whole[:length])
        assert CHECKSUMS in damage(committed)
        (committed / CHECKSUMS).write_bytes(whole)
    (committed / CHECKSUMS).unlink()
    assert CHECKSUMS in damage(committed)


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})


def test_only_old_temporaries_are_swept(tmp_path: Path) -> None:
    for name in (".tmp-old", ".tmp-young"):
        (tmp_path / "deep" / name).mkdir(parents=True)
    (tmp_path / "deep" / "kept").mkdir()
    ago = time.time() - 100
    os.utime(tmp_path / "deep" / ".tmp-old", (ago, ago))
    assert sweep_temporaries(tmp_path, 50) == 1
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {".tmp-young", "kept"}


def test_a_clock_that_is_wrong_sweeps_nothing_of_the_living(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a server, whose clock dates the files, is two days behind this machine."""
    (tmp_path / ".tmp-young").mkdir()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86400)
    assert sweep_temporaries(tmp_path, 86400) == 0 and (tmp_path / ".tmp-young").is_dir()
