"""`bench store du` and `bench store rm`: where the room goes, and a row's room given back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bench_process import bench, run_argv, tiny_workspace, tree

from benchmark.store.ledger import Ledger


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """unet and fsm on one fold; nobody writes to it."""
    root = tiny_workspace(tmp_path_factory.mktemp("both"))
    for method in ("unet", "fsm", "no-refine"):
        assert bench(*run_argv(root, method, "--folds", "0")).code == 0
    return root


@pytest.fixture
def root(both: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(both, tmp_path / "workspace"))


def labels(root: Path) -> set[str]:
    return {entry.row for entry in Ledger(root / "ledger").entries()}


def objects(root: Path) -> set[str]:
    return {path.parent.name for path in (root / "objects").glob("*/record.json")}


def test_du_counts_every_byte_once(root: Path) -> None:
    (root / "objects/aside/x").mkdir(parents=True)
    (root / "objects/aside/x/a").write_bytes(b"12345")
    (root / "notes.txt").write_bytes(b"123")
    found = bench("store", "du", "--root", str(root), "--json").json
    assert found["total"] == sum(map(len, tree(root).values())) == sum(found["parts"].values())
    assert (found["parts"]["set aside"], found["parts"]["other"]) == (5, 3 + len("1\n"))
    weights = sum(map(len, tree(root / "objects").values())) - 5
    assert found["parts"]["trained networks"] == weights
    rows = {row["row"].partition("[")[0]: row for row in found["rows"]}
    assert rows["fsm"]["alone"] < rows["fsm"]["bytes"], "it shares two trainings with no-refine"
    assert rows["unet"]["alone"] == rows["unet"]["bytes"]
    text = bench("store", "du", "--root", str(root)).out
    assert "trained networks" in text and "alone: what bench store rm ROW gives back" in text


def test_rm_takes_what_no_other_row_needs(root: Path) -> None:
    before, whole = objects(root), tree(root)
    told = bench("store", "rm", "fsm", "--dry-run", "--root", str(root), "--json").json
    assert tree(root) == whole and told["cells"] == 2, "fsm and fsm@stage2"
    ran = bench("store", "rm", "fsm", "--root", str(root))
    assert ran.code == 0 and ran.out.startswith("removed 2 cells of fsm")
    assert labels(root) == {"unet", "no-refine"}
    assert before - objects(root) == set(told["trainings"]), "its last one, and one for a probe"
    assert len(told["trainings"]) == 2
    after = bench("store", "gc", "--dry-run", "--root", str(root), "--json").json
    assert (after["objects"], after["results"]) == ([], [])
    assert bench("store", "verify", "--root", str(root)).code == 0
    again = bench(*run_argv(root, "no-refine", "--folds", "0", "--json")).json
    assert (again["trained"], again["reused"]) == (0, 2)
    back = bench(*run_argv(root, "fsm", "--folds", "0", "--json")).json
    assert back["trained"] == 1 and objects(root) == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["fms"], "no row 'fms' among these cells: did you mean fsm? there is fsm"),
        (["fsm", "--dataset", "x"], "there is nothing"),
        (["fsm", "--suite", "x"], "no suite 'x'"),
    ],
)
def test_names_that_are_not_there(both: Path, more: list[str], said: str) -> None:
    ran = bench("store", "rm", "--root", str(both), *more)
    assert ran.code == 2 and said in ran.err


def test_a_damaged_ledger_keeps_everything(root: Path) -> None:
    next((root / "ledger/default").glob("*.json")).write_text("{")
    before = tree(root)
    ran = bench("store", "rm", "unet", "--root", str(root))
    assert ran.code == 2 and "nothing is removed" in ran.err and tree(root) == before
