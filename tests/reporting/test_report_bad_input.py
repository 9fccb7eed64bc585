"""`bench report` and bad input: one line, exit code 2, nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bench_process import Ran, bench, tiny_workspace, tree
from reported_suite import Reported, report

from benchmark.files import atomic
from benchmark.store.workspace import open_workspace


def refused(ran: Ran, *words: str) -> None:
    assert (ran.code, ran.out) == (2, ""), ran
    assert len(ran.err.splitlines()) == 1 and "Traceback" not in ran.err, ran.err
    for word in words:
        assert word in ran.err, ran.err


def test_no_workspace(tmp_path: Path) -> None:
    refused(report(tmp_path / "none", tmp_path / "out"), "no workspace")
    assert list(tmp_path.iterdir()) == []


def test_no_rows_yet(tmp_path: Path) -> None:
    root = tiny_workspace(open_workspace(tmp_path / "workspace").root)
    before = tree(root)
    refused(bench("report", "--root", str(root)), "no rows yet", "bench run")
    assert tree(root) == before


def test_cells_but_no_rows(reported: Reported, tmp_path: Path) -> None:
    shutil.copytree(reported.root / "ledger", tmp_path / "w/ledger")
    shutil.copytree(reported.root / "data", tmp_path / "w/data")
    open_workspace(tmp_path / "w")
    refused(report(tmp_path / "w", tmp_path / "out"), "no rows yet", "scratch")
    assert not (tmp_path / "out").exists()


def test_an_unknown_suite(reported: Reported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(report(reported.root, out, "--suite", "mine"), "no suite 'mine'", "scratch")
    assert not out.exists()


@pytest.mark.usefixtures("no_figures")
def test_a_folder_that_cannot_be_made(reported: Reported, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(report(reported.root, tmp_path / "file/out"), "cannot be written", "--out")
    refused(report(reported.root, tmp_path / "file"), "is a file", "--out")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_of_something_else(reported: Reported, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    refused(report(reported.root, tmp_path), "not a report", "--out")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.usefixtures("no_figures")
def test_a_disk_that_is_full(
    reported: Reported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(reported.out, out)
    before = tree(out)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "_fsync", full)
    refused(report(reported.root, out), "No space left", "--out")
    assert tree(out) == before, "the older report is still whole"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
