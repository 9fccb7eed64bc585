"""All rows hold the conformance suite, and so does a package of somebody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from benchmark.settings.registry import load_registry
from benchmark.testing import MethodConformance

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden_keys.json").read_text(encoding="utf-8"))
THIRD_PARTY = HERE / "third_party"


class TestOurRows(MethodConformance):
    rows: ClassVar = load_registry().rows
    golden: ClassVar = GOLDEN


def test_every_row_has_golden_keys_and_a_final_key_of_its_own() -> None:
    assert set(GOLDEN) == set(load_registry().rows)
    finals = [keys[-1] for keys in GOLDEN.values()]
    assert len(set(finals)) == len(finals)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the third-party package is installed, built from a copy."""
    site = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for path in THIRD_PARTY.iterdir():
        if path.is_file():
            (source / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(site), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    paths = os.pathsep.join([str(site), str(HERE.parent)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


@pytest.mark.long
def test_a_third_party_row_conforms_after_pip_install(installed: dict[str, str]) -> None:
    suite = THIRD_PARTY / "conformance_of_somebodys_rows.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(suite)]
    done = subprocess.run(command, env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "13 passed, 1 skipped" in done.stdout


def test_a_third_party_row_is_a_row_like_ours(installed: dict[str, str]) -> None:
    command = [sys.executable, "-m", "benchmark.cli.main", "methods", "show", "small-bottom"]
    done = subprocess.run(command, env=installed, capture_output=True, text=True)
    assert done.returncode == 0 and "mean |F|" in done.stdout
