"""Progress on a terminal: bars are drawn, and the result comes alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bench_process import REPOSITORY, run_argv, tiny_workspace
from suite_process import suite_argv

pty = pytest.importorskip("pty")


def on_a_terminal(argv: list[str]) -> tuple[int, str, str]:
    """Run a command whose standard error is a terminal; return code, output and what is drawn."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "300", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli.main", *argv],
        stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment,
    )  # fmt: skip
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += (part := os.read(ours, 65536))
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_draws_its_bars(tmp_path: Path, workers: int) -> None:
    argv = run_argv(tiny_workspace(tmp_path), "unet", "--folds", "0,1", "--workers", str(workers))
    code, out, drawn = on_a_terminal(argv)
    assert code == 0 and "Traceback" not in drawn, drawn
    assert "trainings: 2 done now" in out and "epoch 0" not in out
    for number, fold in ((1, 0), (2, 1)):
        assert re.search(rf"\[{number}/2\] unet\S* fold {fold} seed 0: N_CT \(1/1\).*epoch", drawn)


def test_a_suite_draws_its_bars(tmp_path: Path) -> None:
    code, out, drawn = on_a_terminal(suite_argv(tiny_workspace(tmp_path), "unet"))
    assert code == 0 and "Traceback" not in drawn, drawn
    assert "trainings: 2 done now" in out and "of 2 cells done" in drawn
