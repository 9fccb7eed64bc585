"""Whatever a method raises fails its cell, in one line; the others go on, as in a suite."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from bench_process import Ran, bench, finish, package, setting_argv, spawn_warm, tiny_workspace
from others_rows import BREAKING

from benchmark.errors import LONGEST, failure, one_line
from benchmark.files.atomic import disk_full
from benchmark.store.ledger import Ledger

SAID = {
    "memory": "MemoryError: no room for that; half the slices",
    "gpu": "OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB; half the slices",
    "runtime": "RuntimeError: mat1 and mat2 cannot be multiplied",
    "leaves": "its code called sys.exit(7)",
    "nothing": "AttributeError: ",
    "text": "AttributeError: ",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A row that fails in every step while BREAKS is "all", in the way that `how` says."""
    made = package(tmp_path / "site", "breaking", BREAKING, "beyond_loss.methods", "breaking")
    monkeypatch.syspath_prepend(str(made))
    monkeypatch.setenv("BREAKS", "all")
    return made


def run(root: Path, how: str, *more: str) -> Ran:
    argv = ["run", "--method", "breaks", "--mlflow", "none", *setting_argv(root)]
    return bench(*argv, "--set", f"how={how}", "--folds", "0,1", *more)


@pytest.mark.parametrize("how", SAID)
def test_what_a_method_raises_fails_its_cells_in_one_line(
    site: Path, tmp_path: Path, how: str
) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    ran = run(root, how)
    assert ran.code == 1 and "Traceback" not in ran.err + ran.out
    for fold in (0, 1):
        (line,) = [
            one for one in ran.err.splitlines() if f"fold {fold} seed 0 failed: {SAID[how]}" in one
        ]
        assert line.endswith("(more in logs/failures.log)")
    log = (root / "logs" / "failures.log").read_text()
    assert log.count("Traceback (most recent call last)") >= 2 and "trainer.py" in log
    assert {entry.state for entry in Ledger(root / "ledger").entries()} == {"failed"}
    assert SAID[how] in bench("status", "--root", str(root)).out


def test_the_rest_goes_on_and_the_good_cells_are_kept(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    monkeypatch.setenv("BREAKS", "none")
    assert run(root, "runtime", "--folds", "1").code == 0
    monkeypatch.setenv("BREAKS", "all")
    ran = run(root, "runtime", "--json")
    assert ran.code == 1 and ran.json["table"] and ran.json["reused"] == 1
    (cell,) = ran.json["incomplete"]
    assert cell["fold"] == 0 and "cannot be multiplied" in cell["error"]
    monkeypatch.setenv("BREAKS", "none")
    assert run(root, "runtime").code == 0, "the same command again fills the gap"


def test_a_suite_says_the_same(site: Path, tmp_path: Path) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    values = ["--set", "how=leaves", *setting_argv(root)]
    values = [value.replace("--dataset", "--datasets") for value in values]
    argv = ["suite", "--rows", "breaks", "--folds", "0", "--workers", "1", "--mlflow", "none"]
    ran = finish(spawn_warm(*argv, *values, "--json", site=site), 300)
    assert ran.code == 1, ran.err
    (cell,) = ran.json["incomplete"]
    assert ran.code == 1 and SAID["leaves"] in cell["error"]
    assert "logs/failures.log" in cell["error"] and (root / "logs" / "failures.log").is_file()


def test_one_line_is_short_and_names_the_kind() -> None:
    line = one_line(ValueError("a\n" * 5000))
    assert "\n" not in line and len(line) < LONGEST + 40 and line.startswith("ValueError: a a")
    assert one_line(KeyError()) == "KeyError: no message"


def test_a_log_that_cannot_be_written_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in the way")
    assert failure(ValueError("why"), "fsm fold 0", tmp_path) == "ValueError: why"


def test_a_full_disk_is_known_by_number_text_and_cause() -> None:
    assert disk_full(OSError(errno.ENOSPC, "x")) and disk_full(OSError(errno.EDQUOT, "x"))
    assert disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    try:
        try:
            raise OSError(errno.ENOSPC, "x")
        except OSError as error:
            raise RuntimeError("wrapped") from error
    except RuntimeError as wrapped:
        assert disk_full(wrapped)
    assert not disk_full(OSError(errno.EACCES, "x")) and not disk_full(None)
