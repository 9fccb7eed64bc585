"""What MLflow shows of a set that was kept apart, and of a row that lacks folds: nothing that a
table or a chart would take for the cross-validation of the whole set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import dump_experiment
from planted_suite import plant, workspace

from benchmark.running.mlflow_runs import row_reports
from benchmark.store.ledger import SCRATCH, Entry
from benchmark.tracking.database import default_uri
from benchmark.tracking.report import RowReport
from benchmark.tracking.sync import sync


@pytest.fixture
def planted(root: Path) -> tuple[Path, list[Entry]]:
    """A row in all folds, each network of which predicted a kept-apart set; one in two folds."""
    made = workspace(root)
    entries = plant(made, {"unet": 0.1}, seeds=(0,), suite=SCRATCH)
    for entry in entries[:1]:
        other = replace(entry, part="on other", evaluation=f"apart{entry.evaluation}", probes=())
        rows = made.results.rows(entry.key, entry.evaluation)
        made.results.commit(entry.key, other.evaluation, rows, {})
        made.ledger.write(other)
    plant(made, {"no-noise": 0.2}, folds=(0, 1), seeds=(0,), suite=SCRATCH)
    return root, entries


def shown(root: Path) -> dict[str, Any]:
    """All that MLflow shows of fold 0, after `bench sync`'s own work on it."""
    made = workspace(root)
    chosen = [entry for entry in made.ledger.entries() if (entry.fold, entry.row) == (0, "unet")]
    done = sync(default_uri(root), root / "mlartifacts", row_reports(made, chosen))
    assert done.refused == ()
    return dict(dump_experiment(default_uri(root), "tiny"))


def test_a_kept_apart_test_shares_no_name_with_the_cross_validation(
    planted: tuple[Path, list[Entry]],
) -> None:
    root, entries = planted
    runs = shown(root)
    apart = {name: run for name, run in runs.items() if run["tags"].get("tested_on") == "other"}
    label = entries[0].label
    assert f"{label} on other default (on other) " in apart and len(apart) == 2
    assert {run["tags"]["level"] for run in apart.values()} == {"row apart", "fold apart"}
    ours = {metric for name, run in runs.items() if name not in apart for metric in run["latest"]}
    theirs = {metric for run in apart.values() for metric in run["latest"]}
    assert theirs and not ours & theirs
    assert {name.split("/")[0] for name in theirs} == {"apart", "fold-apart"}
    level = [run["tags"]["level"] for name, run in runs.items() if name not in apart]
    assert set(level) == {"row", "fold"}


def test_what_an_earlier_version_sent_of_it_goes(
    planted: tuple[Path, list[Entry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, entries = planted
    with monkeypatch.context() as before:
        before.setattr(RowReport, "identity", property(lambda row: row.former))
        before.setattr(RowReport, "title", property(lambda row: row.label))
        before.setattr(RowReport, "level", lambda row, name: name)
        before.setattr("benchmark.tracking.sync._Whole._drop_former", lambda whole, row: None)
        old = shown(root)
    assert f"{entries[0].label} default (on other) " in old
    new = shown(root)
    assert f"{entries[0].label} default (on other) " not in new and len(new) == len(old)
    assert shown(root) == new


def test_a_row_says_over_how_many_patients_its_means_are(
    planted: tuple[Path, list[Entry]],
) -> None:
    made = workspace(planted[0])
    rows = {row.method: row for row, _ in row_reports(made, made.ledger.entries()) if not row.apart}
    assert rows["unet"].tags["patients"] == "15"
    assert rows["no-noise"].tags["patients"] == "6, INCOMPLETE: 2 of 5 folds"
    assert replace(rows["unet"], patients="6").digest != rows["unet"].digest


def test_the_identity_of_a_row_of_folds_is_what_it_was(
    planted: tuple[Path, list[Entry]],
) -> None:
    root, entries = planted
    plain = RowReport(dataset="tiny", suite="scratch", label="unet", method="unet", preset="quick")
    assert plain.identity == plain.former == replace(plain, patients="9").identity
    assert replace(plain, apart="other").identity != plain.identity
    rows = [row for row, _ in row_reports(workspace(root), entries)]
    assert [row.identity for row in rows] == [row.former for row in rows]
