"""The study's cells move to another workspace without their networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import study_cells
from bench_process import bench
from planted_suite import plant, workspace

from benchmark.running.bench import Options


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A workspace with two finished rows, and its archive beside it."""
    plant(workspace(tmp_path / "w"), {"unet": 0.10, "fsm": 0.05}, seeds=[0])
    (tmp_path / "w" / "objects" / "0123.partial").mkdir()
    (tmp_path / "w" / "objects" / "0123.partial" / "record.json").write_text("{}")
    (tmp_path / "cells").mkdir()
    study_cells.pack(tmp_path / "w", tmp_path / "cells")
    return tmp_path


def test_cells_are_done_in_another_workspace_and_scores_are_equal(packed: Path) -> None:
    shutil.copytree(packed / "w" / "data", packed / "v" / "data")
    assert study_cells.unpack(packed / "v", packed / "cells") > 20
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


def test_the_next_archive_has_what_is_new_or_changed_and_what_is_there_stays(packed: Path) -> None:
    root, cells = packed / "w", packed / "cells"
    assert study_cells.unpack(root, cells) == study_cells.pack(root, cells) == 0
    again = Options(root=root, device="cpu", precision="fp32").open()
    plant(again, {"unet": 0.1, "refine-gt": 0.07}, seeds=[0])
    entry = next((root / "ledger").rglob("*.json"))
    later = entry.read_text() + " "
    entry.write_text(later)
    assert study_cells.pack(root, cells) > 5
    assert [path.name for path in sorted(cells.iterdir())] == ["01.tar.xz", "02.tar.xz"]
    study_cells.unpack(packed / "v", cells)
    assert (packed / "v" / entry.relative_to(root)).read_text() == later
    kept = {path: (packed / "v" / path).read_bytes() for path in study_cells.members(root)}
    assert kept == {path: (root / path).read_bytes() for path in study_cells.members(root)}
    entry.write_text("mine")
    assert study_cells.unpack(root, cells) == 0 and entry.read_text() == "mine"


def test_label_maps_of_whole_suites_are_left_out(packed: Path) -> None:
    root, cells = packed / "w", packed / "cells"
    maps = [path for path in study_cells.members(root) if path.name == "labels.npz"]
    done = frozenset({maps[0].parts[1]})
    assert study_cells.thin(cells, done) == sum(path.parts[1] in done for path in maps) > 0
    assert study_cells.pack(root, cells, done) == 0
    assert study_cells.thin(cells, done) == 0
    study_cells.unpack(packed / "v", cells)
    left = [path for path in study_cells.members(packed / "v") if path.name == "labels.npz"]
    assert left == [path for path in maps if path.parts[1] not in done]
