"""Damage is found, named, set aside and made again; gc removes what nothing refers to."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_process import bench, flip, run_argv, tiny_workspace, tree, weights

from benchmark.cli.store import ABANDONED_SECONDS
from benchmark.files.locks import lock
from benchmark.store.ledger import Ledger


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny_workspace(tmp_path_factory.mktemp("first"))
    assert bench(*argv(root)).code == 0
    return root


@pytest.fixture
def root(first: Path, tmp_path: Path) -> Path:
    """A workspace in which fsm was run on one fold."""
    return Path(shutil.copytree(first, tmp_path / "workspace"))


def argv(root: Path) -> list[str]:
    return run_argv(root, "fsm", "--folds", "0", "--json")


def verify(root: Path) -> tuple[int, dict[str, str]]:
    ran = bench("store", "verify", "--json", "--root", str(root))
    return ran.code, ran.json["damaged"]


@pytest.mark.parametrize(
    "file", ["ct.safetensors", "fsm.safetensors", "record.json", "checksums.json"]
)
@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_damaged_object(first: Path, root: Path, file: str, how: str) -> None:
    path = next((root / "objects").glob("*/fsm.safetensors")).with_name(file)
    flip(path) if how == "flipped" else path.unlink()
    key = path.parent.name
    assert verify(root) == (1, {key: verify(root)[1][key]})
    ran = bench(*argv(root))
    assert ran.code == 0 and "Traceback" not in ran.err
    assert f"object {key} is damaged" in ran.err and "set aside" in ran.err
    assert (ran.json["trained"], ran.json["reused"]) == (1, 2)
    assert weights(root) == weights(first)
    assert [p.name for p in (root / "objects" / "aside").iterdir()] == [f"{key}-0"]
    assert verify(root) == (0, {})


@pytest.mark.parametrize("file", ["rows.parquet", "labels.npz"])
def test_damaged_rows(first: Path, root: Path, file: str) -> None:
    path = next((root / "results").glob(f"*/*/{file}"))
    flip(path, 40)
    name = f"{path.parent.parent.name}/{path.parent.name}"
    code, damaged = verify(root)
    assert code == 1 and list(damaged) == [name]
    ran = bench(*argv(root))
    assert ran.code == 0 and "rows of" in ran.err and "damaged" in ran.err
    assert ran.json["trained"] == 0
    assert ran.json["table"] == bench(*argv(first)).json["table"]
    assert verify(root) == (0, {})


@pytest.mark.long
def test_damage_never_ends_a_mirrored_run_or_a_plan(root: Path) -> None:
    """The mirror and the plan read records and rows of other cells too."""
    record = next((root / "objects").glob("*/record.json"))
    record.write_text("{")
    next((root / "results").glob("*/*/rows.parquet")).write_bytes(b"")
    plan = [part for part in argv(root)[1:] if part not in ("--mlflow", "none")]
    ran = bench("plan", *plan)
    assert [node["cached"] for node in ran.json["nodes"]].count(False) == 1
    mirrored = [part for part in argv(root) if part not in ("--mlflow", "none", "0")]
    mirrored.insert(mirrored.index("--folds") + 1, "1")
    ran = bench(*mirrored)
    assert ran.code == 0 and "Traceback" not in ran.err, ran.err


def test_a_damaged_entry_is_named_and_breaks_nothing_else(root: Path) -> None:
    assert bench(*run_argv(root, "unet", "--folds", "0,1")).code == 0
    whole = {entry.row: entry for entry in Ledger(root / "ledger").entries() if entry.fold == 0}
    path = root / "ledger" / "default" / f"{whole['fsm'].name}.json"
    path.write_text("{")
    before = tree(root)
    for command in (["status"], ["compare", "unet", "unet"], ["store", "verify"]):
        ran = bench(*command, "--root", str(root))
        assert "Traceback" not in ran.err and ran.code == (1 if "verify" in command else 0), ran.err
        assert path.name in ran.err + ran.out and "unet" in bench("status", "--root", str(root)).out
    assert bench("status", "--root", str(root), "--json").json["damaged"] == [
        f"default/{path.name}"
    ]
    for more in ([], ["--json"], ["--dry-run"]):
        ran = bench("store", "gc", "--root", str(root), *more)
        assert ran.code == 1 and path.name in ran.out
    kept = {name: content for name, content in tree(root).items() if not name.endswith(".lock")}
    assert kept == {n: c for n, c in before.items() if not n.endswith(".lock")}, (
        "what it used stays"
    )
    assert bench(*argv(root)).json["trained"] == 0
    assert verify(root) == (0, {}) and gc(root) == []


@pytest.mark.long
def test_a_planned_cell_whose_entry_is_damaged_is_missing(tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path)
    suite = ["suite", "--rows", "unet,shape-loss", "--datasets", "tiny", "--folds", "0,1"]
    values = [v for v in run_argv(root, "unet")[3:] if v not in ("--dataset", "tiny")]
    ran = bench(*suite, *values, "--workers", "1")
    assert ran.code == 0, ran.err
    lost = next(
        e for e in Ledger(root / "ledger").entries("main") if (e.row, e.fold) == ("unet", 1)
    )
    (root / "ledger" / "main" / f"{lost.name}.json").write_text("[]")
    status = bench("status", "--root", str(root), "--json")
    (counted,) = status.json["suites"]
    assert (counted["done"], counted["not_run"]) == (3, 1) and lost.name in status.err
    report = bench("report", "--root", str(root), "--skip-hard-cases", "--mlflow", "none")
    assert report.code == 0 and "INCOMPLETE" in report.out and lost.name in report.err
    assert bench("sync", "--root", str(root)).code == 0
    assert bench("compare", "unet", "shape-loss", "--root", str(root)).code == 1


@pytest.mark.parametrize("text", ["[]", "null", "5", "{}", '"x"', "[" * 3000])
def test_checksums_that_are_no_table_are_damage(first: Path, root: Path, text: str) -> None:
    for folder in ("objects", "results"):
        name = next((root / folder).rglob("checksums.json"))
        name.write_text(text)
    assert len(verify(root)[1]) == 2
    ran = bench(*argv(root))
    assert ran.code == 0 and ran.err.count(" damaged (checksums.json") == 2, ran.err
    assert verify(root) == (0, {}) and weights(root) == weights(first)


def data_case(root: Path) -> Path:
    return root / "data" / "tiny" / "cases" / "p01"


@pytest.mark.parametrize(
    ("find", "name", "fix"),
    [
        (lambda root: data_case(root) / "image.npy", "data/tiny/p01", "bench data"),
        (lambda root: data_case(root) / "case.json", "data/a set", "p01"),
        (lambda root: root / "data" / "tiny" / "dataset.json", "data/a set", "dataset.json"),
        (lambda root: next((root / "code").glob("*.json")), "code/", "remove it"),
        (lambda root: next((root / "ledger").glob("*/*.json")), "ledger/default/", "remove it"),
    ],
    ids=["image", "case", "set", "code", "ledger"],
)
def test_verify_looks_at_everything(
    root: Path, find: Callable[[Path], Path], name: str, fix: str
) -> None:
    path = find(root)
    content = path.read_bytes()
    flip(path, 40) if path.suffix != ".npy" else flip(path)
    if path.parent.parent.name == "ledger":
        path.write_bytes(content[: len(content) // 2])
    code, damaged = verify(root)
    ((found, fault),) = damaged.items()
    assert code == 1 and found.startswith(name) and (fix in fault or "remove" in fault)
    path.write_bytes(content)
    assert verify(root) == (0, {})


def gc(root: Path, *more: str) -> list[str]:
    ran = bench("store", "gc", "--json", "--root", str(root), *more)
    assert ran.code == 0
    return list(ran.json["objects"])


def test_gc_removes_only_what_no_row_refers_to(root: Path) -> None:
    bench(*run_argv(root, "no-refine", "--folds", "0"))
    before = tree(root)
    assert gc(root) == []
    assert tree(root) == before
    entries = {entry.row: entry for entry in Ledger(root / "ledger").entries()}
    (root / "ledger" / "default" / f"{entries['fsm'].name}.json").unlink()
    headroom = {key for name, key, _ in entries["fsm"].probes if name == "headroom"}
    only_fsm = {*entries["fsm"].nodes, *headroom} - set(entries["no-refine"].nodes)
    no_refine = {key for _, key, _ in entries["no-refine"].probes}
    assert not headroom & no_refine, "it puts its adapter into another final network"
    assert gc(root, "--dry-run") == sorted(only_fsm) != []
    assert (root / "objects" / entries["fsm"].key).exists()
    assert gc(root) == sorted(only_fsm)
    assert not (root / "objects" / entries["fsm"].key).exists()
    assert not (root / "results" / entries["fsm"].key / entries["fsm"].evaluation).exists()
    ran = bench(*run_argv(root, "no-refine", "--folds", "0", "--json"))
    assert ran.json["trained"] == 0 and not ran.err.count("damaged")


def test_gc_removes_half_done_trainings_but_not_living_ones(root: Path) -> None:
    lost, living = "0" * 20, "1" * 20
    for key in (lost, living):
        (root / "objects" / f"{key}.partial" / "000000004").mkdir(parents=True)
    with lock(root / "objects" / f"{living}.lock"):
        assert gc(root) == [lost]
    assert not (root / "objects" / f"{lost}.partial").exists()
    assert (root / "objects" / f"{living}.partial" / "000000004").exists()


def test_gc_and_verify_leave_what_a_living_writer_prepares(root: Path) -> None:
    """A commit lies under a temporary name until its rename; an old one was abandoned."""
    made = [
        root / "objects" / f".tmp-{'2' * 20}-abc" / "record.json",
        root / "results" / ("3" * 20) / ".tmp-0123456789ab-abc" / "rows.parquet",
    ]
    for path in made:
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    assert verify(root) == (0, {})
    assert gc(root) == []
    assert all(path.exists() for path in made)
    old = time.time() - ABANDONED_SECONDS - 10
    for path in made:
        os.utime(path.parent, (old, old))
    gc(root)
    assert not any(path.exists() for path in made)


def test_gc_empties_what_was_set_aside(root: Path) -> None:
    flip(next((root / "objects").glob("*/ct.safetensors")))
    bench(*argv(root))
    assert (root / "objects" / "aside").exists()
    gc(root)
    assert not (root / "objects" / "aside").exists()
    assert bench(*argv(root)).json["trained"] == 0
