"""Licence and citation: valid by the tools that others read them with, and of one mind."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def by(tool: str, *arguments: str) -> str:
    """What a tool of this environment says of the checkout; it must be content."""
    found = shutil.which(tool, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{tool} is not installed: pip install -e .[dev]")
    command = [found, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_file_has_holder_and_licence() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git here: what is built would be taken for a part of the project")
    said = by("reuse", "lint")
    (first, all_) = re.findall(r"license information: (\d+) / (\d+)", said)[0]
    assert first == all_ and int(all_) > 500


def test_the_citation_is_valid_and_names_the_paper() -> None:
    by("cffconvert", "--validate")
    bibtex = by("cffconvert", "--format", "bibtex")
    assert "The beyond-loss authors" in bibtex
    text = (ROOT / "CITATION.cff").read_text()
    assert f"version: {PROJECT['version']}\n" in text and "doi" not in text.lower()
    assert f"license: {PROJECT['license']}\n" in text
    assert "CNN in CT Image Segmentation: Beyond Loss Function for Exploiting Ground Truth" in text


def test_the_licence_is_the_standard_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text == (ROOT / f"LICENSES/{PROJECT['license']}.txt").read_text()
    assert "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert {*PROJECT["license-files"]} == {"LICENSE", "NOTICE"}


def test_the_changelog_has_this_version_and_no_dead_link() -> None:
    dead = []
    for page in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        for link in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text()):
            dead += [f"{page}: {link}"] * (not (ROOT / link).exists())
    assert not dead
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
