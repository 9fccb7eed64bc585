"""Without locks: two processes make the same at the same time, and the commit alone decides."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bench_process import REPOSITORY, bench, run_argv, tiny_workspace, tree, weights
from two_writers import MEETING, NO_LOCKS

from benchmark.files.atomic import commit_file, commit_folder, move_aside
from benchmark.files.locks import brief_lock, is_own_disk

# flock fails as on a file system that has none, and both writers meet before each commit
WRITER = (
    f"{NO_LOCKS}{MEETING}"
    + """
import sys
from benchmark.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
)


def writer(meeting: Path, argv: list[str]) -> subprocess.Popen[str]:
    of_its_own = {"MEETING": str(meeting)}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **of_its_own, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
    )


@pytest.mark.long
def test_two_train_the_same_key_without_a_lock(tmp_path: Path) -> None:
    """One object, equal rows, nothing half; each says in one line that there are no locks."""
    root, alone = tmp_path / "shared", tmp_path / "alone"
    tiny_workspace(root)
    tiny_workspace(alone)
    assert bench(*run_argv(alone, "unet", "--folds", "0")).code == 0
    (tmp_path / "meeting").mkdir()
    argv = run_argv(root, "unet", "--folds", "0", "--checkpoint-seconds", "0")
    writers = [writer(tmp_path / "meeting", argv) for _ in range(2)]
    ended = [(process.communicate(timeout=110), process.returncode) for process in writers]
    assert [code for _, code in ended] == [0, 0], ended
    for (_, err), _ in ended:
        assert len(re.findall("has no locks", err)) == 1 and "Traceback" not in err, err
    assert sum("trained twice at the same time" in err for (_, err), _ in ended) == 1, ended
    assert weights(root) == weights(alone) != {}
    assert rows(root) == rows(alone)
    left = [p for p in root.rglob("*") if p.name.startswith(".tmp-") or "aside" in p.parts]
    assert not left and not list((root / "objects").glob("*.partial"))
    assert bench("store", "verify", "--root", str(root)).code == 0


def rows(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(root / "results").items() if "lock" not in name}


def test_of_two_folders_and_of_two_files_one_becomes_the_name(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), commit_folder(tmp_path / "one") as mine:
        (mine / "file").write_text("mine")
        with commit_folder(tmp_path / "one") as theirs:
            (theirs / "file").write_text("theirs")
    assert tree(tmp_path) == {"one/file": b"theirs"}
    with pytest.raises(FileExistsError), commit_file(tmp_path / "two", new=True) as mine:
        mine.write_text("mine")
        with commit_file(tmp_path / "two", new=True) as theirs:
            theirs.write_text("theirs")
    assert tree(tmp_path) == {"one/file": b"theirs", "two": b"theirs"}
    place = move_aside(tmp_path / "one", tmp_path / "aside", "one")
    assert place.name == "one-0" and (place / "file").is_file()


@pytest.mark.parametrize(
    ("folder", "own"),
    [
        ("/home/anna/w", True),
        ("/srv/w", False),
        ("/srv/local disk/w", True),
        ("/worker", True),
        ("/fuse/w", False),
    ],
)
def test_a_disk_of_ones_own_by_the_table_of_mounts(folder: str, own: bool) -> None:
    table = (
        "rootfs / ext4 rw 0 0\nserver:/x /srv nfs4 rw 0 0\n"
        "/dev/sdb /srv/local\\040disk xfs rw 0 0\ns3 /fuse fuse.s3fs rw 0 0\n"
    )
    assert is_own_disk(Path(folder), table) is own


def test_the_brief_lock_goes_where_the_disk_is_our_own(tmp_path: Path) -> None:
    with brief_lock(tmp_path / "made"):
        assert (tmp_path / "made.lock").is_file()
    assert (tmp_path / "made.lock").exists() is not is_own_disk(tmp_path)
