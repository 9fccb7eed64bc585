"""Paths as Windows has them, where no such machine is at hand: what is made of them, and whether
Windows takes the names of the files that a workspace holds."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

import pytest
from bench_process import REPOSITORY

from benchmark.cli.store_space import part_of
from benchmark.tracking.database import sqlite_path, uri_of
from sweeps.spaces import find_sweep

WORKSPACE = PureWindowsPath(r"C:\Users\Jane Doe\ws")
DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}


def windows(*parts: str) -> Path:
    """A Windows path, where a function asks for the path of this machine."""
    return cast(Path, WORKSPACE.joinpath(*parts))


def test_the_address_of_a_database_has_slashes_and_leads_back() -> None:
    uri = uri_of(windows("mlflow.db"))
    assert uri == "sqlite:///C:/Users/Jane Doe/ws/mlflow.db"
    back = sqlite_path(uri)
    assert back is not None and back.as_posix().endswith("C:/Users/Jane Doe/ws/mlflow.db")


@pytest.mark.parametrize("inside", ["data/x/slices/k/hu.npy", "objects/aside/k", "data/x/cases/y"])
def test_what_a_file_is_for_does_not_depend_on_the_separator(inside: str) -> None:
    posix, other = PurePosixPath(inside), PureWindowsPath(inside.replace("/", "\\"))
    assert part_of(cast(Path, other)) == part_of(cast(Path, posix))


def test_a_space_of_a_file_on_a_drive_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The colon behind the drive is not the one before the function."""
    monkeypatch.chdir(tmp_path)
    code = "def own(trial):\n    return {'xi': trial.suggest_float('xi', 0.1, 1.0)}\n"
    for name in (r"C:\space.py", "space.py"):
        Path(name).write_text(code)
        assert find_sweep(f"{name}:own").name == "own"


def test_a_workspace_holds_no_name_that_windows_refuses() -> None:
    (archive,) = (REPOSITORY / "tests/kept").glob("*.tar.xz")
    with tarfile.open(archive) as packed:
        names = packed.getnames()
    parts = {part for name in names for part in name.split("/")}
    assert len(parts) > 50
    wrong = {p for p in parts if re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$', p)}
    assert wrong == set()
    assert {p for p in parts if p.partition(".")[0].lower() in DEVICES} == set()
    assert max(map(len, names)) < 160, "Windows takes 260 letters, the place of the workspace too"
