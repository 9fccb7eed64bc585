"""MLflow follows the disk: a cell that trains, one that was killed, and a workspace of others."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_process import bench, finish, run_argv, spawn_warm, tiny_workspace
from conftest import Mirror, dump_experiment, make_cell, make_row

from benchmark.running.bench import Bench, Options
from benchmark.running.following import Disk
from benchmark.tracking.database import default_uri
from benchmark.tracking.report import AnyReport, CellReport, RowReport
from benchmark.training.meter import Epoch

NOTHING = "sent now: 0 runs, 0 points, 0 files; removed 0, ended 0"


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Path:
    root = tiny_workspace(tmp_path / "workspace")
    shutil.copy(template, root / "mlflow.db")
    return root


def until(holds: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end
        time.sleep(0.5)
    return found


def cell_of(root: Path) -> dict[str, Any]:
    """The one cell that MLflow shows, {} where it shows none."""
    try:
        runs = dump_experiment(default_uri(root), "tiny").values()
    except AssertionError:  # no experiment yet
        return {}
    return next((run for run in runs if run["tags"]["level"] == "fold"), {})  # type: ignore[index]


def epochs_of(run: dict[str, Any]) -> list[int]:
    return [step for step, *_ in run.get("curves", {}).get("train/n_ct/dsc", [])]


def argv_of(root: Path, epochs: int) -> list[str]:
    length = {"schedule__epochs": epochs, "schedule__steps_per_epoch": 10}
    argv = run_argv(root, "unet", "--folds", "0", "--workers", "1", **length)
    return [*argv, "--checkpoint-seconds", "1"]


def mirrored(argv: list[str]) -> list[str]:
    return [word for word in argv if word not in ("--mlflow", "none")]


@pytest.mark.long
def test_a_curve_grows_and_a_kill_and_its_resume_leave_each_epoch_once(workspace: Path) -> None:
    argv = mirrored(argv_of(workspace, 300))
    process = spawn_warm(*argv)
    first = until(lambda: epochs_of(cell_of(workspace)))
    assert cell_of(workspace)["status"] == "RUNNING"
    until(lambda: len(epochs_of(cell_of(workspace))) > len(first))
    assert process.poll() is None, "it ended before it could be killed"
    process.kill()
    finish(process)
    (lines,) = (workspace / "objects").glob("*.partial/epochs.jsonl")
    assert lines.read_text().count("\n") >= len(first)
    ended = bench("sync", "--root", str(workspace))
    assert ended.code == 0 and ended.out.startswith("0 rows and 0 cells"), ended.err
    again = finish(spawn_warm(*argv), 300)
    assert again.code == 0 and "did not take everything" not in again.err, again.err
    run = cell_of(workspace)
    assert run["status"] == "FINISHED" and epochs_of(run) == list(range(300))
    assert NOTHING in bench("sync", "--root", str(workspace)).out


@pytest.mark.long
def test_another_process_follows_until_all_is_at_rest(workspace: Path) -> None:
    process = spawn_warm(*argv_of(workspace, 60))
    until(lambda: list((workspace / "ledger").glob("*/*.json")))
    follower = spawn_warm("sync", "--follow", "--idle", "10", "--root", str(workspace))
    assert finish(process, 300).code == 0
    ran = finish(follower, 180)
    assert ran.code == 0 and ran.out.startswith("0 rows and 0 cells"), ran.err
    seen = dump_experiment(default_uri(workspace), "tiny")
    assert {run["status"] for run in seen.values()} == {"FINISHED"} and len(seen) == 2
    assert NOTHING in bench("sync", "--root", str(workspace)).out


def test_a_finished_cell_loses_what_the_disk_no_longer_knows(root: Path) -> None:
    cell = make_cell(make_row(), 0)
    later = tuple(replace(p, at_ms=p.at_ms + 9) if p.epoch == 2 else p for p in cell.points)
    for report in (replace(cell, done=False, metrics={}), replace(cell, points=later)):
        with Mirror(default_uri(root), artifacts=root / "mlartifacts", warn=pytest.fail) as mirror:
            mirror.cell(report)
    (run,) = (
        r for r in dump_experiment(default_uri(root)).values() if r["tags"]["level"] == "fold"
    )  # type: ignore[index]
    assert [at for *_, at in run["curves"]["train/n_gt/dice"]] == [  # type: ignore[index]
        p.at_ms for p in later if p.name == "train/n_gt/dice"
    ]


@pytest.fixture
def stored(tmp_path: Path) -> Bench:
    """A row of two cells in the suite `default`."""
    root = tiny_workspace(tmp_path / "stored")
    assert bench(*run_argv(root, "unet", "--folds", "0,1", "--workers", "1")).code == 0
    return Options(root=root, device="cpu").open()


def told(disk: Disk, last: bool = False, arrived: bool = True) -> list[tuple[AnyReport, bool]]:
    """All that a look at the disk yields; it is answered whether it arrived."""
    found, looks, answer = [], disk(last), None
    while True:
        try:
            found.append(looks.send(answer))
        except StopIteration:
            return found
        answer = arrived


def test_what_changed_is_told_until_it_arrives_and_then_no_more(stored: Bench) -> None:
    disk = Disk(stored, "default")
    assert told(disk) == told(disk, last=True) == []
    for entry in stored.ledger.entries():
        stored.ledger.write(entry)
    assert len(told(disk, arrived=False)) == len(told(disk)) == 2
    assert told(disk) == []
    (row,) = told(disk, last=True)
    assert isinstance(row[0], RowReport) and row[0].metrics and not row[1]
    assert told(disk, last=True) == []


def test_who_looks_from_outside_sees_a_cell_that_had_begun_before(stored: Bench) -> None:
    entry = replace(stored.ledger.entries()[0], state="started", nodes=("f" * 20,), key="f" * 20)
    stored.ledger.write(entry)
    disk = Disk(stored)
    assert list(disk.in_work(stored.ledger.entries())) == told(disk) == []
    stored.objects.begin_epochs(entry.key, "N_CT", ())
    with stored.objects.lock(entry.key):
        ((report, living),) = told(disk)
    assert living and isinstance(report, CellReport) and disk.busy
    stored.ledger.write(stored.ledger.entries()[1])
    assert len(told(disk)) == 1, "rows come when nobody is at work any more"


def test_a_cell_in_work_is_told_with_its_first_training_and_now_and_then(
    stored: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = replace(stored.ledger.entries()[0], state="started")
    key = "f" * 20
    disk = Disk(stored, "default")
    stored.ledger.write(replace(entry, nodes=(key,), key=key))
    assert told(disk) == [], "it may be stored and only be gone over again"
    stored.objects.begin_epochs(key, "N_CT", ())
    ((report, living),) = told(disk)
    assert living and isinstance(report, CellReport) and report.points == () and not report.done
    stored.objects.add_epoch(key, "N_CT", Epoch(index=0, terms={"dsc": 0.5}, at_ms=7))
    assert told(disk) == [], "too soon"
    monkeypatch.setattr("benchmark.running.following.EVERY_SECONDS", 0.0)
    ((report, living),) = told(disk)
    assert [(p.name, p.epoch, p.value) for p in report.points] == [("train/n_ct/dsc", 0, 0.5)]
    assert told(disk) == []
    ((_, living),) = told(disk, last=True)
    assert not living, "nobody holds its lock"
    stored.ledger.write(replace(entry, nodes=(key,), key=key, state="failed", error="why"))
    ((report, living),) = told(disk)
    assert not living and not report.done


OPENED: list[str] | None = None


def listen(event: str, args: tuple[Any, ...]) -> None:
    if OPENED is not None and event == "open":
        OPENED.append(str(args[0]))


def test_a_look_reads_nothing_that_is_as_it_was(stored: Bench) -> None:
    """Neither cells that it knows nor those of other suites; the time of a look stays the same."""
    global OPENED
    (entry, other) = stored.ledger.entries()
    disk = Disk(stored, "default")
    stored.ledger.write(entry)
    assert len(told(disk)) == 1
    for number in range(300):
        stored.ledger.write(replace(entry, suite="others", label=f"row{number}"))
    sys.addaudithook(listen)  # stays, and does nothing once OPENED is None again
    OPENED = []
    assert told(disk) == []
    quiet, OPENED = OPENED, []
    stored.ledger.write(other)
    assert len(told(disk)) == 1
    heard, OPENED = OPENED, None
    assert not [path for path in quiet if path.startswith(str(stored.root))]
    read = {Path(path).name for path in heard if path.startswith(str(stored.root))}
    assert f"{other.name}.json" in read and f"{entry.name}.json" not in read
