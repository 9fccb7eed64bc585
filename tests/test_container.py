"""The container's recipe: linted, and of files that are there and are let through. It is not built
here: that takes an engine, and gigabytes of torch."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPE = (ROOT / "Containerfile").read_text()
COPIED = [
    word
    for line in re.findall(r"^COPY (.*)$", RECIPE, flags=re.MULTILINE)
    for word in line.split()[:-1]
]


def test_the_recipe_passes_the_linter() -> None:
    tool = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("hadolint is not installed: pip install -e .[dev]")
    command = [tool, "--no-color", str(ROOT / "Containerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_it_copies_all_that_the_package_is_made_of_and_no_more_is_sent() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = project["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {pattern.removesuffix("*") for pattern in found}
    beside = {project["project"]["readme"], *project["project"]["license-files"]}
    assert {*COPIED} == packages | beside | {"pyproject.toml", "constraints.txt"}
    assert all((ROOT / name).exists() for name in COPIED)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*" and {line[1:] for line in ignored if line[0] == "!"} == {*COPIED}


def test_its_choices_of_parts_are_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (parts,) = re.findall(r"^ARG PARTS=(\w+)$", RECIPE, flags=re.MULTILINE)
    assert parts in project["optional-dependencies"]
