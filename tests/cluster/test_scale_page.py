"""docs/scale.md is made of docs/scale.json, and what it measures on Ray runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import scale
import scale_page
from bench_process import REPOSITORY

KNOWN = json.loads(scale.FOUND.read_text(encoding="utf-8"))


def test_the_page_is_that_of_the_values() -> None:
    written = (scale.HERE / "scale.md").read_text(encoding="utf-8")
    assert written == scale_page.page(KNOWN)
    assert KNOWN["planted"]["cells"] >= 100_000 and KNOWN["ray"]["tasks"] >= 20_000


def test_what_follows_grows_with_the_cells() -> None:
    lines = [line for line in scale_page.grown(KNOWN) if line.startswith("| 1")]
    assert [line.split(" | ")[0] for line in lines] == [
        "| 1,000",
        "| 10,000",
        "| 100,000",
        "| 1,000,000",
    ]
    measured = KNOWN["planted"]["status"]["cpu_seconds"]
    assert lines[2].split(" | ")[3] == scale_page.duration(measured)


@pytest.mark.long
def test_tasks_with_nothing_to_do_end_on_nodes(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'beyond-loss[ray]'")
    code = (
        "import json, pathlib, scale; print(json.dumps(scale.on_ray(20, pathlib.Path(), nodes=2)))"
    )
    argv = [sys.executable, "-c", code]  # a process of its own: Ray keeps the first token it reads
    places = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "docs")])
    ran = subprocess.run(
        argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": places}, stdout=subprocess.PIPE
    )
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["tasks"] == 20 and 0 < found["driver_seconds"] < found["seconds"]
