"""Rows and label maps by key; the ledger's names."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_process import flip
from changed_preset import NEW, OLD

from benchmark.errors import BadInput
from benchmark.plan.presets import FIRST, PRESETS
from benchmark.store.ledger import Entry, Ledger
from benchmark.store.results import ResultRow, Results
from benchmark.store.workspace import open_workspace

KEY, EVALUATION = "0123456789abcdef0123", "0123456789ab"
ROW = ResultRow(
    key=KEY, seed=2**63 - 1, fold=1, case="a b", organ="liver", state="missed", metric="assd",
    value=math.nan, unit="mm", n_voxels_true=7, code="c",
)  # fmt: skip
ENTRY = Entry(
    dataset="set", row="fsm", label="fsm[xi=1]", preset="quick", overrides={"xi": 1}, fold=0,
    seed=0, part="test", key=KEY, evaluation=EVALUATION, split="s", nodes=("p", KEY),
)  # fmt: skip
FIRST_QUICK = next(values for values, name in FIRST.items() if name == "quick")


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def results(tmp_path: Path, warnings: list[str]) -> Results:
    made = Results(tmp_path / "results", warnings.append)
    labels = {"a b": np.full((2, 3, 4), 3, dtype=np.uint8)}
    made.commit(KEY, EVALUATION, [ROW, replace(ROW, value=0.1 + 0.2, metric="dsc")], labels)
    return made


def test_rows_and_labels_come_back_exactly(results: Results) -> None:
    undefined, defined = results.rows(KEY, EVALUATION)
    assert math.isnan(undefined.value) and replace(undefined, value=0.0) == replace(ROW, value=0.0)
    assert defined.value == 0.1 + 0.2
    labels = results.labels(KEY, EVALUATION, "a b")
    assert labels.dtype == np.uint8 and labels.shape == (2, 3, 4) and (labels == 3).all()
    assert results.whole(KEY, EVALUATION) and list(results.faults()) == [
        (f"{KEY}/{EVALUATION}", "")
    ]


@pytest.mark.parametrize("file", ["rows.parquet", "labels.npz", "checksums.json"])
def test_damage_moves_rows_away(results: Results, warnings: list[str], file: str) -> None:
    flip(results.path(KEY, EVALUATION) / file, 5)
    assert not results.intact(KEY, EVALUATION) and not warnings
    assert results.has(KEY, EVALUATION), "looking changes nothing"
    assert not results.whole(KEY, EVALUATION)
    assert KEY in warnings[0] and not results.has(KEY, EVALUATION)
    results.commit(KEY, EVALUATION, [ROW], {})
    assert results.intact(KEY, EVALUATION)
    assert list(results.faults()) == [(f"{KEY}/{EVALUATION}", "")], "what lies aside is no result"


def test_discard_all_of_a_key(results: Results) -> None:
    results.commit(KEY, "f" * 12, [ROW], {})
    results.commit("f" * 20, EVALUATION, [ROW], {})
    results.discard_all(KEY)
    assert not results.has(KEY, EVALUATION) and not results.has(KEY, "f" * 12)
    assert results.unused(set()) == [("f" * 20, EVALUATION)]
    assert results.unused({("f" * 20, EVALUATION)}) == []


def test_ledger_keeps_one_file_a_cell(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.entries() == []
    ledger.write(ENTRY)
    ledger.write(replace(ENTRY, state="done", overrides={"xi": 1.0}, nodes=("q", KEY)))
    (kept,) = ledger.entries()
    assert kept.state == "done" and kept.nodes == ("q", KEY), "xi=1 and xi=1.0 are one cell"
    assert (tmp_path / "default").is_dir() and len(list(tmp_path.rglob("*.json"))) == 1


@pytest.mark.parametrize(
    "change",
    [{"fold": 1}, {"seed": 1}, {"part": "inner"}, {"preset": "lite"}, {"dataset": "d"},
     {"label": "fsm"}, {"overrides": {"xi": 2}}, {"suite": "s"}],
)  # fmt: skip
def test_cells_that_differ_are_two(tmp_path: Path, change: dict[str, object]) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(ENTRY)
    ledger.write(replace(ENTRY, **change))  # type: ignore[arg-type]
    assert len(ledger.entries()) == 2


def stored_before(ledger: Ledger, entry: Entry) -> Path:
    """Write an entry as it was written before presets had a hash; return its file."""
    ledger.write(entry)
    path = ledger.folder / entry.suite / f"{entry.name}.json"
    value = json.loads(path.read_text())
    del value["preset_hash"], value["own_split"]
    path.write_text(json.dumps(value))
    return path


def test_names_of_files_stay(tmp_path: Path) -> None:
    name = "b413ef9592cb5c8854ed"  # as it was before presets had a hash
    assert stored_before(Ledger(tmp_path), ENTRY).stem == ENTRY.name == name
    assert replace(ENTRY, preset_hash=OLD.hash).name == name
    (read,) = Ledger(tmp_path).entries()
    assert (read.preset, read.preset_hash, read.name) == ("quick-1", OLD.hash, name)


def test_changed_values_are_cells_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path)
    stored_before(ledger, ENTRY)
    ledger.write(replace(ENTRY, preset_hash=NEW.hash))
    ledger.write(replace(ENTRY, preset="quick-1", preset_hash=OLD.hash, state="done"))
    assert [(e.preset, e.state) for e in ledger.entries()] == [
        ("quick", "started"),
        ("quick-1", "done"),
    ]
    monkeypatch.delitem(PRESETS, "quick-1")
    shown = [entry.preset for entry in ledger.entries()]
    assert shown == ["quick", f"quick-{OLD.hash[:6]}"], "shown, and mixed with no other"


def test_another_split_has_cells_of_its_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for split, own in (("s", False), ("t", False), ("s", True), ("u", True)):
        ledger.write(replace(ENTRY, split=split, own_split=own))
    assert sorted((e.split, e.own_split) for e in ledger.entries()) == [
        ("s", True), ("t", False), ("u", True),
    ], "the set's own split replaces itself when cases are added"  # fmt: skip


def test_a_cell_is_found_by_its_place(tmp_path: Path) -> None:
    told: list[str] = []
    ledger = Ledger(tmp_path, told.append)
    ledger.write(replace(ENTRY, state="done"))
    known = replace(ENTRY, state="done", preset="quick-1", preset_hash=FIRST_QUICK)
    assert ledger.stored(ENTRY) == known
    assert ledger.stored(replace(ENTRY, fold=1)) is None
    assert ledger.stored(replace(ENTRY, suite="main")) is None
    (file,) = tmp_path.glob("default/*.json")
    file.write_text("{")
    assert ledger.stored(ENTRY) is None and len(told) == 1


def test_suites_by_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for second, suite in enumerate(("late", "early", "sweep-xi")):
        ledger.write(replace(ENTRY, suite=suite))
        os.utime(next((tmp_path / suite).glob("*.json")), (9 - second, 9 - second))
    assert ledger.newest() == {"late": 9, "early": 8}


def test_ledger_of_a_newer_version_is_read(tmp_path: Path) -> None:
    Ledger(tmp_path).write(ENTRY)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text().replace('"fold"', '"added_later": 1,\n "fold"'))
    assert Ledger(tmp_path).entries("default") == [
        replace(ENTRY, preset="quick-1", preset_hash=OLD.hash)
    ]


DAMAGE = (
    "[1]", "null", "5", "{", "", "{}", "[" * 3000, '{"fold": ' + "9" * 5000 + "}",
    {"suite": 5}, {"fold": "0"}, {"overrides": {"xi": float("nan")}}, {"dataset": float("nan")},
    {"overrides": {"xi": 10**400}}, {"nodes": [1]}, {"probes": [["gap", "k"]]},
    {"params": {"xi": 1}}, {"params": []}, {"label": ["fsm"]}, {"seconds": "3"},
)  # fmt: skip


@pytest.mark.parametrize("fault", DAMAGE, ids=lambda fault: str(fault)[:20])
def test_a_damaged_entry_takes_no_other_along(tmp_path: Path, fault: str | dict[str, Any]) -> None:
    said: list[str] = []
    ledger = Ledger(tmp_path, said.append)
    ledger.write(ENTRY)
    (path,) = tmp_path.rglob("*.json")
    whole = json.loads(path.read_text())
    ledger.write(replace(ENTRY, fold=1))
    path.write_text(fault if isinstance(fault, str) else json.dumps(whole | fault))
    assert [entry.fold for entry in ledger.entries()] == [1]
    ledger.compared()
    (line,) = said
    assert path.name in line and "counts as missing" in line and "\n" not in line
    assert ledger.damaged() == [f"default/{path.name}"]
    ledger.write(ENTRY)
    assert len(ledger.entries()) == 2 and ledger.damaged() == []


def test_workspace_is_opened_twice(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    assert open_workspace(root).root == open_workspace(root).root == root
    (root / "format").write_text("0")
    with pytest.raises(BadInput, match="format 0"):
        open_workspace(root)
