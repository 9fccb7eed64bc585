"""A report that MLflow shows already is not written again, and MLflow is not even loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import dump_experiment, make_cell, make_row, mirror_of

from benchmark.tracking.database import default_uri, is_shown
from benchmark.tracking.report import CellReport, RowReport, SuiteReport

ROW = make_row(in_suite=True)
CELL = make_cell(ROW, 0)
SUITE = SuiteReport(dataset="phantom", suite="main", metrics={"suite/rows": 1.0})
REPORTS: dict[str, CellReport | RowReport | SuiteReport] = {
    "cell": CELL, "row": ROW, "suite": SUITE,
}  # fmt: skip


def log_all(root: Path) -> None:
    warnings: list[str] = []
    with mirror_of(root, warnings) as mirror:
        mirror.cell(CELL)
        mirror.row(ROW)
        mirror.suite(SUITE)
        assert mirror.close() and warnings == []


def shown(root: Path) -> set[str]:
    """Which of the three reports are shown."""
    artifacts = root / "mlartifacts"
    return {n for n, one in REPORTS.items() if is_shown(default_uri(root), artifacts, one, 1.0)}


def test_what_was_written_is_shown_and_nothing_before(root: Path, tmp_path: Path) -> None:
    assert shown(tmp_path) == shown(root) == set()
    log_all(root)
    assert shown(root) == {"cell", "row", "suite"}
    for changed in (
        replace(CELL, metrics={"test/dice/liver": 0.1}),
        replace(CELL, done=False),
        replace(CELL, key="another"),
        replace(ROW, flags=("no_gt_gap: 3 %",)),
        replace(SUITE, metrics={"suite/rows": 2.0}),
    ):
        assert not is_shown(default_uri(root), root / "mlartifacts", changed, 1.0)


def test_only_a_local_store_is_asked(root: Path) -> None:
    log_all(root)
    assert not is_shown("http://127.0.0.1:9", root / "mlartifacts", CELL, 1.0)


def delete(level: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(default_uri(root))
        (run,) = client.search_runs(["1"], f"tags.level = '{level}'")
        client.delete_run(run.info.run_id)

    return change


def delete_experiment(root: Path) -> None:
    from mlflow import MlflowClient

    MlflowClient(default_uri(root)).delete_experiment("1")


def leave_running(root: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(root))
    (run,) = client.search_runs(["1"], "tags.level = 'fold'")
    client.update_run(run.info.run_id, status="RUNNING")


def break_database(root: Path) -> None:
    for path in root.glob("mlflow.db*"):
        path.unlink()
    (root / "mlflow.db").write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(
    "change, left",
    [
        (delete("fold"), {"row", "suite"}),
        (delete("row"), {"suite"}),
        (delete("suite"), {"cell"}),
        (delete_experiment, set()),
        (leave_running, {"row", "suite"}),
        (break_database, set()),
    ],
)
def test_what_somebody_took_away_is_shown_no_more(
    root: Path, change: Callable[[Path], None], left: set[str]
) -> None:
    log_all(root)
    change(root)
    assert shown(root) == left


def test_a_moved_workspace_is_opened_by_mlflow_once(root: Path, tmp_path: Path) -> None:
    """Else its database would go on naming the old folder."""
    log_all(root)
    moved = tmp_path / "elsewhere"
    root.rename(moved)
    assert shown(moved) == set()
    log_all(moved)
    assert shown(moved) == {"cell", "row", "suite"}


AGAIN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_shown_in_mlflow import log_all
log_all(Path(sys.argv[1]))
sys.exit("mlflow" in sys.modules)
"""


def test_the_same_reports_again_load_no_mlflow(root: Path, template: Path) -> None:
    log_all(root)
    before = dump_experiment(default_uri(root))
    command = [sys.executable, "-c", AGAIN, str(root), str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, env=environment, check=True)
    assert dump_experiment(default_uri(root)) == before
    shutil.copy(template, root / "mlflow.db")
    assert shown(root) == set()  # another store: all is sent again
