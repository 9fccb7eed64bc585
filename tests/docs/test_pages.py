"""The pages that are made of the code are what it says, and the site builds without a warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import reference
import trainings
from test_house import TREES, said

from benchmark.settings.registry import load_registry

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    there = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert there == reference.PAGES[name](), "run `python docs/reference.py`"


def test_every_command_has_its_part() -> None:
    from benchmark.cli.main import OURS

    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert not [name for name in OURS if f"\n## bench {name}\n" not in page]
    assert "\n### bench sweep run\n" in page and "`--method NAME`" in page


def test_what_troubleshooting_quotes_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    quoted = [text for cell in lines for text in re.findall(r"`([^`]+)`", cell)]
    code = " ".join(" ".join(said(tree)) for tree in TREES.values())
    assert len(quoted) > 10
    for text in quoted:
        parts = re.split(r"'[^']*' ?|-?\b\d[\d,]*:? ?", text.replace("body's", "body\0s"))
        longest = max(parts, key=len).replace("\0", "'").strip()
        assert longest in code, text


def test_commands_in_sentences_have_options_that_there_are() -> None:
    """Blocks are run (test_blocks.py); what stands in a line is looked up."""
    known = set(re.findall(r"--[a-z][a-z-]+", reference.commands_page())) | {"--help", "--version"}
    names = {
        word.split()[1] for word in re.findall(r"^##+ (bench \w+)", reference.commands_page(), re.M)
    }
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for text in re.findall(r"(?<!`)`(bench [^`]+)`(?!`)", page.read_text(encoding="utf-8")):
            command = re.split(r"\s[|;#]", text)[0].split()
            assert command[1] in names | {"COMMAND", "--help"}, f"{page.name}: {text}"
            options = {word.partition("=")[0] for word in command if word.startswith("--")}
            assert options <= known, f"{page.name}: {text}"


def test_readme_counts_the_rows() -> None:
    rows = load_registry().rows.values()
    ours = [row for row in rows if row.group != "own"]
    assert f"There are {len(ours)} rows" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_finding_says_what_it_means() -> None:
    page = reference.findings_page()
    files = list((ROOT / "findings").glob("*.sh"))
    assert page.count("\n## ") == len(files) > 3


def test_the_picture_is_what_its_script_draws() -> None:
    there = (ROOT / "docs" / "trainings.svg").read_text(encoding="utf-8")
    assert there == trainings.picture(), "run `python docs/trainings.py`"


@pytest.mark.skipif(not find_spec("material"), reason="mkdocs-material is not installed: make docs")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Links, anchors and the nav are warnings of mkdocs (`validation` in mkdocs.yml)."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "three trainings" in home and (tmp_path / "repository/examples").is_dir()
