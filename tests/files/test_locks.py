"""Locks end with their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import Timeout

from benchmark.files.locks import is_held, lock

ROOT = Path(__file__).parents[2]
OWNER = """
import pathlib, sys, time
from benchmark.files.locks import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.lock"
    assert not is_held(path)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    try:
        assert owner.stdout is not None and owner.stdout.readline() == b"held\n"
        assert is_held(path)
        with pytest.raises(Timeout), lock(path, seconds=0.1):
            pass
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert not is_held(path)
        with lock(path, seconds=1):
            assert is_held(path)
        assert not is_held(path)
    finally:
        owner.kill()
        owner.wait()
        assert owner.stdout is not None
        owner.stdout.close()
