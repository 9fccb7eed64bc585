"""SIGTERM and SIGUSR1 while loading, in training and in a step that hangs; who waits says for whom.
All end with exit code 130, and the same command goes on."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from bench_process import finish, package, setting_argv, spawn, spawn_warm, tiny_workspace
from others_rows import HANGING

from benchmark.store.ledger import Ledger

SIGNALS = [signal.SIGTERM, signal.SIGUSR1]
LOADING = "import sys, time\nprint('loading', file=sys.stderr, flush=True)\ntime.sleep(60)\n"


def started(root: Path, site: Path, how: str, until: str) -> subprocess.Popen[str]:
    """A run that has got as far as to say `until`."""
    argv = ["run", "--method", "hangs", "--mlflow", "none", "--folds", "0", *setting_argv(root)]
    process = spawn_warm(*argv, "--set", f"how={how}", "--checkpoint-seconds", "0", site=site)
    wait_for(process, until)
    return process


def wait_for(process: subprocess.Popen[str], until: str) -> list[str]:
    """What it says up to a line with `until`; one that never says it is ended after a minute."""
    assert process.stderr is not None
    late = threading.Timer(60, process.kill)
    late.start()
    said: list[str] = []
    while not any(until in line for line in said):
        line = process.stderr.readline()
        assert line, said
        said.append(line)
    late.cancel()
    return said


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HANGS", "yes")
    return package(tmp_path / "site", "hanging", HANGING, "beyond_loss.methods", "hanging")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("slow", signal.SIGTERM),
        ("slow", signal.SIGUSR1),
        ("python", signal.SIGTERM),
        ("library", signal.SIGTERM),
        pytest.param("python", signal.SIGUSR1, marks=pytest.mark.long),
        pytest.param("library", signal.SIGUSR1, marks=pytest.mark.long),
    ],
)
def test_a_training_is_saved_or_broken_off(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, how: str
) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    process = started(root, site, how, "in step 4")
    process.send_signal(number)
    asked = time.monotonic()
    ran = finish(process, 30)
    assert ran.code == 130 and time.monotonic() - asked < 15, ran.err
    assert "Traceback" not in ran.err and "the same command goes on" in ran.err
    saved = sorted(p for p in (root / "objects").glob("*.partial/*") if p.name.isdigit())
    assert int(saved[-1].name) == (4 if how == "slow" else 3)
    monkeypatch.setenv("HANGS", "no")
    process = started(root, site, how, f"resumed from step {int(saved[-1].name)}")
    assert finish(process).code == 0


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGINT])
def test_loading_ends_with_a_word(tmp_path: Path, number: signal.Signals) -> None:
    site = package(tmp_path / "site", "slow_one", LOADING, "beyond_loss.methods", "slow_one")
    process = spawn("methods", site=site)
    wait_for(process, "loading")
    process.send_signal(number)
    ran = finish(process, 20)
    assert ran.code == 130 and "Traceback" not in ran.err
    assert ran.err.startswith("bench: interrupted")


@pytest.mark.slow
def test_who_waits_says_for_whom(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    first = started(root, site, "python", "in step 4")
    monkeypatch.setenv("HANGS", "no")
    second = started(root, site, "python", "waiting for it")
    assert len(list((root / "objects").glob("*.lock.who"))) == 1
    first.kill()
    first.wait()
    ran = finish(second)
    assert ran.code == 0, ran.err
    assert Ledger(root / "ledger").entries()[0].state == "done"
    assert not list(root.rglob("*.who"))
    third = spawn_warm("status", "--root", str(root))
    assert "done" in finish(third).out


def test_the_line_names_process_and_time(tmp_path: Path, site: Path) -> None:
    root = tiny_workspace(tmp_path / "workspace")
    first = started(root, site, "python", "in step 4")
    argv = ["run", "--method", "hangs", "--mlflow", "none", "--folds", "0", *setting_argv(root)]
    second = spawn_warm(*argv, "--set", "how=python", site=site)
    (line,) = [line for line in wait_for(second, "waiting for it") if "waiting" in line]
    assert f"process {first.pid} on " in line and " since 20" in line
    for process in (second, first):
        process.send_signal(signal.SIGTERM)
        assert finish(process).code == 130
