"""What shares a chapter of `bench report`: never two splits, never two values of a preset. And
which suite it takes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bench_process import bench
from changed_preset import OLD
from planted_suite import plant, workspace
from reported_suite import Reported, report

from benchmark.plan.presets import PRESETS
from benchmark.store.ledger import Ledger


@pytest.fixture
def root(reported: Reported, tmp_path: Path) -> Path:
    """A copy of the reported workspace."""
    return Path(shutil.copytree(reported.root, tmp_path / "workspace"))


@pytest.mark.usefixtures("no_figures")
def test_splits_have_chapters_of_their_own(
    root: Path, reported: Reported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row unet was tested on another split; the rest is as it was."""
    assert "the claim on every set" not in reported.ran.out  # rows that were tried out ask for none
    monkeypatch.setattr("benchmark.reporting.report._claims", lambda *of: True)  # a plan would
    ours = Ledger(root / "ledger").entries()[0].split[:8]
    for path in (root / "ledger/default").glob("*.json"):
        value = json.loads(path.read_text())
        if value["row"] == "unet":
            path.write_text(json.dumps(value | {"split": "another"}))
    out = tmp_path / "out"
    ran = report(root, out, "--skip-hard-cases")
    assert ran.code == 0, ran.err
    page = (out / "index.html").read_text()
    for split in (ours, "another"):
        assert f"tiny, preset quick, split {split}" in page
    assert f"not judged over several splits (tiny, preset quick, split {min(ours, 'another')}" in (
        ran.out
    )
    rows = {
        split: {
            line.split(",")[0].strip('"').partition("[")[0]
            for line in (out / f"tables/tiny-quick-{split}-cost.csv").read_text().splitlines()
        }
        for split in (ours, "another")
    }
    assert "unet" in rows["another"] and "fsm" not in rows["another"]
    assert "fsm" in rows[ours] and "unet" not in rows[ours]
    scores = (out / "tables/scores.csv").read_text().splitlines()
    assert {x.split(",")[1] for x in scores if x.endswith(",another")} == {'"unet[ct.levels=3'}
    assert (reported.out / "tables/tiny-quick-cost.csv").is_file(), "one split is not named"


@pytest.mark.usefixtures("no_figures")
def test_values_of_before_and_after_have_chapters_of_their_own(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench_there = workspace(tmp_path / "other")
    plant(bench_there, {"unet": 0.1}, seeds=(0,), preset="quick-1")
    for folder in ("ledger", "objects", "results"):
        shutil.copytree(tmp_path / "other" / folder, root / folder, dirs_exist_ok=True)
    out = tmp_path / "out"
    assert report(root, out, "--skip-hard-cases").code == 0
    page = (out / "index.html").read_text()
    assert "tiny, preset quick-1" in page and 'id="tiny-preset-quick"' in page
    assert "fsm" not in (out / "tables/tiny-quick-1-cost.csv").read_text()
    monkeypatch.delitem(PRESETS, "quick-1")
    ran = report(root, out, "--skip-hard-cases")
    assert ran.code == 0 and f"Preset quick-{OLD.hash[:6]}: no preset has its values" in ran.out


@pytest.mark.usefixtures("no_figures")
def test_compare_and_report_take_the_same_suite(root: Path, tmp_path: Path) -> None:
    """A workspace that holds only `screen`, never planned, then others too."""
    ledger = Ledger(root / "ledger")
    cells = ledger.entries()
    shutil.rmtree(ledger.folder / "default")

    def fill(suite: str) -> None:
        for cell in cells:
            ledger.write(replace(cell, suite=suite))

    def lines() -> set[str]:
        reported = report(root, tmp_path / "out", "--skip-hard-cases")
        compared = bench("compare", "fsm", "unet", "--root", str(root))
        assert (reported.code, compared.code) == (0, 0), (reported.err, compared.err)
        return set(reported.err.splitlines()) & set(compared.err.splitlines())

    fill("screen")
    assert lines() == {"bench: suite screen"}
    fill("default")
    assert lines() == {"bench: suite scratch (--suite chooses another: screen)"}
    fill("main")
    assert lines() == {"bench: suite main (--suite chooses another: scratch, screen)"}
