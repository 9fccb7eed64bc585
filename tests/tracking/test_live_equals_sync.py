"""What `bench sync` makes of the disk is what live logging made: a suite of real trainings, with
stages, probes, flags, paired differences and a report, dumped from both and compared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from bench_process import SMALL, SMALL_GT, bench, run_argv, tiny_workspace
from conftest import Dump, dump_experiment
from run_here import run_cells

from benchmark.data.library import open_dataset
from benchmark.running.bench import Options
from benchmark.running.cells import plan_cells
from benchmark.running.following import follow
from benchmark.running.mlflow_runs import attach_report
from benchmark.settings.registry import load_registry
from benchmark.settings.resolve import resolve
from benchmark.tracking.database import default_uri

ROWS = {"unet": SMALL, "fsm": {**SMALL, **SMALL_GT}}
FOLDS = (0,)


def train_live(root: Path, suite: str, warnings: list[str]) -> None:
    """Run both rows as a suite does, mirrored as they go."""
    (root / "reports" / suite / "figures").mkdir(parents=True)
    (root / "reports" / suite / "index.html").write_text("<h1>report</h1>")
    (root / "reports" / suite / "figures" / "forest.png").write_bytes(b"picture")
    opened = Options(root=root, device="cpu", precision="fp32").open()
    with follow(default_uri(root), opened, suite, warnings.append) as follower:
        for row, values in ROWS.items():
            setting = resolve(load_registry(), row, "quick", values)
            cells = plan_cells(setting, open_dataset(root, "tiny"), folds=FOLDS, seeds=[0])
            run_cells(cells, opened, suite=suite)
        assert follower and follower.close(120)


def without_clock(dump: Dump) -> Any:
    """A dump but for when the values of rows and suites were sent, which no disk knows."""
    for run in dump.values():
        tags, curves = run["tags"], run["curves"]
        assert isinstance(tags, dict) and isinstance(curves, dict)
        if tags["level"] != "fold":
            del run["curves"]  # `latest` holds their values
    return dump


@pytest.fixture(scope="module")
def trained(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny_workspace(tmp_path_factory.mktemp("live") / "workspace")
    shutil.copy(template, root / "mlflow.db")
    warnings: list[str] = []
    train_live(root, "night", warnings)
    assert warnings == []
    return root


@pytest.fixture(scope="module")
def live(trained: Path) -> Any:
    return without_clock(dump_experiment(default_uri(trained), "tiny"))


def test_the_live_suite_has_all_sections_and_levels(live: Any) -> None:
    levels = [run["tags"]["level"] for run in live.values()]
    assert {level: levels.count(level) for level in set(levels)} == {
        "suite": 1,
        "row": 3,
        "fold": 3 * len(FOLDS),
    }
    (suite,) = (run for run in live.values() if run["tags"]["level"] == "suite")
    assert suite["files"] == ["report/figures/forest.png", "report/index.html"]
    assert suite["latest"] == {"suite/rows": 3.0, "suite/cells": 3.0}
    rows = {name.split("[")[0]: run for name, run in live.items() if run["tags"]["level"] == "row"}
    assert {run["tags"]["parent"] for run in rows.values()} == {"night"}
    stage = next(run for run in live.values() if run["tags"].get("method") == "fsm@stage2")
    assert stage["tags"]["label"].endswith("@stage2")
    for run in live.values():
        sections = {name.split("/")[0] for name in run["latest"]}
        if run["tags"]["level"] == "row":
            assert sections == {"cv", "reference"}
            assert run["inputs"] and run["tags"]["parent"] == "night"
            differs = {name for name in run["latest"] if "_minus_unet" in name}
            assert bool(differs) == (run["tags"]["method"] != "unet")
        elif run["tags"]["level"] == "fold":
            assert {"test", "train", "time"} <= sections
            probed = run["tags"]["method"] == "fsm"
            assert ("probe" in sections) == probed
            assert {"ct.safetensors", "rows.parquet", "spec.json"} <= set(run["files"])
    flagged = [run for run in live.values() if "flags" in run["tags"]]
    assert flagged and all(any(name.startswith("flag.") for name in run["tags"]) for run in flagged)


def test_sync_into_an_empty_store_gives_the_same(
    trained: Path, live: Any, template: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(template, other / "mlflow.db")
    ran = bench("sync", "--root", str(trained), "--mlflow", default_uri(other))
    assert ran.code == 0, ran.err
    assert ran.out.startswith("3 rows and 3 cells of 1 suite are in MLflow; sent now: 7 runs")
    assert without_clock(dump_experiment(default_uri(other), "tiny")) == live


@pytest.mark.long
def test_sync_into_another_server_gives_the_same(trained: Path, live: Any, server: Any) -> None:
    ran = bench("sync", "--root", str(trained), "--mlflow", server.uri)
    assert ran.code == 0, ran.err
    assert without_clock(dump_experiment(server.uri, "tiny")) == live


def test_sync_after_live_finds_nothing_to_do(trained: Path, live: Any) -> None:
    ran = bench("sync", "--root", str(trained))
    assert "sent now: 0 runs, 0 points, 0 files; removed 0, ended 0" in ran.out
    assert without_clock(dump_experiment(default_uri(trained), "tiny")) == live


def test_a_new_report_is_attached_where_it_belongs(trained: Path, live: Any) -> None:
    opened = Options(root=trained, device="cpu", precision="fp32").open()
    (trained / "reports" / "night" / "table.csv").write_text("row,dsc\n")
    said: list[str] = []
    assert attach_report(opened, "night", default_uri(trained), said.append)
    seen = without_clock(dump_experiment(default_uri(trained), "tiny"))
    name = next(name for name, run in seen.items() if run["tags"]["level"] == "suite")
    assert "report/table.csv" in seen[name]["files"] and said == []
    assert {n: r for n, r in seen.items() if n != name} == {
        n: r for n, r in live.items() if n != name
    }


@pytest.mark.long
def test_a_run_by_workers_is_mirrored_as_it_goes(template: Path, tmp_path: Path) -> None:
    """Two cells at a time, each with its own curves: after it a sync finds nothing to do."""
    root = tiny_workspace(tmp_path / "workspace")
    shutil.copy(template, root / "mlflow.db")
    argv = run_argv(root, "fsm", "--folds", "0,1", "--workers", "2")
    argv[argv.index("--mlflow") + 1] = default_uri(root)
    ran = bench(*argv)
    assert ran.code == 0 and "did not take everything" not in ran.err, ran.err
    seen = without_clock(dump_experiment(default_uri(root), "tiny"))
    again = bench("sync", "--root", str(root))
    assert "sent now: 0 runs, 0 points, 0 files; removed 0, ended 0" in again.out, again.out
    assert without_clock(dump_experiment(default_uri(root), "tiny")) == seen
    folds = [run for run in seen.values() if run["tags"]["level"] == "fold"]
    assert len(folds) == 4 and {run["status"] for run in seen.values()} == {"FINISHED"}
    assert all(any(name.startswith("train/") for name in run["curves"]) for run in folds)
