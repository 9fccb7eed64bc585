"""The study's cells move to another workspace without their networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import study_cells
from bench_process import bench
from planted_suite import plant, workspace


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A workspace with two finished rows, and its archive beside it."""
    plant(workspace(tmp_path / "w"), {"unet": 0.10, "fsm": 0.05}, seeds=[0])
    (tmp_path / "w" / "objects" / "0123.partial").mkdir()
    (tmp_path / "w" / "objects" / "0123.partial" / "record.json").write_text("{}")
    study_cells.pack(tmp_path / "w", tmp_path / "cells.tar.xz")
    return tmp_path


def test_cells_are_done_in_another_workspace_and_scores_are_equal(packed: Path) -> None:
    shutil.copytree(packed / "w" / "data", packed / "v" / "data")
    assert study_cells.unpack(packed / "v", packed / "cells.tar.xz") > 20
    assert not [*(packed / "v" / "objects").rglob("*.safetensors")]
    assert not (packed / "v" / "objects" / "0123.partial").exists()
    there, here = (
        bench("compare", "fsm", "unet", "--json", "--root", str(packed / name)) for name in "wv"
    )
    assert there.code == here.code == 0, here.err
    assert there.json["comparisons"] == here.json["comparisons"]
    left = [bench("status", "--root", str(packed / name)).out for name in "wv"]
    assert left[0] == left[1] and left[0].count(": 5 done") == 3, left
    report = bench("report", "--json", "--root", str(packed / "v"))
    assert report.code == 0, report.err


def test_what_is_there_stays_and_the_same_gives_the_same_bytes(packed: Path) -> None:
    first = (packed / "cells.tar.xz").read_bytes()
    assert study_cells.unpack(packed / "w", packed / "cells.tar.xz") == 0
    study_cells.pack(packed / "w", packed / "again.tar.xz")
    assert (packed / "again.tar.xz").read_bytes() == first
