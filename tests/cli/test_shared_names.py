"""Another package has a module of one of our names: `bench` says so before it does anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench_process import REPOSITORY

OTHERS = ("methods", "sweeps")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Somebody's folder of packages, in front of ours, one of them installed."""
    folder = tmp_path / "site"
    for name in OTHERS:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text('HELLO = "from somebody else"\n')
    info = folder / "somebody-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1\n")
    (info / "top_level.txt").write_text("methods\n")
    return folder


def python(site: Path, cwd: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run Python in another folder than the checkout, which would come first in its path."""
    paths = os.pathsep.join([str(site), str(REPOSITORY)])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *argv]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=110)


MAIN = ("-m", "benchmark.cli.main")


def test_another_module_before_ours_is_refused(site: Path, tmp_path: Path) -> None:
    ran = python(site, tmp_path, *MAIN, "methods")
    (line,) = [line for line in ran.stderr.splitlines() if "stands before ours" in line]
    assert (ran.returncode, ran.stdout) == (2, "") and line.startswith("bench: another 'methods'")
    assert str(site / "methods") in line and str(REPOSITORY / "methods") in line
    helped = python(site, tmp_path, *MAIN, "--help")
    assert helped.returncode == 0 and "doctor" in helped.stdout


def test_doctor_tells_shadows_and_who_installs_our_names(site: Path, tmp_path: Path) -> None:
    ran = python(site, tmp_path, *MAIN, "doctor")
    told = [line for line in ran.stdout.splitlines() if line.startswith("PROBLEM: ")]
    assert ran.returncode == 1
    for name in OTHERS:
        (line,) = [line for line in told if f"another {name!r} stands before ours" in line]
        assert str(site / name) in line
    (line,) = [line for line in told if "'somebody'" in line]
    assert "'methods'" in line and "'baselines'" not in "".join(told)


def test_a_module_of_ours_that_was_written_over_is_named(site: Path, tmp_path: Path) -> None:
    """In one folder with ours there is nothing in front, but its rows are missing."""
    code = "from benchmark.settings.registry import load_registry as load; print(load().problems)"
    done = python(site, tmp_path, "-c", code)
    assert "methods holds no row: did another package overwrite it?" in done.stdout, done.stderr
