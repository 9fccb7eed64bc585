"""README's words: what docs/flags.md says is explained there, and what output says otherwise."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.analysis.flag_guide import HEAD
from benchmark.analysis.tables import HEADLINE

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("\n## Words\n")[2].partition("\n## ")[0]
WORDS = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", SECTION, re.MULTILINE))


def test_each_word_that_the_page_of_flags_sends_to_readme_is_there() -> None:
    (sent,) = re.findall(r"^(.+) are explained in the \[README\]", HEAD, re.MULTILINE)
    promised = re.split(r", | and ", sent)
    assert "GT gap" in promised
    assert not set(promised) - set(WORDS)


def test_the_headline_organs_are_the_codes() -> None:
    first = WORDS["headline organs"].lower().partition(", which")[0]
    assert first == " and ".join(organ.replace("_", " ") for organ in HEADLINE)
