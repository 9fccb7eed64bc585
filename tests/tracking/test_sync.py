"""`sync` makes MLflow show what is on disk, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from changed_preset import NEW, OLD
from conftest import Mirror, dump_experiment, make_cell, make_points, make_row

from benchmark.errors import BadInput
from benchmark.tracking.database import default_uri
from benchmark.tracking.report import CellReport, CurvePoint
from benchmark.tracking.sync import Synced, sync

ROW = make_row()
KEY = "fsm/fold0/seed0 main key-fsm-0"


def sync_all(root: Path, *cells: CellReport, training: tuple[str, ...] = ()) -> Synced:
    rows = [(ROW, list(cells))]
    return sync(default_uri(root), root / "mlartifacts", rows, training=training)


def log(root: Path, *cells: CellReport) -> None:
    uri, artifacts = default_uri(root), root / "mlartifacts"
    with Mirror(uri, artifacts=artifacts, warn=pytest.fail) as mirror:
        for cell in cells:
            mirror.cell(cell)


def curve(root: Path) -> list[tuple[int, float, int]]:
    curves = dump_experiment(default_uri(root))[KEY]["curves"]
    assert isinstance(curves, dict)
    return list(curves["train/n_gt/dice"])


def test_fills_an_empty_store_once(root: Path) -> None:
    cells = [make_cell(ROW, fold) for fold in (0, 1)]
    first = sync_all(root, *cells)
    assert (first.runs, first.points) == (3, 2 * (6 + 2) + 2)
    before = dump_experiment(default_uri(root))
    assert sync_all(root, *cells) == Synced(
        rows=1, cells=2, runs=0, points=0, files=0, removed=0, ended=0
    )
    assert dump_experiment(default_uri(root)) == before


def test_a_run_of_a_dead_process_is_set_right(root: Path) -> None:
    finished, died, forgotten = (make_cell(ROW, fold) for fold in (0, 1, 2))
    log(root, *(replace(cell, done=False, metrics={}) for cell in (finished, died, forgotten)))
    seen = dump_experiment(default_uri(root))
    assert {run["status"] for run in seen.values()} == {"RUNNING"}
    unfinished = replace(died, done=False, metrics={})
    sync_all(root, finished, unfinished, training=(died.key, forgotten.key))
    assert [run["status"] for _, run in sorted(dump_experiment(default_uri(root)).items())] == [
        "RUNNING",
        "FINISHED",
        "RUNNING",
        "RUNNING",
    ]
    assert sync_all(root, finished, unfinished).ended == 2
    assert [run["status"] for _, run in sorted(dump_experiment(default_uri(root)).items())] == [
        "FINISHED",
        "FINISHED",
        "KILLED",
        "KILLED",
    ]
    again = sync_all(root, finished, unfinished)
    assert again.ended == again.points == again.runs == 0


def test_a_curve_of_a_repeated_attempt_is_replaced(root: Path) -> None:
    """Killed after epoch 2 and resumed from epoch 1: epochs were reported twice."""
    cell = make_cell(ROW, 0)
    log(root, replace(cell, done=False, metrics={}))
    later = tuple(replace(p, at_ms=p.at_ms + 9) if p.epoch == 2 else p for p in cell.points)
    resumed = replace(cell, points=later)
    log(root, replace(resumed, done=False, metrics={}))
    assert len(curve(root)) == 4
    assert sync_all(root, resumed).removed == 1
    assert curve(root) == [
        (p.epoch, p.value, p.at_ms) for p in later if p.name == "train/n_gt/dice"
    ]
    assert sync_all(root, resumed) == Synced(
        rows=1, cells=1, runs=0, points=0, files=0, removed=0, ended=0
    )


def test_a_missing_part_of_a_curve_is_added(root: Path) -> None:
    cell = make_cell(ROW, 0)
    log(root, replace(cell, done=False, metrics={}, points=cell.points[:1]))
    done = sync_all(root, cell)
    assert (done.runs, done.removed, done.points) == (0, 0, 5 + 2 + 2)
    assert len(curve(root)) == 3


def test_double_parents_are_merged(root: Path) -> None:
    """Two machines without a common lock made the same parent, each with a child of its own."""
    from mlflow import MlflowClient

    cells = [make_cell(ROW, fold) for fold in (0, 1)]
    log(root, cells[0])
    client = MlflowClient(default_uri(root))
    (parent,) = client.search_runs(["1"], "tags.level = 'row'")
    tags = dict(parent.data.tags)
    double = client.create_run("1", start_time=parent.info.start_time + 1, tags=tags)
    (child,) = client.search_runs(["1"], "tags.level = 'fold'")
    client.set_tag(child.info.run_id, "mlflow.parentRunId", double.info.run_id)
    assert sync_all(root, *cells).removed == 1
    assert [run.info.run_id for run in client.search_runs(["1"], "tags.level = 'row'")] == [
        parent.info.run_id
    ]
    seen = dump_experiment(default_uri(root))
    assert len(seen) == 3
    assert {run["tags"]["parent"] for name, run in seen.items() if name != "fsm main "} == {"fsm"}  # type: ignore[index]


def test_what_was_deleted_in_the_page_comes_back(root: Path) -> None:
    from mlflow import MlflowClient

    cell = make_cell(ROW, 0)
    sync_all(root, cell)
    before = dump_experiment(default_uri(root))
    client = MlflowClient(default_uri(root))
    (run,) = client.search_runs(["1"], "tags.level = 'fold'")
    client.delete_run(run.info.run_id)
    assert sync_all(root, cell).runs == 1
    assert dump_experiment(default_uri(root)) == before
    client.delete_experiment("1")
    sync_all(root, cell)
    assert dump_experiment(default_uri(root)) == before


def test_one_result_under_two_labels_is_two_runs(root: Path) -> None:
    other = make_row("fsm[noise=0]")
    cells = [make_cell(ROW, 0), make_cell(other, 0, key="key-fsm-0")]
    done = sync(
        default_uri(root),
        root / "mlartifacts",
        [(ROW, cells[:1]), (other, cells[1:])],
    )
    assert done.runs == 4
    assert "fsm[noise=0]/fold0/seed0 main key-fsm-0" in dump_experiment(default_uri(root))


def test_a_file_that_is_missing_is_told_and_costs_nothing_else(root: Path) -> None:
    cell = make_cell(ROW, 0, artifacts=(root / "nowhere.png",))
    done = sync_all(root, cell)
    assert len(done.refused) == 1 and "nowhere.png" in done.refused[0]
    assert len(curve(root)) == 3
    found = make_cell(ROW, 0, artifacts=(root / "nowhere.png",))
    (root / "nowhere.png").write_bytes(b"now")
    assert sync_all(root, found).refused == ()
    assert dump_experiment(default_uri(root))[KEY]["files"] == ["nowhere.png", "spec.json"]


def test_odd_names_arrive(root: Path) -> None:
    row = make_row("fsm[mode='a\"b']", dataset="Schädel/CT 1", suite="it's")
    points = (CurvePoint(name="train/n_gt/a[b]", epoch=0, value=1.0, at_ms=5),)
    cell = make_cell(row, 0, points=points, metrics={"test/dice (liver)": 0.5})
    done = sync(default_uri(root), root / "mlartifacts", [(row, [cell])])
    assert done.refused == ()
    assert sync(default_uri(root), root / "mlartifacts", [(row, [cell])]).points == 0
    child = next(
        run
        for name, run in dump_experiment(default_uri(root), row.dataset).items()
        if "fold" in name
    )
    assert set(child["latest"]) == {"train/n_gt/a_b_", "test/dice _liver_"}  # type: ignore[call-overload]


def test_an_older_database_is_refused_in_one_line(root: Path) -> None:
    """F15: written by another version of MLflow."""
    import sqlite3

    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(BadInput, match="out-of-date") as caught:
        sync_all(root, make_cell(ROW, 0, points=make_points(0)))
    assert len(str(caught.value).splitlines()) == 1


def test_a_row_whose_preset_has_another_name_is_found_again(root: Path) -> None:
    """Its values stay, and with them its runs; parameters are written once in MLflow."""
    cell = make_cell(make_row(params={"preset": "quick"}), 0, params={"preset": "quick"})
    uri, artifacts = default_uri(root), root / "mlartifacts"
    sync(uri, artifacts, [(cell.row, [cell])])
    named = {"preset": "quick-1"}
    row = replace(cell.row, preset="quick-1", preset_hash=OLD.hash, params=named)
    cell = replace(cell, row=row, params=named)
    made = sync(uri, artifacts, [(row, [cell])])
    assert (made.runs, made.removed, made.refused) == (0, 0, ())
    shown = {name: run["tags"] for name, run in dump_experiment(uri).items()}
    assert len(shown) == 2
    assert {tags["preset"] for tags in shown.values() if isinstance(tags, dict)} == {"quick-1"}
    new = replace(row, preset="quick", preset_hash=NEW.hash)
    assert sync(uri, artifacts, [(new, [])]).runs == 1
