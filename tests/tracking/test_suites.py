"""A named suite has a run of its own above its rows; flags are tags that come and go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from conftest import dump_experiment, make_cell, make_row, mirror_of

from benchmark.tracking.database import default_uri
from benchmark.tracking.report import RowReport, SuiteReport
from benchmark.tracking.sync import Synced, sync

ROW = make_row(in_suite=True)
SUITE = SuiteReport(dataset="phantom", suite="main", metrics={"suite/rows": 1.0})
RUN = "main main "


def sync_all(root: Path, row: RowReport = ROW, suite: SuiteReport = SUITE) -> Synced:
    rows = [(row, [make_cell(row, 0)])]
    return sync(default_uri(root), root / "mlartifacts", rows, suites=[suite])


def seen(root: Path) -> dict[str, Any]:
    return dict(dump_experiment(default_uri(root)))


def test_a_suite_runs_as_long_as_its_rows(root: Path, warnings: list[str]) -> None:
    cell = make_cell(ROW, 0)
    with mirror_of(root, warnings) as mirror:
        mirror.cell(replace(cell, done=False, metrics={}, points=cell.points[:2]))
    assert {run["status"] for run in seen(root).values()} == {"RUNNING"}
    with mirror_of(root, warnings) as mirror:
        mirror.cell(cell)
        mirror.row(ROW)
        mirror.suite(SUITE)
    runs = seen(root)
    assert {run["status"] for run in runs.values()} == {"FINISHED"} and len(runs) == 3
    assert runs[RUN]["tags"]["level"] == "suite" and runs[RUN]["latest"] == {"suite/rows": 1.0}
    assert runs["fsm main "]["tags"]["parent"] == "main" and warnings == []


def test_a_row_of_no_suite_has_no_run_above_it(root: Path) -> None:
    row = make_row()
    sync(default_uri(root), root / "mlartifacts", [(row, [make_cell(row, 0)])])
    assert RUN not in seen(root) and "parent" not in seen(root)["fsm main "]["tags"]


def test_a_suite_that_was_deleted_or_made_twice_is_one_again(root: Path) -> None:
    from mlflow import MlflowClient

    sync_all(root)
    before = seen(root)
    client = MlflowClient(default_uri(root))
    (run,) = client.search_runs(["1"], "tags.level = 'suite'")
    double = client.create_run("1", start_time=run.info.start_time + 1, tags=dict(run.data.tags))
    (row,) = client.search_runs(["1"], "tags.level = 'row'")
    client.set_tag(row.info.run_id, "mlflow.parentRunId", double.info.run_id)
    assert sync_all(root).removed == 1
    assert seen(root) == before
    client.delete_run(run.info.run_id)
    assert sync_all(root).runs == 1
    after = seen(root)
    for runs in (before, after):
        del runs[RUN]["curves"]
    assert after == before


def test_a_report_is_attached_whole_and_again_when_it_changed(root: Path) -> None:
    folder = root / "report"
    (folder / "figures").mkdir(parents=True)
    (folder / "index.html").write_text("one")
    suite = replace(SUITE, folders={"report": folder})
    assert sync_all(root, suite=suite).files == 1 + 1  # and the cell's spec
    assert sync_all(root, suite=suite).files == 0
    (folder / "figures" / "a.png").write_bytes(b"picture")
    assert sync_all(root, suite=suite).files == 2
    assert seen(root)[RUN]["files"] == ["report/figures/a.png", "report/index.html"]


def test_flags_are_tags_and_go_when_they_hold_no_more(root: Path) -> None:
    flags = ("no_gt_gap: GT gap 2.0 %", "fsm_dead: R = 0 in 60 %")
    sync_all(root, replace(ROW, flags=flags))
    tags = seen(root)["fsm main "]["tags"]
    assert tags["flags"] == "; ".join(flags) and tags["flag.fsm_dead"] == flags[1]
    sync_all(root, replace(ROW, flags=flags[:1]))
    tags = seen(root)["fsm main "]["tags"]
    assert {n for n in tags if n.startswith("flag")} == {"flags", "flag.no_gt_gap"}
    sync_all(root)
    assert not any(name.startswith("flag") for name in seen(root)["fsm main "]["tags"])
