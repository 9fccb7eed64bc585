"""docs/methods.md names every row and every printed number, and what the code cites is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmark.scoring.paper import IRCADB, MULTI_ORGAN, PRINTED
from benchmark.settings.registry import load_registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGE = (DOCS / "methods.md").read_text(encoding="utf-8")
TOPS = ("benchmark", "methods", "baselines", "sweeps")
CODE = sorted(path for top in TOPS for path in (ROOT / top).rglob("*.py"))


def section(number: int) -> str:
    return PAGE.split(f"\n## {number}. ")[1].split("\n## ")[0]


def lines_of(text: str, row: str) -> list[str]:
    """The lines of tables that begin with this row, alone or beside others."""
    return [line for line in text.splitlines() if re.match(rf"\|[^|]*`{re.escape(row)}`", line)]


@pytest.mark.parametrize("name", sorted(load_registry().rows))
def test_every_row_has_a_line_in_the_section_of_its_group(name: str) -> None:
    row = load_registry().rows[name]
    place = {"paper": 2, "beyond": 3, "controls": 6, "atlas": 6, "spikes": 6}[row.group]
    assert len(lines_of(section(place), name)) == 1
    if row.table1:
        assert row.table1 in lines_of(section(2), name)[0]


@pytest.mark.parametrize("printed", [one for one in PRINTED if one.mean is not None], ids=str)
def test_every_printed_number_stands_in_its_cell(printed) -> None:
    (line,) = lines_of(section(8), printed.row)
    cells = dict(zip((IRCADB, MULTI_ORGAN), line.split("|")[2:], strict=False))
    dsc, assd = (text.strip() for text in cells[printed.dataset].split(", "))
    found = re.findall(r"\d+\.\d+", dsc if printed.metric == "dsc" else assd)
    assert [float(number) for number in found] == [
        number for number in (printed.mean, printed.sd) if number is not None
    ]


def test_links_and_files_that_the_page_names_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    files = re.findall(r"`([\w/]+/\w+\.py)`", PAGE)
    assert len(links) > 10 and len(files) > 10
    assert not [link for link in links if not (DOCS / link).exists()]
    homes = (ROOT, ROOT / "benchmark")
    assert not [name for name in files if not any((home / name).is_file() for home in homes)]


def test_no_code_cites_a_page_that_is_not_there() -> None:
    cited = {
        (path.name, name.rstrip("."))
        for path in CODE
        for name in re.findall(r"docs/[\w/.-]+", path.read_text(encoding="utf-8"))
    }
    assert len(cited) > 10
    assert not [(file, name) for file, name in cited if not list(ROOT.glob(f"{name}*"))]
    gone = re.compile(r"METHODS(\.md)? section|FIELD\.md")
    assert not [path.name for path in CODE if gone.search(_text(path))]


def test_sections_that_the_code_cites_are_there() -> None:
    words = re.compile(r"docs/methods\.md,? sections? (\d)")
    cited = {number for path in CODE for number in words.findall(_text(path))}
    assert cited and all(f"\n## {number}. " in PAGE for number in cited)


def _text(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8").split())
