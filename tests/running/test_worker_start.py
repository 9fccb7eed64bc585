"""A worker that is left alone, and Ctrl-C, while the processes still start: no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from bench_process import finish, run_argv, spawn, tiny_workspace

LEFT_ALONE = """
import multiprocessing, pathlib, sys, threading, time
from benchmark.running.bench import Options
from benchmark.running.executors.worker import work

start = threading.Thread.start

def slowly(thread):
    start(thread)
    if threading.current_thread() is threading.main_thread():
        time.sleep(0.5)

threading.Thread.start = slowly
ours, theirs = multiprocessing.Pipe()
ours.close()
work(theirs, Options(root=pathlib.Path(sys.argv[1])))
"""


def test_a_parent_that_is_gone_before_its_worker_listens(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", LEFT_ALONE, str(tmp_path)]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers come of a server on Linux alone")
def test_ctrl_c_while_the_server_of_the_workers_loads(tmp_path: Path) -> None:
    """A terminal sends it to all processes."""
    root = tiny_workspace(tmp_path)
    process = spawn(*run_argv(root, "unet", "--workers", "2", "--folds", "0,1"))
    command, until = psutil.Process(process.pid), time.monotonic() + 60
    while not (servers := [each for each in command.children() if serves(each)]):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.5)  # it has begun to load torch, which takes longer
    for each in (*servers, command):
        each.send_signal(signal.SIGINT)
    ran = finish(process, 30)
    assert ran.code in (130, -signal.SIGINT)  # Python's own way where it was loading a dataclass
    assert "Traceback" not in ran.err and "interrupted" in ran.err, ran.err


def serves(process: psutil.Process) -> bool:
    try:
        return any("forkserver" in part for part in process.cmdline())
    except psutil.Error:
        return False
