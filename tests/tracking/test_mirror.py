"""The live mirror on the SQLite database of a workspace."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Mirror, dump_experiment, make_cell, make_row, mirror_of

from benchmark.tracking.database import default_uri
from benchmark.tracking.report import CellReport, CurvePoint, RowReport
from benchmark.tracking.sync import sync


def with_figure(root: Path, row: RowReport) -> RowReport:
    if not (root / "figure.png").exists():
        (root / "figure.png").write_bytes(b"picture")
    return replace(row, artifacts=(root / "figure.png",))


def log_all(root: Path, warnings: list[str]) -> tuple[RowReport, list[CellReport]]:
    """Log a row and two cells as a training does: curves in parts, then the end."""
    row = with_figure(root, make_row())
    cells = [make_cell(row, fold) for fold in (0, 1)]
    with mirror_of(root, warnings) as mirror:
        for cell in cells:
            mirror.cell(replace(cell, done=False, metrics={}, points=cell.points[:2]))
            mirror.cell(replace(cell, done=False, metrics={}, points=cell.points[2:4]))
            mirror.cell(cell)
        mirror.row(row)
        assert mirror.close()
    return row, cells


def test_everything_is_read_back(root: Path, warnings: list[str]) -> None:
    row, cells = log_all(root, warnings)
    seen = dump_experiment(default_uri(root))
    assert set(seen) == {
        "fsm main ",
        "fsm/fold0/seed0 main key-fsm-0",
        "fsm/fold1/seed0 main key-fsm-1",
    }
    parent, child = seen["fsm main "], seen["fsm/fold1/seed0 main key-fsm-1"]
    assert parent["status"] == child["status"] == "FINISHED"
    assert parent["params"] == {"xi": "0.5", "noise": "0.1", "method": "fsm"}
    assert child["params"] == {"xi": "0.5", "lr": "0.0003", "method": "fsm"}
    assert parent["latest"] == row.metrics
    assert parent["files"] == ["figure.png"]
    assert child["files"] == ["spec.json"]
    assert parent["inputs"] == child["inputs"] == [("phantom", "0123456789abcdef")]
    tags = child["tags"]
    assert isinstance(tags, dict)
    wanted = {"level": "fold", "fold": "1", "seed": "0", "key": "key-fsm-1", "parent": "fsm"}
    assert wanted.items() <= tags.items()
    assert tags["flags"] == "resumed"
    assert parent["tags"] == {
        "level": "row",
        "method": "fsm",
        "dataset": "phantom",
        "suite": "main",
        "label": "fsm",
        "preset": "quick",
    } | {
        name: parent["tags"][name]  # type: ignore[index]
        for name in ("identity", "mirror", "mlflow.runName", "mlflow.source.name")
    }
    points = cells[1].points
    assert child["curves"] == {
        name: [(p.epoch, p.value, p.at_ms) for p in points if p.name == name]
        for name in ("train/n_gt/dice", "train/n_gt/fsm")
    } | {name: [(0, value, points[-1].at_ms)] for name, value in cells[1].metrics.items()}
    assert warnings == []


def test_logging_all_again_changes_nothing(root: Path, warnings: list[str]) -> None:
    log_all(root, warnings)
    before = dump_experiment(default_uri(root))
    row, cells = log_all(root, warnings)
    assert dump_experiment(default_uri(root)) == before
    done = sync(default_uri(root), root / "mlartifacts", [(row, cells)])
    assert (done.rows, done.cells) == (1, 2)
    assert done.runs == done.points == done.files == done.removed == done.ended == 0
    assert dump_experiment(default_uri(root)) == before


def test_same_batch_twice_adds_no_point(root: Path, warnings: list[str]) -> None:
    """What all idempotence rests on: a point's time is part of its key in the database."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(default_uri(root))
    run = client.create_run("0").info.run_id
    batch = [Metric("train/loss", 1 / (1 + n), 1000 + n, n) for n in range(800)]
    for _ in range(2):
        client.log_batch(run, metrics=batch)
    assert len(client.get_metric_history(run, "train/loss")) == 800


def test_corrected_values_replace_the_shown_ones(root: Path, warnings: list[str]) -> None:
    row = make_row()
    cell = make_cell(row, 0)
    for value in (0.8, 0.7, float("nan"), 0.6):  # MLflow prefers the larger of two equally old
        with mirror_of(root, warnings) as mirror:
            mirror.cell(replace(cell, metrics={"test/dice/liver": value}))
            mirror.row(replace(row, metrics={"cv/dice/mean": value}))
        seen = dump_experiment(default_uri(root))
        for name, metric in ((("fsm main "), "cv/dice/mean"), (KEY, "test/dice/liver")):
            tags, latest = seen[name]["tags"], seen[name]["latest"]
            assert isinstance(latest, dict) and isinstance(tags, dict)
            if value == value:
                assert latest[metric] == value
            assert (f"{metric}_state" in tags) == (value != value)
    assert warnings == []


KEY = "fsm/fold0/seed0 main key-fsm-0"


def test_nothing_that_is_not_finite_is_sent(root: Path, warnings: list[str]) -> None:
    bad = (float("nan"), float("inf"), float("-inf"))
    points = tuple(
        CurvePoint(name="train/loss", epoch=n, value=v, at_ms=n) for n, v in enumerate((0.5, *bad))
    )
    metrics = {f"test/m{n}": value for n, value in enumerate(bad)}
    with mirror_of(root, warnings) as mirror:
        mirror.cell(make_cell(make_row(), 0, points=points, metrics=metrics))
    child = dump_experiment(default_uri(root))[KEY]
    assert child["curves"] == {"train/loss": [(0, 0.5, 0)]}
    tags = child["tags"]
    assert isinstance(tags, dict)
    assert {n: v for n, v in tags.items() if n.endswith("_state")} == {
        "train/loss_state": "undefined",
        **{f"test/m{n}_state": "undefined" for n in range(3)},
    }
    assert warnings == []


def test_long_and_changed_params_lose_nothing_else(root: Path, warnings: list[str]) -> None:
    many = {f"p{n}": "x" * 600 for n in range(150)}
    for xi in ("1", "2"):
        with mirror_of(root, warnings) as mirror:
            mirror.row(make_row(params={"xi": xi, **many}, metrics={"cv/dice": float(xi)}))
    parent = dump_experiment(default_uri(root))["fsm main "]
    params, tags = parent["params"], parent["tags"]
    assert isinstance(params, dict) and isinstance(tags, dict)
    assert len(params) == 152 and max(map(len, params.values())) == 500
    assert (params["xi"], tags["changed_params"]) == ("1", "xi=2")
    assert parent["latest"] == {"cv/dice": 2.0}
    assert warnings == []


def test_a_run_of_the_environment_is_left_alone(
    root: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(root))
    foreign = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", foreign)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    log_all(root, warnings)
    assert len(dump_experiment(default_uri(root))) == 3
    run = client.get_run(foreign)
    assert not run.data.metrics and not run.data.params and run.info.status == "RUNNING"
    assert client.get_experiment_by_name("elsewhere") is None
    assert warnings == []


def test_a_deleted_database_is_made_again(root: Path, template: Path, warnings: list[str]) -> None:
    row, cells = log_all(root, warnings)
    before = dump_experiment(default_uri(root))
    for path in root.glob("mlflow.db*"):
        path.unlink()
    done = sync(default_uri(root), root / "mlartifacts", [(row, cells)])
    assert done.runs == 3
    after = dump_experiment(default_uri(root))
    # When a parent's figures were sent is the only thing that disk does not know.
    for seen in (before, after):
        del seen["fsm main "]["curves"]
    assert after == before


def test_a_database_deleted_while_training(root: Path, template: Path, warnings: list[str]) -> None:
    cell = make_cell(make_row(), 0)
    with mirror_of(root, warnings) as mirror:
        mirror.cell(replace(cell, done=False, points=cell.points[:2]))
        wait_until_written(mirror)
        for path in root.glob("mlflow.db*"):
            path.unlink()
        shutil.copy(template, root / "mlflow.db")
        mirror.cell(replace(cell, points=cell.points[2:]))
        assert mirror.close()
    curves = dump_experiment(default_uri(root))[KEY]["curves"]
    assert isinstance(curves, dict)
    assert [len(curves[f"train/n_gt/{term}"]) for term in ("dice", "fsm")] == [3, 3]


def wait_until_written(mirror: Mirror) -> None:
    end = time.monotonic() + 20
    while mirror.waiting and time.monotonic() < end:
        time.sleep(0.02)
    assert not mirror.waiting


def test_a_moved_workspace_keeps_its_files(root: Path, tmp_path: Path, warnings: list[str]) -> None:
    from mlflow import MlflowClient

    row, cells = log_all(root, warnings)
    moved = tmp_path / "elsewhere"
    root.rename(moved)
    done = sync(default_uri(moved), moved / "mlartifacts", [(row, cells)])
    assert done.runs == done.points == 0
    client = MlflowClient(default_uri(moved))
    for run in client.search_runs(["1"]):
        assert str(tmp_path / "elsewhere") in run.info.artifact_uri
    files = [seen["files"] for seen in dump_experiment(default_uri(moved)).values()]
    assert sorted(map(str, files)) == ["['figure.png']", "['spec.json']", "['spec.json']"]


def test_closed_without_a_report_is_quick(root: Path, warnings: list[str]) -> None:
    mirror = mirror_of(root, warnings)
    assert mirror.close()
    mirror.row(make_row())
    assert not mirror.close()
    assert warnings == []
