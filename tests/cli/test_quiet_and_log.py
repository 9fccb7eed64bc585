"""`--quiet` and `--log-file`, of every command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench_process import bench, run_argv, tiny_workspace

from benchmark.cli.out import told
from benchmark.cli.view import SuiteView, shown

TIMED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (.*)")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_workspace(tmp_path_factory.mktemp("quiet") / "workspace")


def logged(path: Path) -> list[str]:
    found = [TIMED.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [match[1] for match in found if match is not None] if all(found) else []


def test_a_quiet_run_prints_its_result_alone_and_the_log_has_all(root: Path) -> None:
    log = root / "run.log"
    argv = [*run_argv(root, "unet"), "--folds", "0"]
    ran = bench(*argv, "--quiet", "--log-file", str(log))
    assert (ran.code, ran.err) == (0, "") and "trainings: 1 done now" in ran.out
    lines = logged(log)
    assert lines[0].startswith("$ bench run --method unet") and lines[-1] == "exit code 0"
    assert any(re.match(r"\[1/1\] unet.* N_CT \(1/1\), 6 steps", line) for line in lines)
    assert {*filter(None, ran.out.splitlines())} <= {*lines}, "the table too"
    loud = bench(*argv, "--log-file", str(log))
    assert loud.code == 0 and len(logged(log)) > len(lines), "appended"


def test_what_goes_wrong_is_printed_all_the_same(root: Path) -> None:
    log = root / "wrong.log"
    ran = bench("run", "--method", "fms", "--root", str(root), "--quiet", "--log-file", str(log))
    assert ran.code == 2 and "no method 'fms'" in ran.err
    assert any("no method 'fms'" in line for line in logged(log))
    assert logged(log)[-1] == "exit code 2"


def test_a_quiet_view_prints_failures_and_warnings_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "view.log"
    with told(quiet=True, log=log, command=["suite"]), shown(SuiteView) as view:
        view.print("[1/2] unet: done")
        view.print("[2/2] fsm: FAILED: it diverged", wrong=True)
        view.warn("a metric failed")
    assert capsys.readouterr().err == "[2/2] fsm: FAILED: it diverged\nwarning: a metric failed\n"
    assert "[1/2] unet: done" in logged(log)


def test_they_stand_behind_subcommands_and_are_their_packages_own(root: Path) -> None:
    for line in ("sweep show xi", "data list", "store verify", "export splits --for csv"):
        ran = bench(*line.split(), "--help")
        assert "--quiet" in ran.out and "--log-file FILE" in ran.out, line
    log = root / "sweep.log"
    url = "postgresql://me:secret@127.0.0.1:1/x"
    ran = bench("sweep", "show", "xi", "--storage", url, "--log-file", str(log))
    assert ran.code == 2 and "secret" not in log.read_text()
    assert "postgresql://me:***@127.0.0.1:1/x" in logged(log)[0]


def test_a_log_that_cannot_be_written_is_refused(root: Path) -> None:
    ran = bench("data", "list", "--root", str(root), "--log-file", str(root))
    assert (ran.code, ran.out) == (2, "") and f"--log-file {root}" in ran.err
