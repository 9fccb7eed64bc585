"""One large case: seconds of the processor, memory, and against the DICOM library alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
def test_a_large_case_takes_seconds_and_little_memory() -> None:
    """In a process of its own, for its peak of memory. A shared machine may double any figure, so
    the bound on the ratio to pydicom is wider here than what docs/data.md reports."""
    script = Path(__file__).parents[1] / "helpers/measure_speed.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), "1"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    found = json.loads(done.stdout)
    print(found)
    assert found["add_seconds"] + found["grid_seconds"] < 4.0
    assert found["again_seconds"] < 1.0
    assert found["peak_mib"] < 2048
    assert found["add_seconds"] < 3 * found["pydicom_seconds"]
